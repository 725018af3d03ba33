"""Bring reports to senders: into their mailboxes here, or into the queue for outside; durable when it returns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

from bdmta.address import AddressError, parse_address
from bdmta.clock import Clock
from bdmta.delivery import limit_of
from bdmta.envelope import Envelope, Recipient, new_reference
from bdmta.policy import Direction
from bdmta.queue.dsn import Reporting, compose_report
from bdmta.queue.recipients import Report
from bdmta.received import trace_fields
from bdmta.routing import Router
from storage.commit import Commit, Delivery, Target
from storage.errors import NotFound
from storage.letter import Letter
from storage.maildir import mailbox_dir
from storage.spool import Spool
from storage.spool_entry import QueueEntry, QueueRecipient

_PRIORITY = 1


class Postman:
    """Places letters that the courier writes itself; nothing it brings can cause a report of its own."""

    def __init__(
        self, spool: Spool, commit: Commit, router: Router, mail_root: str, clock: Clock, executor: Executor,
        *, hostname: str, offset_s: int,
    ) -> None:  # fmt: skip
        self._spool = spool
        self._commit = commit
        self._router = router
        self._mail_root = mail_root
        self._clock = clock
        self._executor = executor
        self._hostname = hostname
        self._offset_s = offset_s

    async def bring(self, to: str, reference: str, octets: bytes, priority: int = _PRIORITY) -> bool:
        """Durable when it returns, from the null sender; False: `to` leads nowhere. Raises StoreError."""
        try:
            address = parse_address(to)
        except AddressError:
            return False
        route = self._router.route(address)
        envelope = Envelope(
            reference=reference, direction=Direction.INTERNAL, sender=None,
            recipients=(Recipient(address, address.key, route),), received_at=self._clock.now(), helo=self._hostname,
            protocol="internal",
        )  # fmt: skip
        letter = Letter.from_octets([trace_fields(envelope, self._hostname, self._offset_s), octets])
        targets = [Target(mailbox_dir(self._mail_root, e.address), "INBOX", limit_of(e)) for e in route.mailboxes]
        entries = []
        if route.outside:
            recipients = tuple(QueueRecipient(o.address, "NEVER", "", o.via or "") for o in route.outside)
            entries = [
                QueueEntry(
                    id=reference, sender="", recipients=recipients, letter=letter, received_at=self._clock.time(),
                    priority=priority, smtputf8=not to.isascii(), body_8bit=not octets.isascii(),
                )
            ]  # fmt: skip
        if not targets and not entries:
            return False
        deliveries = [Delivery(letter, tuple(targets))] if targets else []
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._commit.store_sync, deliveries, entries)
        return True


class Reports:
    """What the dispatcher calls when a sender is to be told."""

    def __init__(
        self, postman: Postman, spool: Spool, clock: Clock, executor: Executor, log: Any, facts: Any,
        by: Callable[[], Reporting],
    ) -> None:  # fmt: skip
        self._postman = postman
        self._spool = spool
        self._clock = clock
        self._executor = executor
        self._log = log
        self._facts = facts
        self._by = by

    async def __call__(self, entry: QueueEntry, due: Sequence[tuple[Report, QueueRecipient]]) -> None:
        """One letter for each kind of news. Raises StoreError: to be called again."""
        if not entry.sender:  # RFC 5321 §4.5.5: no report about a report
            return
        kinds: dict[Report, list[QueueRecipient]] = {}
        for report, recipient in due:
            kinds.setdefault(report, []).append(recipient)
        for report, recipients in kinds.items():
            await self._tell(entry, report, recipients)

    async def _tell(self, entry: QueueEntry, report: Report, recipients: list[QueueRecipient]) -> None:
        reference = new_reference(self._clock)
        loop = asyncio.get_running_loop()
        octets = await loop.run_in_executor(self._executor, self._compose, entry, report, recipients, reference)
        if octets is None or not await self._postman.bring(entry.sender, reference, octets):
            self._log.warning("report leads nowhere", reference=entry.id, sender=entry.sender, report=str(report))
            return
        self._log.info("sender told", reference=entry.id, sender=entry.sender, report=str(report), by=reference)
        self._facts.write(
            [
                {
                    "at": self._clock.time(), "event": "reported", "reference": entry.id, "sender": "",
                    "recipient": entry.sender, "detail": {"report": str(report), "by": reference},
                }
            ]
        )  # fmt: skip

    def _compose(
        self, entry: QueueEntry, report: Report, recipients: list[QueueRecipient], reference: str
    ) -> bytes | None:
        try:
            letter = self._spool.open_letter(entry.id)
        except NotFound:
            return None
        now = self._clock.time()
        return compose_report(report, recipients, entry, letter, self._by(), reference=reference, now=now)
