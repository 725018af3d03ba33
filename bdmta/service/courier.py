"""The courier: finishes group letters that a fallen edge left half linked, and local copies that wait for room.

Sending to other systems is to come; such entries lie in the spool, durable, and are left alone.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bdmta.address import AddressError, parse_address
from bdmta.clock import Clock
from bdmta.delivery import limit_of
from bdmta.directory.snapshot import MailboxEntry, SnapshotWatch
from bdmta.site import Site
from bdmta.tasks import Tasks
from storage.commit import Commit, Delivery, Target
from storage.errors import StoreError
from storage.maildir import mailbox_dir
from storage.quota import Quota
from storage.spool import QueueEntry, Spool

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
        self._quota = Quota(warn_percent=config.quota.warn_percent)
        self._watch = SnapshotWatch(site.snapshot_path, clock)
        self._commit = Commit(
            mail_root=site.mail_root, spool=self._spool, host=config.server.hostname, clock=clock,
            executor=self._executor, quota=self._quota, reserve_octets=config.mail.reserve_octets,
        )  # fmt: skip

    async def start(self) -> None:
        """Finish what was left behind, then look again now and then."""
        self._tasks.start(self._rounds(), "courier")

    async def _rounds(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._commit.resume()
                for entry in await self._off_loop(self._spool.list):
                    if entry.kind == "remote":
                        await self._off_loop(self._deliver_local, entry)
                await self._off_loop(self._spool.sweep)
            except (StoreError, OSError):
                self._log.error("round failed, another follows", exc_info=True)
            try:
                await asyncio.wait_for(self._stopping.wait(), _EVERY_S)
            except TimeoutError:
                continue

    async def _off_loop(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    def _deliver_local(self, entry: QueueEntry) -> None:
        """Copies for mailboxes here that had no room: into those that have some now, and out of the entry."""
        left = []
        for recipient in entry.recipients:
            mailbox = self._mailbox(recipient.address)
            if mailbox is None or not self._place(entry, mailbox):
                left.append(recipient)
        if len(left) == len(entry.recipients):
            return
        if left:
            self._spool.update(entry, recipients=tuple(left))
        else:
            self._spool.remove(entry.id)

    def _mailbox(self, address: str) -> MailboxEntry | None:
        try:
            return self._watch.current().mailbox(parse_address(address).key)
        except AddressError:
            return None

    def _place(self, entry: QueueEntry, mailbox: MailboxEntry) -> bool:
        where = mailbox_dir(self._site.mail_root, mailbox.address)
        with self._spool.open_letter(entry.id) as letter:
            if not self._quota.fits(where, limit_of(mailbox), letter.size_octets):
                return False
            self._commit.store_sync([Delivery(letter, (Target(where, "INBOX", limit_of(mailbox)),))])
        self._log.info("waiting copy delivered", reference=entry.id, mailbox=mailbox.address)
        return True

    def reload(self) -> None:
        """SIGHUP: the directory is looked at anew by itself."""
        self._watch.current(look_now=True)

    async def stop(self) -> None:
        """Finish the round in hand."""
        self._stopping.set()
        await self._tasks.finish(10)
        self._executor.shutdown(wait=True)
