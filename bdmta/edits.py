"""Header edits of a letter on its way in: what is taken out, what is put on top; the body is never touched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bdmta.chain.run import WARNING_HEADER
from bdmta.clock import Clock
from bdmta.message import Header, Message
from bdmta.message.write import field as header_field
from bdmta.policy import Account

# Marks of ours that nobody outside may forge; a Return-Path is written at final delivery only (RFC 5321 §4.4).
_OURS_PREFIX = "x-bdmta-"
_OURS = frozenset({WARNING_HEADER.lower(), "return-path"})


@dataclass(slots=True)
class Edits:
    """Spans to leave out, in order, and octets to put on top (below the trace fields)."""

    removed: list[tuple[int, int]] = field(default_factory=list)
    added: bytes = b""

    def remove(self, header: Header) -> None:
        """Take a header field out."""
        self.removed.append((header.start, header.end))

    def kept(self, total: int) -> list[tuple[int, int]]:
        """The spans of the letter that stay."""
        spans, at = [], 0
        for start, end in sorted(self.removed):
            if start > at:
                spans.append((at, start))
            at = max(at, end)
        if at < total:
            spans.append((at, total))
        return spans


def strip_ours(message: Message, edits: Edits) -> None:
    """Take out marks that look like ours."""
    for header in message.headers:
        if header.name in _OURS or header.name.startswith(_OURS_PREFIX):
            edits.remove(header)


def complete_submission(message: Message, edits: Edits, *, clock: Clock, date: str, message_id: str) -> None:
    """Bcc out; Date and Message-ID in where they are missing (RFC 6409 §8)."""
    names = set()
    for header in message.headers:
        names.add(header.name)
        if header.name in ("bcc", "resent-bcc"):
            edits.remove(header)
    if "date" not in names:
        edits.added += header_field("Date", date)
    if "message-id" not in names:
        edits.added += f"Message-ID: {message_id}\r\n".encode("ascii")


def foreign_author(message: Message, account: Account, authors: Iterable[str]) -> str | None:
    """The first address in From or Sender that does not belong to the login, or None."""
    for address in authors:
        if address.casefold() not in account.may_send_as:
            return address
    return None
