r"""The octets of DATA, as they come: where they end, dots undone, bounds kept; no I/O (RFC 5321 §4.1.1.4, §4.5.2).

Only CRLF.CRLF ends the data: `\n.\n`, `\n.\r\n`, `\r.\r` and their like do not (SMTP smuggling, CVE-2023-51764
and kin). Bare CR and bare LF are refused on receipt and made CRLF on submission; NUL is refused everywhere.
"""

from __future__ import annotations

import re
from enum import StrEnum

_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_DOT_AT_START = re.compile(rb"\n\.").search  # two octets: `re` finds them thrice as fast as `bytes.find`


class Flaw(StrEnum):
    """Why the data cannot be taken; the first one found counts."""

    BARE_LF = "bare LF"
    BARE_CR = "bare CR"
    NUL = "NUL"
    LONG_LINE = "line too long"
    TOO_BIG = "message too big"


class DataReader:
    """Feed it what the client sends after 354; it gives back the letter's octets, a block at a time.

    Blocks begin at the start of a line and end with CRLF (where `normalise` has to mend a letter with other line breaks
    alone, before the CRLF). Memory is one unfinished line (`max_line_octets`) and the
    block fed. After a flaw nothing more is given back, but the end is still looked for, so that the reply comes in
    its place. `flaw` is None while all is well; `rest` holds what followed the end (the next commands).
    """

    __slots__ = ("_max_line", "_max_octets", "_normalise", "_tail", "ended", "flaw", "octets", "rest")

    def __init__(self, max_octets: int, max_line_octets: int, *, normalise: bool) -> None:
        self._max_octets = max_octets
        self._max_line = max_line_octets
        self._normalise = normalise
        self._tail = b""
        self.octets = 0
        self.ended = False
        self.flaw: Flaw | None = None
        self.rest = b""

    def feed(self, block: bytes) -> bytes:
        """The letter's octets that are complete with `block`; b"" when a line is still open, or after a flaw."""
        data = self._tail + block if self._tail else block
        is_stuffed = False
        if data.startswith(b".\r\n"):
            body, self.rest, self.ended = b"", data[3:], True
        else:
            # One look for any dot first: base64 has none, and a search for one octet is the fastest there is.
            dot = _DOT_AT_START(data) if b"." in data else None
            end = data.find(b"\r\n.\r\n", dot.start() - 1 if dot.start() else 0) if dot is not None else -1
            is_stuffed = dot is not None and dot.start() != end + 1
            if end >= 0:
                body, self.rest, self.ended = data[: end + 2], data[end + 5 :], True
            else:
                # What may yet turn out to be the end stays: the open line, and a line end before a single dot.
                cut = data.rfind(b"\r\n", 0, len(data) - 2 if data.endswith((b"\r\n.", b"\r\n.\r")) else len(data)) + 2
                cut = cut if cut >= 2 else 0
                if self._normalise and len(data) - cut > self._max_line:
                    cut = _bare_break(data, cut)
                body, rest = data[:cut], data[cut:]
                if len(rest) > self._max_line:
                    self.flaw = self.flaw or Flaw.LONG_LINE
                    # Enough to see the end go by; the x keeps a dot at the line's end from standing at its start.
                    rest = b"x" + rest[-4:]
                self._tail = rest
        if self.ended:
            self._tail = b""
        return self._checked(body, is_stuffed) if body and self.flaw is None else b""

    def _checked(self, body: bytes, is_stuffed: bool) -> bytes:
        """`body` without its dots, or b"" and a flaw. `is_stuffed`: a line but the first may begin with one."""
        if b"\0" in body:
            self.flaw = Flaw.NUL
            return b""
        if body.startswith(b"."):
            body = body[1:]
        if is_stuffed:
            body = body.replace(b"\r\n.", b"\r\n")
        if not _has_clean_breaks(body):
            if not self._normalise:
                self.flaw = Flaw.BARE_LF if body.count(b"\n") != body.count(b"\r\n") else Flaw.BARE_CR
                return b""
            body = _BARE.sub(b"\r\n", body)
        if _has_long_line(body, self._max_line):
            self.flaw = Flaw.LONG_LINE
            return b""
        self.octets += len(body)
        if self.octets > self._max_octets:
            self.flaw = Flaw.TOO_BIG
            return b""
        return body


def _has_clean_breaks(body: bytes) -> bool:
    """Every CR is followed by LF, and every LF follows CR.

    bytes.splitlines breaks at CRLF, CR and LF: when there are as many breaks as LF, no CR is bare; as many CR, no LF.
    Three looks, and still faster than one count of two octets.
    """
    breaks = len(body.splitlines()) - (not body.endswith((b"\n", b"\r")))
    return body.count(b"\n") == breaks == body.count(b"\r")


def _has_long_line(body: bytes, max_line: int) -> bool:
    """More than `max_line` octets stand before some LF, or after the last."""
    at = 0
    while len(body) - at > max_line:
        at = body.rfind(b"\n", at, at + max_line + 1) + 1
        if not at:
            return True
    return False


def _bare_break(data: bytes, start: int) -> int:
    """Where the last bare CR or LF after `start` stands, else `start`: once mended, the line ends there.

    The break stays with what follows: a dot behind it is at no line's start as SMTP has it, and ends nothing.
    """
    end = len(data) - len(b"\r\n.\r") - 1
    return max(data.rfind(b"\n", start, end), data.rfind(b"\r", start, end), start)
