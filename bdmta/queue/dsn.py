"""Delivery reports as letters: multipart/report with a text, the status of each recipient, the letter's header.

RFC 3461 (what is asked), 3462 (multipart/report), 3464 (delivery-status), 6533 (addresses outside ASCII).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from bdmta.message.headers import read_headers
from bdmta.message.limits import Limits
from bdmta.message.write import compose_multipart, compose_part, compose_text, field
from bdmta.queue.dsn_text import SUBJECTS, Line, text
from bdmta.queue.outcome import clean
from bdmta.queue.recipients import Report
from bdmta.received import rfc5322_date
from storage.letter import Letter
from storage.spool_entry import QueueEntry, QueueRecipient

_MAX_HEADER_OCTETS = 65_536
_MAX_FULL_OCTETS = 10 * 1_048_576
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")


@dataclass(frozen=True, slots=True)
class Reporting:
    """Who reports: our name, whom to ask, the zone of times, how long letters are tried."""

    hostname: str
    postmaster: str
    offset_s: int
    lifetime_s: float


def compose_report(
    report: Report, recipients: Sequence[QueueRecipient], entry: QueueEntry, letter: Letter, by: Reporting,
    *, reference: str, now: float,
) -> bytes:  # fmt: skip
    """The whole letter that tells `entry.sender`. `letter` is the original, with our trace fields."""
    original = _original(report, entry, letter)
    zone = timezone(timedelta(seconds=by.offset_s))
    until = entry.received_at + by.lifetime_s
    words = text(
        report, [_line(recipient) for recipient in recipients], time=_shown(entry.received_at, zone),
        until=_shown(until, zone), reference=entry.id, postmaster=by.postmaster,
    )  # fmt: skip
    headers = [
        ("Date", rfc5322_date(int(now), by.offset_s)),
        ("From", f"Hệ thống thư điện tử (Mail system) <{by.postmaster}>"),
        ("To", f"<{entry.sender}>"),
        ("Subject", SUBJECTS[report]),
        ("Message-ID", f"<{reference}@{by.hostname}>"),
        ("Auto-Submitted", "auto-replied"),  # RFC 3834 §5
    ]
    message_id = _message_id(letter)
    if message_id:
        headers += [("In-Reply-To", message_id), ("References", message_id)]
    parts = [compose_text([], words), _status_part(report, recipients, entry, by, until), original]
    return compose_multipart(headers, parts, "report", [("report-type", "delivery-status")])


def _shown(at: float, zone: timezone) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone(zone).strftime("%H:%M %d/%m/%Y")


def _line(recipient: QueueRecipient) -> Line:
    state = recipient.state
    return Line(
        recipient.via or recipient.address, str(state.get("status", "")), str(state.get("host", "")),
        clean(str(state.get("last_reply", ""))),
    )  # fmt: skip


def _status_part(
    report: Report, recipients: Sequence[QueueRecipient], entry: QueueEntry, by: Reporting, until: float
) -> bytes:
    blocks = [field("Reporting-MTA", f"dns; {by.hostname}")]
    if entry.dsn_envid:
        blocks[0] += field("Original-Envelope-Id", xtext_decoded(entry.dsn_envid))
    blocks[0] += field("Arrival-Date", rfc5322_date(int(entry.received_at), by.offset_s))
    for recipient in recipients:
        blocks.append(_recipient_fields(report, recipient, by, until))
    return compose_part("message/delivery-status", b"\r\n".join(blocks))


def _recipient_fields(report: Report, recipient: QueueRecipient, by: Reporting, until: float) -> bytes:
    state = recipient.state
    out = b""
    kind, semicolon, original = recipient.dsn_orcpt.partition(";")
    if semicolon:
        out += field("Original-Recipient", f"{clean(kind)}; {xtext_decoded(original)}")
    out += field("Final-Recipient", _typed(recipient.address))
    out += field("Action", report.value)
    out += field("Status", _status(report, str(state.get("status", ""))))
    host = str(state.get("host", ""))
    if host:
        out += field("Remote-MTA", f"dns; {clean(host.partition('[')[0] or host)}")
    reply = clean(str(state.get("last_reply", "")))
    if reply and report in (Report.FAILED, Report.DELAYED):
        kind = "smtp" if state.get("code") else "x-bdmta"
        out += field("Diagnostic-Code", f"{kind}; {_ascii(reply)}")
    if state.get("last_at"):
        out += field("Last-Attempt-Date", rfc5322_date(int(state["last_at"]), by.offset_s))
    if report is Report.DELAYED:
        out += field("Will-Retry-Until", rfc5322_date(int(until), by.offset_s))
    return out


def _status(report: Report, status: str) -> str:
    """The status; of the class that the action needs (RFC 3464 §2.3.4)."""
    default = {Report.FAILED: "5.0.0", Report.DELAYED: "4.0.0"}.get(report, "2.0.0")
    if report is Report.FAILED and status[:2] in ("4.", "5."):
        return status
    return status if status[:2] == default[:2] else default


def _typed(address: str) -> str:
    """An address with its type: in ASCII by escapes where it is not (RFC 6533 §3, utf-8-addr-xtext)."""
    if address.isascii():
        return f"rfc822; {clean(address)}"
    return "utf-8; " + "".join(c if c.isascii() else f"\\x{{{ord(c):X}}}" for c in clean(address))


def _ascii(words: str) -> str:
    return "".join(c if c.isascii() else "?" for c in words)


def xtext_decoded(value: str) -> str:
    """What stood behind an ENVID or ORCPT before it was xtext (RFC 3461 §4), on one line, in ASCII."""
    return _ascii(clean(_XTEXT.sub(lambda found: chr(int(found[1], 16)), value)))


def _original(report: Report, entry: QueueEntry, letter: Letter) -> bytes:
    """The letter if it failed and RET=FULL asks for it, else its header (RFC 3461 §4.3)."""
    if report is Report.FAILED and entry.dsn_ret.upper() == "FULL" and letter.size_octets <= _MAX_FULL_OCTETS:
        return compose_part("message/rfc822", b"".join(letter.blocks()))
    header = _header(letter)
    kind = "text/rfc822-headers" if header.isascii() else "message/global-headers"
    return compose_part(kind, header)


def _header(letter: Letter) -> bytes:
    beginning = b""
    for block in letter.blocks(_MAX_HEADER_OCTETS):
        beginning += block
        if b"\r\n\r\n" in beginning or len(beginning) >= _MAX_HEADER_OCTETS:
            break
    header = beginning.partition(b"\r\n\r\n")[0][:_MAX_HEADER_OCTETS]
    if len(header) == _MAX_HEADER_OCTETS:
        header = header.rpartition(b"\r\n")[0]
    return header + b"\r\n"


def _message_id(letter: Letter) -> str:
    header = _header(letter)
    for found in read_headers(header, 0, len(header), Limits()).fields:
        if found.name == "message-id":
            value = found.value.strip().decode("ascii", "replace")
            return value if _MESSAGE_ID.fullmatch(value) else ""
    return ""
