"""Where the parts of a multipart lie: delimiter lines found at the speed of C (RFC 2046 §5.1.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from bdmta.message.octets import Octets, cut, find

_FALSE_HITS = 2000
_ALIKE_OCTETS = 200
_TAIL = re.compile(rb"(--)?[ \t]*+(\r\n|\n|\r|\Z)")
_LINE_END = re.compile(rb"[^\r\n]*+(?:\r\n|\n|\r|\Z)")
_GUESS = re.compile(rb"(?:\A|[\r\n])--([^\s][^\r\n]{0,200}?)[ \t]*+[\r\n]")
_GUESS_OCTETS = 4096


class Delimiter(NamedTuple):
    """One delimiter line: from its dashes at `start` to behind its line break at `end`."""

    start: int
    end: int
    is_close: bool


class Split(NamedTuple):
    """A multipart's body taken apart; all spans are `(start, end)`."""

    preamble: tuple[int, int]
    parts: tuple[tuple[int, int], ...]
    epilogue: tuple[int, int]
    defects: tuple[str, ...]
    alike: tuple[bytes, ...]
    """Lines that begin as a delimiter and go on, as they would name a boundary (an empty one: too many)."""


def split(octets: Octets, start: int, end: int, boundary: bytes, max_parts: int) -> Split | None:
    """The parts of the body `start:end`, or None when no delimiter stands there.

    A line that begins as a delimiter and goes on is none, unless there is no other; some readers take it for one, so
    such lines are told in `alike`. Defects: `parts-after-close` (read as parts, since some readers go on), `unclosed`,
    `parts` (over the bound: the last part then reaches to the end).
    """
    exact: list[Delimiter] = []
    alike: list[Delimiter] = []
    defects: list[str] = []
    for delimiter, is_exact in _delimiters(octets, start, end, boundary):
        if is_exact:
            exact.append(delimiter)
        elif len(alike) < max_parts:
            alike.append(delimiter)
        if len(exact) > max_parts:
            defects.append("parts")
            break
    found = exact or (alike if boundary else [])
    if not found:
        return None
    lines = [cut(octets, line.start + 2, min(line.end, line.start + _ALIKE_OCTETS)).strip() for line in alike]
    if len(alike) >= max_parts:
        lines.append(b"")  # there may be more, of which nothing is known
    return _spans(octets, start, end, found, defects, tuple(dict.fromkeys(lines)) if boundary else ())


def _delimiters(octets: Octets, start: int, end: int, boundary: bytes) -> Iterator[tuple[Delimiter, bool]]:
    """The lines that begin as a delimiter, with whether they end as one.

    After many false hits only those behind an LF are looked at, after many more only whole lines, by an expression:
    whatever stands in the body, no loop here runs often.
    """
    needle = b"--" + boundary
    false_hits = 0
    at = start
    while false_hits < _FALSE_HITS:
        hit = find(octets, needle, at, end)
        if hit < 0:
            return
        at = hit + len(needle)
        if hit == start or octets[hit - 1] in b"\r\n":
            found = _delimiter(octets, hit, at, end)
            at = found[0].end
            false_hits += not found[1]
            yield found
        else:
            false_hits += 1
    line_start = b"\n" + needle
    while false_hits < 2 * _FALSE_HITS:
        hit = find(octets, line_start, at - 1, end)
        if hit < 0:
            return
        found = _delimiter(octets, hit + 1, hit + len(line_start), end)
        at = found[0].end
        false_hits += not found[1]
        yield found
    whole = re.compile(re.escape(line_start) + _TAIL.pattern)
    while (match := whole.search(octets, at - 1, end)) is not None:
        at = match.end()
        yield Delimiter(match.start() + 1, at, match[1] is not None), True


def _delimiter(octets: Octets, start: int, at: int, end: int) -> tuple[Delimiter, bool]:
    tail = _TAIL.match(octets, at, end)
    if tail is not None:
        return Delimiter(start, tail.end(), tail[1] is not None), True
    line = _LINE_END.match(octets, at, end)
    return Delimiter(start, line.end() if line is not None else at, False), False


def _spans(
    octets: Octets, start: int, end: int, found: list[Delimiter], defects: list[str], alike: tuple[bytes, ...]
) -> Split:
    parts: list[tuple[int, int]] = []
    preamble = (start, _before(octets, start, found[0].start))
    epilogue = (end, end)
    closed = False
    for position, delimiter in enumerate(found):
        stop = _before(octets, delimiter.end, found[position + 1].start) if position + 1 < len(found) else end
        if delimiter.is_close:
            closed = True
            epilogue = (delimiter.end, stop)
            continue
        if closed:
            defects.append("parts-after-close")
        parts.append((delimiter.end, max(delimiter.end, stop)))
    if not found[-1].is_close:
        epilogue = (end, end)
        defects.append("unclosed")
    return Split(preamble, tuple(parts), epilogue, tuple(dict.fromkeys(defects)), alike)


def _before(octets: Octets, start: int, delimiter: int) -> int:
    """Where the octets before a delimiter end: the line break before it belongs to it."""
    if delimiter - 2 >= start and cut(octets, delimiter - 2, delimiter) == b"\r\n":
        return delimiter - 2
    return max(start, delimiter - 1)


def guessed(octets: Octets, start: int, end: int) -> bytes | None:
    """The boundary that a reader would guess where none is named: the first line that begins with two dashes."""
    match = _GUESS.search(cut(octets, start, min(end, start + _GUESS_OCTETS)))
    return match[1] if match is not None else None
