"""Copies for mailboxes here that had no room when they came: delivered as soon as there is some."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import Any

from bdmta.address import AddressError, parse_address
from bdmta.delivery import limit_of
from bdmta.directory.snapshot import MailboxEntry, SnapshotWatch
from bdmta.queue.outcome import Outcome, Result, deferred, failed
from storage.commit import Commit, Delivery, Target
from storage.errors import NoSpace
from storage.expand import has_letter
from storage.maildir import mailbox_dir
from storage.quota import Quota
from storage.spool import Spool
from storage.spool_entry import QueueEntry, QueueRecipient

DELIVERED_STATUS = "2.1.5"


class LocalCopies:
    """The courier's way into mailboxes."""

    def __init__(
        self, spool: Spool, commit: Commit, quota: Quota, watch: SnapshotWatch, mail_root: str, executor: Executor,
        log: Any,
    ) -> None:  # fmt: skip
        self._spool = spool
        self._commit = commit
        self._quota = quota
        self._watch = watch
        self._mail_root = mail_root
        self._executor = executor
        self._log = log

    def is_local(self, domain: str) -> bool:
        """Mail for `domain` is kept here."""
        return self._watch.current().is_local(domain)

    async def deliver(self, entry: QueueEntry, recipient: QueueRecipient) -> Outcome:
        """Into the mailbox, if it has room now. Raises StoreError."""
        mailbox = self._mailbox(recipient.address)
        if mailbox is None or mailbox.status == "closed":
            return failed("5.1.1", f"there is no mailbox {recipient.address}")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._place, entry, mailbox)

    def _mailbox(self, address: str) -> MailboxEntry | None:
        try:
            key = parse_address(address).key
        except AddressError:
            return None
        # Nothing is bounced for a mailbox that was made or opened again a moment ago.
        known = self._watch.current().mailbox(key)
        if known is None or known.status == "closed":
            known = self._watch.current(look_now=True).mailbox(key)
        return known

    def _place(self, entry: QueueEntry, mailbox: MailboxEntry) -> Outcome:
        where = mailbox_dir(self._mail_root, mailbox.address)
        letter = self._spool.open_letter(entry.id)
        if not self._quota.fits(where, limit_of(mailbox), letter.size_octets):
            return deferred("4.2.2", f"the mailbox {mailbox.address} is full")
        # A name of the entry's own: killed between the delivery and its record, we find the copy and leave it at one.
        size = letter.size_octets
        name = f"{int(entry.received_at)}.Q{entry.id}.waited,S={size},W={size}"
        if has_letter(where, name):
            return Outcome(Result.SENT, 250, DELIVERED_STATUS, f"delivered to {mailbox.address}")
        try:
            self._commit.store_sync([Delivery(letter, (Target(where, "INBOX", limit_of(mailbox)),), name)])
        except NoSpace:
            return deferred("4.3.1", "no room on the disk")
        self._log.info("waiting copy delivered", reference=entry.id, mailbox=mailbox.address)
        return Outcome(Result.SENT, 250, DELIVERED_STATUS, f"delivered to {mailbox.address}")
