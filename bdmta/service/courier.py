"""The courier: finishes group letters that a fallen edge left half linked, and local copies that wait for room.

Sending to other systems is to come; such entries lie in the spool, durable, and are left alone.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from bdmta.address import AddressError, parse_address
from bdmta.clock import Clock
from bdmta.delivery import limit_of
from bdmta.directory.snapshot import MailboxEntry, SnapshotWatch
from bdmta.site import Site
from bdmta.tasks import Tasks
from storage.commit import Commit, Delivery, Target
from storage.errors import Locked, NotFound, StoreError
from storage.maildir import mailbox_dir
from storage.quota import Quota
from storage.spool import Spool

_EVERY_S = 15.0


class Courier:
    """One a site. Everything it does may be done twice without harm."""

    def __init__(self, site: Site, clock: Clock, log: Any) -> None:
        config = site.config
        self._site = site
        self._log = log
        self._executor = ThreadPoolExecutor(4, thread_name_prefix="courier")
        self._tasks = Tasks(log)
        self._stopping = asyncio.Event()
        self._spool = Spool(site.queue_dir, clock)
        self._quota = Quota(clock, self._executor)
        self._watch = SnapshotWatch(site.snapshot_path, clock)
        self._commit = Commit(
            mail_root=site.mail_root, spool=self._spool, host=config.server.hostname, clock=clock,
            executor=self._executor, quota=self._quota, reserve_octets=config.mail.reserve_octets,
            tmp_dir=site.incoming_dir,
        )  # fmt: skip

    async def start(self) -> None:
        """Finish what was left behind, then look again now and then."""
        self._tasks.start(self._rounds(), "courier")

    async def _rounds(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._off_loop(self._commit.resume)
                for entry_id in await self._off_loop(self._spool.list):
                    await self._off_loop(self._deliver_local, entry_id)
                await self._off_loop(self._spool.sweep)
            except (StoreError, OSError):
                self._log.error("round failed, another follows", exc_info=True)
            try:
                await asyncio.wait_for(self._stopping.wait(), _EVERY_S)
            except TimeoutError:
                continue

    async def _off_loop(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    def _deliver_local(self, entry_id: str) -> None:
        """Copies for mailboxes here that had no room: into those that have some now, and out of the entry."""
        try:
            entry = self._spool.load(entry_id)
            if not any(self._mailbox(recipient.address) for recipient in entry.recipients):
                return
            with self._spool.lock(entry_id) as lock:
                left = [r for r in entry.recipients if not self._place(entry_id, self._mailbox(r.address))]
                if left and len(left) < len(entry.recipients):
                    self._spool.update(replace(entry, recipients=tuple(left)), lock)
                elif not left:
                    self._spool.remove(entry_id)
        except (Locked, NotFound):
            return

    def _mailbox(self, address: str) -> MailboxEntry | None:
        try:
            return self._watch.current().mailbox(parse_address(address).key)
        except AddressError:
            return None

    def _place(self, entry_id: str, mailbox: MailboxEntry | None) -> bool:
        if mailbox is None:
            return False
        where = mailbox_dir(self._site.mail_root, mailbox.address)
        letter = self._spool.open_letter(entry_id)
        if not self._quota.fits(where, limit_of(mailbox), letter.size_octets):
            return False
        self._commit.store_sync([Delivery(letter, (Target(where, "INBOX", limit_of(mailbox)),))])
        self._log.info("waiting copy delivered", reference=entry_id, mailbox=mailbox.address)
        return True

    def reload(self) -> None:
        """SIGHUP: the directory is looked at anew by itself."""
        self._watch.current(look_now=True)

    async def stop(self) -> None:
        """Finish the round in hand."""
        self._stopping.set()
        await self._tasks.finish(10)
        self._executor.shutdown(wait=True)
