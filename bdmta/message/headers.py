"""Header fields: found at once, decoded when asked for (RFC 5322 §2.2, with its obsolete forms)."""

from __future__ import annotations

import re
from typing import NamedTuple

from bdmta.message.limits import Limits
from bdmta.message.octets import Octets, cut, find
from bdmta.message.words import header_text

_FIRST_BLOCK_OCTETS = 4096

# One field with its folded lines; a bare CR or LF ends a line too. Possessive: linear, and no stack to fill.
_FIELD = re.compile(rb"([^\r\n:]*+)(:?)([^\r\n]*+(?:(?:\r\n|\r|\n)[ \t][^\r\n]*+)*+)(?:\r\n|\r|\n|\Z)")
_NAME = re.compile(rb"[!-9;-~]+")
_KEPT_NAMES = 1000
_KEPT_NAME_OCTETS = 40
_known_names: dict[bytes, str] = {}
_BLANK_FOLD = re.compile(rb"\n[ \t]+\r?(?:\n|\Z)")


class Header(NamedTuple):
    """One header field.

    `name` in lower case; `start:end` its octets with the line break; `value` raw, folds and 8-bit octets kept, without
    the blanks around it.
    """

    name: str
    start: int
    end: int
    value: bytes

    @property
    def text(self) -> str:
        """The value unfolded and with RFC 2047 words decoded; never raises."""
        return header_text(self.value)


_new = tuple.__new__  # what a NamedTuple's own constructor does, without a call in between


class HeaderBlock(NamedTuple):
    """What stands before a body: the block ends at `end` (its last line break included), the body begins at `body`."""

    fields: tuple[Header, ...]
    end: int
    body: int
    defects: list[str]


def read_headers(octets: Octets, start: int, end: int, limits: Limits) -> HeaderBlock:
    """The header block of the part `start:end`; never raises.

    Defects: `bare-lf`, `bare-cr`, `nul`, `no-colon`, `bad-name`, `space-before-colon`, `blank-fold` (a line of blanks
    that some take for the end), `headers` and `header-block` (over a bound), `no-body` (the blank line is missing).
    """
    block, block_end, body, defects = _block(octets, start, end, limits)
    _look_at_breaks(block, defects)
    fields: list[Header] = []
    size = len(block)
    left = limits.headers
    known = _known_names
    for match in _FIELD.finditer(block):  # matches everywhere, so each begins where the last one ended
        at, stop = match.span()
        if at >= size:
            break
        if not left:
            defects.append("headers")
            break
        raw, colon, value = match.groups()
        name = known.get(raw)
        if not colon:
            defects.append("no-colon")
            continue
        if name is None:
            name = _name(raw, defects)
        fields.append(_new(Header, (name, start + at, start + stop, value.strip(b" \t\r\n"))))
        left -= 1
    return HeaderBlock(tuple(fields), block_end, body, defects)


def _name(raw: bytes, defects: list[str]) -> str:
    """A field's name in lower case. Good ones are kept: letters have the same few."""
    octets = raw.rstrip(b" \t")
    name = octets.lower().decode("latin-1").strip()
    if len(octets) != len(raw):
        defects.append("space-before-colon")
    if _NAME.fullmatch(octets) is None:
        defects.append("bad-name")
    elif len(octets) == len(raw) <= _KEPT_NAME_OCTETS and len(_known_names) < _KEPT_NAMES:
        _known_names[raw] = name
    return name


def _block(octets: Octets, start: int, end: int, limits: Limits) -> tuple[bytes, int, int, list[str]]:
    """The header octets (bounded), where they end, where the body begins."""
    size = min(_FIRST_BLOCK_OCTETS, limits.header_block_octets)
    while True:
        stop = min(end, start + size)
        block = cut(octets, start, stop)
        if block.startswith((b"\r\n", b"\n")):
            return b"", start, start + (1 if block.startswith(b"\n") else 2), []
        found = _blank_line(block)
        if found is not None:
            return block[: found[0]], start + found[0], start + found[1], []
        if stop == end:
            return block, end, end, ["no-body"] if block else []
        if size >= limits.header_block_octets:
            break
        size = min(size * 4, limits.header_block_octets)
    last = block.rfind(b"\n") + 1 or len(block)
    from_here = max(start, stop - 3)
    crlf = find(octets, b"\n\r\n", from_here, end)
    bare = find(octets, b"\n\n", from_here, crlf if crlf >= 0 else end)
    if bare >= 0:
        return block[:last], bare + 1, bare + 2, ["header-block"]
    if crlf >= 0:
        return block[:last], crlf + 1, crlf + 3, ["header-block"]
    return block[:last], end, end, ["header-block", "no-body"]


def _blank_line(block: bytes) -> tuple[int, int] | None:
    crlf = block.find(b"\n\r\n")
    bare = block.find(b"\n\n", 0, crlf + 1 if crlf >= 0 else len(block))
    if bare >= 0:
        return bare + 1, bare + 2
    if crlf >= 0:
        return crlf + 1, crlf + 3
    return None


def _look_at_breaks(block: bytes, defects: list[str]) -> None:
    pairs = block.count(b"\r\n")
    if block.count(b"\n") != pairs:
        defects.append("bare-lf")
    if block.count(b"\r") != pairs:
        defects.append("bare-cr")
    if b"\0" in block:
        defects.append("nul")
    if b"\n " in block or b"\n\t" in block:
        if block.startswith((b" ", b"\t")) or _BLANK_FOLD.search(block) is not None:
            defects.append("blank-fold")
    elif block.startswith((b" ", b"\t")):
        defects.append("blank-fold")
