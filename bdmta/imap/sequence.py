"""Sets of letters: `1:5,9,12:*` by sequence number or UID (RFC 3501 §9), read, resolved to rows, and written."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bdmta.imap.syntax import MAX_UID, BadSyntax, Cursor

MAX_SPANS = 10_000  # a command line's length bounds it as well
STAR = 0  # no letter has the number 0

_SET = re.compile(rb"[0-9:,*]+")
_SPAN = re.compile(rb"(\d{1,10}|\*)(?::(\d{1,10}|\*))?")


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Spans as they were written, `STAR` for `*`."""

    spans: tuple[tuple[int, int], ...]

    def rows(self, uids: array[int], *, by_uid: bool, strict: bool = True) -> Sequence[int]:
        """The rows meant, ascending, each once: a `range` when they are one run.

        By UID those that do not exist are passed over (RFC 3501 §6.4.8); by number they are BadSyntax, if `strict`
        (SEARCH passes over them, as Dovecot does: its letters may be gone by the time it looks).
        """
        runs = sorted(self._uid_runs(uids) if by_uid else self._number_runs(len(uids), strict=strict))
        merged: list[list[int]] = []
        for start, end in runs:
            if start >= end:
                continue
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        if not merged:
            return range(0)
        if len(merged) == 1:
            return range(*merged[0])
        return [row for start, end in merged for row in range(start, end)]

    def _uid_runs(self, uids: array[int]) -> Iterable[tuple[int, int]]:
        last = uids[-1] if uids else 0
        for first, second in self.spans:
            low, high = sorted((first or last, second or last))
            yield bisect_left(uids, low), bisect_right(uids, high)

    def _number_runs(self, count: int, *, strict: bool) -> Iterable[tuple[int, int]]:
        for first, second in self.spans:
            low, high = sorted((first or count, second or count))
            if high > count:
                if count == 0 and (first == STAR or second == STAR):
                    continue  # 1:* of an empty folder
                if strict:
                    raise BadSyntax("no letter has that number")
                high = count
            yield low - 1 if low else 0, high


def parse_sequence_set(cursor: Cursor) -> SequenceSet:
    """The set that comes next, or BadSyntax."""
    match = _SET.match(cursor.data, cursor.at)
    if match is None:
        cursor.fail("sequence set")
    pieces = match[0].split(b",")
    if len(pieces) > MAX_SPANS:
        raise BadSyntax("sequence set too long")
    spans = []
    for piece in pieces:
        span = _SPAN.fullmatch(piece)
        if span is None:
            raise BadSyntax("sequence set malformed")
        first = _number(span[1])
        spans.append((first, _number(span[2]) if span[2] is not None else first))
    cursor.at = match.end()
    return SequenceSet(tuple(spans))


def _number(octets: bytes) -> int:
    if octets == b"*":
        return STAR
    value = int(octets)
    if not 0 < value <= MAX_UID:
        raise BadSyntax("sequence set malformed")
    return value


def render_set(numbers: Iterable[int]) -> bytes:
    """Numbers in their order as a set; ascending runs become `a:b` (RFC 4315 §3, RFC 4731 §3.1)."""
    pieces: list[bytes] = []
    start = previous = -1
    for number in numbers:
        if number == previous + 1 and start >= 0:
            previous = number
            continue
        if start >= 0:
            pieces.append(_piece(start, previous))
        start = previous = number
    if start >= 0:
        pieces.append(_piece(start, previous))
    return b",".join(pieces)


def _piece(start: int, end: int) -> bytes:
    return b"%d" % start if start == end else b"%d:%d" % (start, end)
