"""The answer of one who is away: once to each sender within some days, never to a machine (RFC 3834)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from bdmta.address import AddressError, parse_address
from bdmta.clock import Clock
from bdmta.directory.snapshot import Snapshot
from bdmta.envelope import new_reference
from bdmta.message.addresses import mailboxes
from bdmta.message.headers import Header, read_headers
from bdmta.message.limits import Limits
from bdmta.message.write import compose_text
from bdmta.queue.outcome import clean
from bdmta.queue.recipients import AWAY
from bdmta.queue.reports import Postman
from bdmta.queue.srs import SenderRewriting
from bdmta.received import rfc5322_date
from bdmta.state import FileState
from storage.directory_forwarding import ForwardingWatch
from storage.errors import NotFound
from storage.spool import Spool
from storage.spool_entry import QueueEntry

_MACHINES = frozenset({"mailer-daemon", "postmaster", "noreply", "no-reply", "donotreply", "listserv", "majordomo"})
_LISTS = frozenset({"list-id", "list-post", "list-unsubscribe", "list-help", "list-owner", "x-auto-response-suppress"})
_BULK = frozenset({b"bulk", b"list", b"junk"})
_HEADER_OCTETS = 65_536


class Absences:
    """Answers for those who are away."""

    def __init__(
        self, postman: Postman, spool: Spool, forwarding: ForwardingWatch, snapshot: Callable[[], Snapshot],
        state: FileState, clock: Clock, executor: Executor, log: Any, *, hostname: str, offset_s: int, again_s: int,
    ) -> None:  # fmt: skip
        self._postman = postman
        self._spool = spool
        self._forwarding = forwarding
        self._snapshot = snapshot
        self._state = state
        self._clock = clock
        self._executor = executor
        self._log = log
        self._hostname = hostname
        self._offset_s = offset_s
        self._again_s = again_s

    async def answer(self, entry: QueueEntry) -> None:
        """Answer the entry's letter for each of its mailboxes whose owner is away. Raises StoreError."""
        try:
            letter = self._spool.open_letter(entry.id)
        except NotFound:
            return
        head = await asyncio.get_running_loop().run_in_executor(
            self._executor, next, letter.blocks(_HEADER_OCTETS), b""
        )
        headers = read_headers(head, 0, len(head), Limits()).fields
        if not may_answer(entry.sender, headers):
            return
        for address in entry.more.get(AWAY, ())[:100]:
            await self._answer_for(str(address), entry, headers)

    async def _answer_for(self, address: str, entry: QueueEntry, headers: tuple[Header, ...]) -> None:
        settings, mailbox = self._forwarding.get(address), self._snapshot().mailbox(address)
        now = self._clock.time()
        if settings is None or mailbox is None or not settings.is_away(now):
            return
        own = self._snapshot().may_send_as(address)
        if entry.sender.casefold() in own or not _is_addressed(headers, own):
            return
        key = f"{address} {entry.sender.casefold()}"
        if self._state.get(key) is not None:
            return
        self._state.put(key, "1", self._again_s)  # first: better no answer than two
        reference = new_reference(self._clock)
        octets = compose_text(self._fields(mailbox.name, address, entry, headers, reference), settings.absence)
        if await self._postman.bring(entry.sender, reference, octets, priority=0):
            self._log.info("absence told", mailbox=address, reference=entry.id, by=reference)

    def _fields(
        self, name: str, address: str, entry: QueueEntry, headers: tuple[Header, ...], reference: str
    ) -> list[tuple[str, str]]:
        subject = next((clean(h.text) for h in headers if h.name == "subject"), "")
        message_id = next((h.value.decode("ascii", "replace").strip() for h in headers if h.name == "message-id"), "")
        fields = [
            ("Date", rfc5322_date(int(self._clock.time()), self._offset_s)),
            ("From", f'"{clean(name).replace(chr(92), "").replace(chr(34), "")}" <{address}>'),
            ("To", f"<{entry.sender}>"),
            ("Subject", f"Tự động trả lời (Auto): {subject}"),
            ("Message-ID", f"<{reference}@{self._hostname}>"),
            ("Auto-Submitted", "auto-replied"),
            ("X-Auto-Response-Suppress", "All"),
        ]
        if message_id.startswith("<") and len(message_id) < 250 and message_id.isascii() and " " not in message_id:
            fields += [("In-Reply-To", clean(message_id)), ("References", clean(message_id))]
        return fields


def may_answer(sender: str, headers: tuple[Header, ...]) -> bool:
    """A person wrote this, to people (RFC 3834 §2)."""
    try:
        local = parse_address(sender).local.casefold()
    except AddressError:
        return False  # the null sender too
    if local in _MACHINES or local.startswith("owner-") or local.endswith(("-request", "-owner", "-bounces")):
        return False
    if SenderRewriting.is_rewritten(local) or "=" in local:  # bounce addresses of lists
        return False
    for header in headers:
        if header.name in _LISTS:
            return False
        if header.name == "auto-submitted" and header.value.partition(b";")[0].strip().lower() != b"no":
            return False
        if header.name == "precedence" and header.value.strip().lower() in _BULK:
            return False
    return True


def _is_addressed(headers: tuple[Header, ...], own: frozenset[str]) -> bool:
    """One of the mailbox's addresses stands in To or Cc: no answers to what came by a list or blindly."""
    return any(
        f"{box.local}@{box.domain}".casefold() in own
        for header in headers
        if header.name in ("to", "cc", "resent-to", "resent-cc")
        for box in mailboxes(header.value)
    )
