"""The same letter to contacts outside, by the queue; and to operators, into their own mailboxes."""

from __future__ import annotations

import os

from bdmta.outage.channels import ChannelError, Hopeless, Means
from bdmta.outage.jobs import Job, Reach
from bdmta.outage.notice import FOR_OPERATORS
from bdmta.outage.wording import compose_for_operators, compose_notice
from storage.errors import Conflict, NotFound, StoreError
from storage.expand import has_letter
from storage.files import fsync_dir, open_unnamed, write_all
from storage.ledger import Ledger
from storage.letter import Letter
from storage.maildir import mailbox_dir
from storage.quota import LateQuota
from storage.spool import QueueEntry, QueueRecipient, Spool

_PRIORITY = 1


class Contacts:
    """By the queue. An attempt that was cut off is known by its entry, or by what the ledger says became of it."""

    def __init__(self, means: Means) -> None:
        self._means = means
        kinds = frozenset(means.site.config.outage.letters)
        self.reach = Reach("contacts", lambda notice, said: notice.is_public and said.kind in kinds)

    def deliver(self, job: Job) -> str:
        """The queue's id. The letter is durable in the spool then."""
        means, contacts = self._means, self._means.site.config.outage.contacts
        entry_id = f"outage-{job.key}"
        receipt = f"queued as {entry_id} for {len(contacts)}"
        if self._was_sent(entry_id):
            return receipt
        entry = QueueEntry(
            id=entry_id, sender="", letter=Letter.from_octets([compose_notice(means, job)]),
            recipients=tuple(QueueRecipient(address, "NEVER") for address in contacts),
            received_at=means.clock.time(), priority=_PRIORITY, smtputf8=not all(map(str.isascii, contacts)),
        )  # fmt: skip
        try:
            Spool(means.site.queue_dir, means.clock).put_sync(entry)
        except Conflict:
            return receipt
        except StoreError as error:
            raise ChannelError(str(error)) from error
        return receipt

    def _was_sent(self, entry_id: str) -> bool:
        try:
            ledger = Ledger.open(self._means.site.ledger_db, readonly=True)
        except StoreError:
            return False
        try:
            return bool(ledger.trace(entry_id, limit_count=1))
        finally:
            ledger.close()

    def settle(self, job: Job) -> None:
        """The courier goes on."""


class Operators:
    """A letter to those who keep the system; its file's name follows from the job, so that it comes once."""

    reach = Reach("operators", lambda notice, said: said.kind in FOR_OPERATORS)

    def __init__(self, means: Means) -> None:
        self._means = means

    def deliver(self, job: Job) -> str:
        """Whose mailboxes have it."""
        config, told = self._means.site.config, []
        for address in config.outage.operators or (config.postmaster,):
            try:
                self._place(job, address)
            except NotFound:
                continue
            except OSError as error:
                raise ChannelError(f"{address}: {error.strerror}") from error
            told.append(address)
        if not told:
            raise Hopeless("[outage] operators: none of them has a mailbox here")
        return ", ".join(told)

    def _place(self, job: Job, address: str) -> None:
        octets = compose_for_operators(self._means, job, address)
        folder = mailbox_dir(self._means.site.mail_root, address)
        name = f"{int(job.said.at.timestamp())}.outage-{job.key}.office"
        if not os.path.isdir(folder):
            raise NotFound(folder)
        if has_letter(folder, f"{name},S={len(octets)},W={len(octets)}"):
            return
        file = open_unnamed(folder)
        write_all(file.fd, [octets])
        os.fsync(file.fd)
        try:
            file.link(f"{folder}/new/{name},S={len(octets)},W={len(octets)}")
        except FileExistsError:
            return
        fsync_dir(f"{folder}/new")
        LateQuota(self._means.clock).add(folder, len(octets), 1)

    def settle(self, job: Job) -> None:
        """Nothing is kept."""
