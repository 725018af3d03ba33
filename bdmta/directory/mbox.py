"""Letters out of an mbox file: mboxo and mboxrd, in bounded memory, never raising on what it holds."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_BLOCK_OCTETS = 1 << 20  # of one line at once
_QUOTED_FROM = re.compile(rb">+From ")
_OWN_FIELD = re.compile(
    rb"(Status|X-Status|X-UID|X-Keywords|X-IMAP|X-IMAPbase|Content-Length):([^\r\n]*)", re.IGNORECASE
)
_ASCTIME = re.compile(rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}")
_STATUS = {b"R": "S"}
_X_STATUS = {b"A": "R", b"F": "F", b"D": "T", b"T": "D"}


@dataclass(frozen=True, slots=True)
class MboxLetter:
    """One letter; `octets` None when it is over the bound. `is_recent`: no program has seen it yet."""

    octets: bytes | None
    flags: str = ""
    is_recent: bool = True
    at: float | None = None


def split_mbox(file: BinaryIO, max_octets: int) -> Iterator[MboxLetter]:
    """The letters of `file`, without the fields that mbox programs keep their flags in.

    A line that begins with `From ` after an empty line, or first, begins a letter. `Content-Length` is not believed.
    """
    lines: list[bytes] = []
    size_octets = 0
    separator: bytes | None = None
    is_after_empty, is_line_start = True, True
    while line := file.readline(_BLOCK_OCTETS):
        if is_line_start and is_after_empty and line.startswith(b"From "):
            if separator is not None:
                yield from _finished(separator, lines, size_octets, max_octets)
            separator, lines, size_octets = line, [], 0
        else:
            size_octets += len(line)
            if size_octets <= max_octets:
                lines.append(line[1:] if is_line_start and _QUOTED_FROM.match(line) else line)
            else:
                lines.clear()
        is_after_empty = is_line_start and line in (b"\n", b"\r\n")
        is_line_start = line.endswith(b"\n")
    if separator is not None:
        yield from _finished(separator, lines, size_octets, max_octets)


def _finished(separator: bytes, lines: list[bytes], size_octets: int, max_octets: int) -> Iterator[MboxLetter]:
    if size_octets > max_octets:
        yield MboxLetter(None)
        return
    if lines and lines[-1] in (b"\n", b"\r\n"):
        lines.pop()  # it belongs to the next separator
    kept, own = _without_own_fields(lines)
    if b"x-imap" in own and b"subject: don't delete this message" in b"".join(kept[:50]).lower():
        return  # a mail program's own record, no letter
    status, x_status = own.get(b"status", b""), own.get(b"x-status", b"")
    flags = {_STATUS[c] for c in _STATUS if c in status} | {_X_STATUS[c] for c in _X_STATUS if c in x_status}
    is_recent = b"O" not in status and not flags
    yield MboxLetter(b"".join(kept), "".join(sorted(flags)), is_recent, _received_at(separator))


def _without_own_fields(lines: list[bytes]) -> tuple[list[bytes], dict[bytes, bytes]]:
    kept: list[bytes] = []
    own: dict[bytes, bytes] = {}
    is_dropping = False
    for number, line in enumerate(lines):
        if line in (b"\n", b"\r\n"):
            return kept + lines[number:], own
        if not line.startswith((b" ", b"\t")):
            found = _OWN_FIELD.match(line)
            is_dropping = found is not None
            if found is not None:
                own.setdefault(found[1].lower(), found[2])
        if not is_dropping:
            kept.append(line)
    return kept, own


def _received_at(separator: bytes) -> float | None:
    found = _ASCTIME.search(separator)
    if found is None:
        return None
    try:
        return float(calendar.timegm(time.strptime(found[0].decode("ascii"), "%a %b %d %H:%M:%S %Y")))
    except ValueError:
        return None
