"""The letter as it is kept: trace fields and marks on top, what may not stay taken out; the body is never touched."""

from __future__ import annotations

from dataclasses import dataclass, field

from bdmta.chain import Ruling
from bdmta.envelope import Envelope
from bdmta.mailauth.header import authentication_results, claims_to_be
from bdmta.mailauth.results import NOTHING_KNOWN
from bdmta.message import Header, Message
from bdmta.message.addresses import mailboxes
from bdmta.message.write import field as header_field
from bdmta.policy import Account, Direction
from bdmta.received import rfc5322_date
from bdmta.reply import Reply, reply

# Marks of ours that nobody outside may forge; a Return-Path is written at final delivery only (RFC 5321 §4.4).
_OURS_PREFIX = "x-bdmta-"
_BLIND = frozenset({"bcc", "resent-bcc"})


@dataclass(frozen=True, slots=True)
class Final:
    """The octets to keep: `prefix`, then these spans of `message` (the one that came, or a policy's rewriting)."""

    prefix: bytes
    spans: list[tuple[int, int]]
    message: Message

    def pieces(self) -> list[bytes | memoryview]:
        """The octets in order, for a letter that lies in memory."""
        view = memoryview(self.message.octets)
        return [self.prefix, *(view[start:end] for start, end in self.spans)]


def finish(envelope: Envelope, ruling: Ruling, message: Message, *, hostname: str, offset_s: int) -> Final:
    """Put the letter together after the chain's ruling. It begins with our trace fields already (`trace_fields`).

    They were written first, so that a large letter that nothing is added to is stored as it was spooled, uncopied.
    """
    final = ruling.facts.message or message
    edits = _Edits()
    for header in final.headers:
        is_ours = header.name.startswith(_OURS_PREFIX) or (header.name == "return-path" and header.start > 0)
        if is_ours or (header.name == "authentication-results" and _is_forged(header, ruling, hostname)):
            edits.remove(header)
    if envelope.direction is Direction.SUBMISSION:
        _complete(final, edits, envelope, hostname, offset_s)
    auth = ruling.facts.auth
    results = b"" if auth is None or auth is NOTHING_KNOWN else authentication_results(hostname, auth)
    marks = b"".join(header_field(name, value) for name, value in ruling.headers)
    added = results + marks + edits.added
    top = _trace_end(final) if added else 0
    return Final(bytes(final.octets[:top]) + added, edits.kept(top, len(final.octets)), final)


def _is_forged(header: Header, ruling: Ruling, hostname: str) -> bool:
    """Results in our name that we have not written: of this host, or of a domain of ours (RFC 8601 §5)."""
    return claims_to_be(header.value, ruling.facts.local_domains | {hostname})


def _trace_end(message: Message) -> int:
    """Where our Return-Path and Received end, which stay on top of all (RFC 5321 §4.4); 0 for a letter without."""
    first = message.headers[:2]
    if [header.name for header in first] != ["return-path", "received"] or first[0].start > 0:
        return 0
    return first[1].end


@dataclass(slots=True)
class _Edits:
    """Spans to leave out, in order, and octets to put on top (below the trace fields)."""

    removed: list[tuple[int, int]] = field(default_factory=list)
    added: bytes = b""

    def remove(self, header: Header) -> None:
        self.removed.append((header.start, header.end))

    def kept(self, top: int, total: int) -> list[tuple[int, int]]:
        """The spans of the letter that stay, from `top` on."""
        spans, at = [], top
        for start, end in self.removed:
            if start > at:
                spans.append((at, start))
            at = max(at, end)
        if at < total:
            spans.append((at, total))
        return spans


def _complete(message: Message, edits: _Edits, envelope: Envelope, hostname: str, offset_s: int) -> None:
    """Bcc out; Date and Message-ID in where they are missing (RFC 6409 §8)."""
    names = {header.name for header in message.headers}
    for header in message.headers:
        if header.name in _BLIND:
            edits.remove(header)
    edits.removed.sort()
    if "date" not in names:
        seconds = int(envelope.received_at.timestamp())
        edits.added += f"Date: {rfc5322_date(seconds, offset_s)}\r\n".encode("ascii")
    if "message-id" not in names:
        edits.added += f"Message-ID: <{envelope.reference}@{hostname}>\r\n".encode("ascii")


def refuse_foreign_author(account: Account | None, message: Message) -> Reply | None:
    """The refusal of a From or Sender that does not belong to the login (Điều 17.2), or None."""
    if account is None:
        return None
    for header in message.headers:
        if header.name not in ("from", "sender"):
            continue
        for box in mailboxes(header.value):
            address = f"{box.local}@{box.domain}"
            if address.casefold() not in account.may_send_as:
                return reply(
                    550, "7.1", f"{header.name.title()} {address} does not belong to the login {account.address}",
                    f"Địa chỉ người gửi {address} không thuộc tài khoản {account.address} (Điều 17.2)",
                )  # fmt: skip
    return None
