"""Place accepted letters: mailboxes here by `storage.commit`, everything else into the durable spool."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bdmta.directory.snapshot import MailboxEntry
from bdmta.envelope import Envelope, Recipient
from bdmta.queue.asides import away, delivered_now, send_on
from bdmta.routing import Outside, Route
from storage.commit import Commit, Delivery, Stored, Target
from storage.directory_forwarding import ForwardingWatch
from storage.errors import NotFound
from storage.letter import Letter
from storage.maildir import create_mailbox, mailbox_dir
from storage.quota import Limit, Quota
from storage.spool import QueueEntry, QueueRecipient

JUNK = "Junk"
MANY = 100  # mailboxes whose fill level is looked at beside the loop


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a letter went: mailboxes by address (Junk or not), and the addresses outside that it is queued for."""

    inbox: tuple[str, ...]
    junk: tuple[str, ...]
    outside: tuple[str, ...]
    crossings: tuple[tuple[MailboxEntry, int], ...] = ()
    file: str = ""
    """The letter's name in each mailbox that keeps a copy."""
    kept_by: frozenset[str] = frozenset()


class Deliverer:
    """The way into the store for one edge."""

    def __init__(
        self, commit: Commit, quota: Quota, mail_root: str, find: Callable[[str], MailboxEntry | None], log: Any,
        forwarding: ForwardingWatch | None = None,
    ) -> None:  # fmt: skip
        self._forwarding = forwarding
        self._commit = commit
        self._quota = quota
        self._mail_root = mail_root
        self._find = find
        self._log = log
        self._dirs: dict[str, str] = {}

    def mailbox_dir(self, address: str) -> str:
        """The Maildir of a mailbox; remembered, as it is asked for with every letter."""
        known = self._dirs.get(address)
        if known is None:
            if len(self._dirs) > 100_000:
                self._dirs.clear()
            known = self._dirs[address] = mailbox_dir(self._mail_root, address)
        return known

    def has_room(self, route: Route, size_octets: int) -> bool:
        """A letter of `size_octets` fits into some mailbox of `route` (contract 6); outside there is always room."""
        if route.outside or not route.mailboxes:
            return True
        return any(self._fits(entry, size_octets) for entry in route.mailboxes)

    def _fits(self, entry: MailboxEntry, size_octets: int) -> bool:
        return self._quota.fits(self.mailbox_dir(entry.address), limit_of(entry), size_octets)

    def _fits_member(self, entry: MailboxEntry, size_octets: int) -> bool:
        return self._quota.fits_member(self.mailbox_dir(entry.address), limit_of(entry), size_octets)

    async def place(self, envelope: Envelope, letter: Letter, junk: Iterable[str] = ()) -> Placed:
        """Durable for every recipient when it returns; StoreError or NoSpace and nothing is promised.

        `junk` holds recipients (by key) whose copy goes to Junk. A mailbox reached by several recipients gets one
        copy. The copy of a full member of a group waits in the spool; the group's other members are served now.
        """
        sort = (envelope.recipients, frozenset(junk), letter.size_octets)
        if sum(len(recipient.route.mailboxes) for recipient in envelope.recipients) > MANY:
            inbox, spam, outside = await asyncio.get_running_loop().run_in_executor(None, self._sort, *sort)
        else:
            inbox, spam, outside = self._sort(*sort)
        delivered = tuple(inbox)  # a letter that is only sent on has reached its mailbox all the same
        now = envelope.received_at.timestamp()
        told = delivered_now(envelope, inbox | spam, now)
        more = away(envelope, inbox, self._forwarding, now) if self._forwarding is not None else {}
        if self._forwarding is not None:
            outside += send_on(inbox, envelope.recipients, self._forwarding)
        targets = [Target(self.mailbox_dir(a), "INBOX", limit_of(e)) for a, e in inbox.items()]
        targets += [Target(self.mailbox_dir(a), JUNK, limit_of(e)) for a, e in spam.items()]
        deliveries = [Delivery(letter, tuple(targets))] if targets else []
        entries = _entries(envelope, letter, outside, told, more)
        try:
            stored: Stored = await self._commit.store(deliveries, entries)
        except NotFound:  # a mailbox that was added, and whose folders somebody has taken away
            await self._make_folders(targets)
            stored = await self._commit.store(deliveries, entries)
        by_dir = {self.mailbox_dir(a): e for a, e in (inbox | spam).items()} if stored.crossings else {}
        crossings = tuple((by_dir[where], percent) for where, percent in stored.crossings if where in by_dir)
        return Placed(
            delivered, tuple(spam), tuple(o.address for o, _ in outside), crossings, "".join(stored.names[:1]),
            frozenset(inbox | spam),
        )  # fmt: skip

    async def _make_folders(self, targets: Sequence[Target]) -> None:
        loop = asyncio.get_running_loop()
        for target in targets:
            await loop.run_in_executor(None, create_mailbox, target.mailbox)

    def entries_of(self, crossings: Sequence[tuple[str, int]]) -> list[tuple[MailboxEntry, int]]:
        """The mailboxes behind their folders, as far as this process has delivered to them."""
        by_dir = {where: address for address, where in self._dirs.items()}
        found = ((self._find(by_dir.get(where, "")), percent) for where, percent in crossings)
        return [(entry, percent) for entry, percent in found if entry is not None]

    def _sort(
        self, recipients: Sequence[Recipient], junk: frozenset[str], size_octets: int
    ) -> tuple[dict[str, MailboxEntry], dict[str, MailboxEntry], list[tuple[Outside, Recipient]]]:
        inbox: dict[str, MailboxEntry] = {}
        spam: dict[str, MailboxEntry] = {}
        outside: dict[str, tuple[Outside, Recipient]] = {}
        for recipient in recipients:
            into = spam if recipient.key in junk else inbox
            many = len(recipient.route.mailboxes) > 1
            for entry in recipient.route.mailboxes:
                if many and not self._fits_member(entry, size_octets):
                    self._log.warning("mailbox full, group copy waits in the queue", mailbox=entry.address)
                    outside.setdefault(entry.address, (Outside(entry.address, recipient.key), recipient))
                    continue
                into[entry.address] = entry
            for out in recipient.route.outside:
                outside.setdefault(out.address, (out, recipient))
        for address in inbox.keys() & spam.keys():
            del spam[address]  # asked for by two ways, and one of them is clean
        # Full as a member of a group, and asked for by itself too: that copy was taken at RCPT.
        return inbox, spam, [waiting for address, waiting in outside.items() if address not in inbox | spam]


def limit_of(entry: MailboxEntry) -> Limit:
    """The quota of a mailbox as the store knows it; 0 is no limit."""
    return _limit(entry.quota_octets or 0, entry.quota_letters or 0)


@functools.lru_cache(maxsize=1024)
def _limit(octets: int, letters: int) -> Limit:
    """One object for the many mailboxes of one limit: a letter to a group asks for each."""
    return Limit(octets, letters)


def _entries(
    envelope: Envelope, letter: Letter, outside: list[tuple[Outside, Recipient]], told: tuple[QueueRecipient, ...],
    more: dict[str, Any],
) -> list[QueueEntry]:  # fmt: skip
    """The spool entry of a letter, if it needs one: for recipients outside, with the DSN wishes of each (RFC 3461
    §5.2), for reports of delivery that were asked for, and for mailboxes whose owners are away.
    """
    if not (outside or told or more):
        return []
    recipients = tuple(
        QueueRecipient(address=o.address, dsn_notify=",".join(r.dsn_notify), dsn_orcpt=r.dsn_orcpt, via=o.via or "")
        for o, r in outside
    )
    return [
        QueueEntry(
            id=envelope.reference, sender=envelope.sender_text, recipients=recipients + told, letter=letter,
            direction=str(envelope.direction), received_at=envelope.received_at.timestamp(), kind="remote",
            dsn_ret=envelope.dsn_ret, dsn_envid=envelope.dsn_envid, smtputf8=envelope.smtputf8,
            body_8bit=envelope.body == "8BITMIME", more=more,
        )
    ]  # fmt: skip
