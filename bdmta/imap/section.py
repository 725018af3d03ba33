"""Where a FETCH's section lies in a letter (RFC 3501 §6.4.5): spans of its octets, so that nothing large is copied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from bdmta.imap.fetch_items import Section
from bdmta.message import Message, Octets, Part, scan
from bdmta.message.headers import read_headers
from bdmta.message.limits import Limits

_LIMITS = Limits()
_FIELD = re.compile(rb"(?m)^([^\s:][^:\n]*?)[ \t]*:.*(?:\n[ \t].*)*\n?")


@dataclass(frozen=True, slots=True)
class Span:
    """`octets[start:end]`."""

    octets: Octets
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def cut(self, partial: tuple[int, int] | None) -> Span:
        """What `<first.count>` means of it; nothing when it begins behind the end."""
        if partial is None:
            return self
        start = min(self.start + partial[0], self.end)
        return Span(self.octets, start, min(start + partial[1], self.end))

    def read(self) -> bytes:
        """A copy of the octets."""
        return bytes(self.octets[self.start : self.end])


class Letter:
    """A letter's octets, scanned once when a section needs its parts."""

    def __init__(self, octets: Octets) -> None:
        self.octets = octets
        self._message: Message | None = None

    @property
    def message(self) -> Message:
        """The scanned letter."""
        if self._message is None:
            self._message = scan(self.octets)
        return self._message

    def span(self, section: Section) -> Span | None:
        """The section's octets; None when the letter has no such part."""
        if not section.path:
            if not section.what:
                return Span(self.octets, 0, len(self.octets))
            return self._of_own_header(section)
        part = _part_at(self.message.root, section.path)
        if part is None:
            return None
        if not section.what:
            return Span(part.octets, part.body_start, part.end)
        if section.what == "MIME":
            return Span(part.octets, part.start, part.body_start)
        return _of_letter(part.children[0], section) if part.letter is not None else None

    def _of_own_header(self, section: Section) -> Span:
        """HEADER, HEADER.FIELDS or TEXT of the letter itself: its parts need not be looked for."""
        block = read_headers(self.octets, 0, len(self.octets), _LIMITS)
        if section.what == "TEXT":
            return Span(self.octets, block.body, len(self.octets))
        if section.what == "HEADER":
            return Span(self.octets, 0, block.body)
        picked = picked_fields(bytes(self.octets[: block.body]), section)
        return Span(picked, 0, len(picked))


def _of_letter(root: Part, section: Section) -> Span:
    """HEADER, HEADER.FIELDS or TEXT of an attached letter."""
    if section.what == "TEXT":
        return Span(root.octets, root.body_start, root.end)
    if section.what == "HEADER":
        return Span(root.octets, root.start, root.body_start)
    picked = picked_fields(bytes(root.octets[root.start : root.body_start]), section)
    return Span(picked, 0, len(picked))


def _part_at(root: Part, path: tuple[int, ...]) -> Part | None:
    """The part of that number; part 1 of a letter without parts is its body (RFC 3501 §6.4.5)."""
    here, is_letter = root, True
    for number in path:
        if not is_letter and here.letter is not None:
            here, is_letter = here.children[0], True
        if here.is_multipart and here.children:
            if number > len(here.children):
                return None
            here, is_letter = here.children[number - 1], False
        elif is_letter and number == 1:
            is_letter = False
        else:
            return None
    return here


def picked_fields(header: bytes, section: Section) -> bytes:
    """The fields asked for (or all others), as they stand, and the empty line."""
    if section.what == "HEADER.FIELDS":
        return b"".join(_fields_pattern(section.fields).findall(header)) + b"\r\n"
    dropped = set(section.fields)
    kept = [match[0] for match in _FIELD.finditer(header) if match[1].lower() not in dropped]
    return b"".join(kept) + b"\r\n"


@lru_cache(maxsize=256)
def _fields_pattern(fields: tuple[bytes, ...]) -> re.Pattern[bytes]:
    names = b"|".join(re.escape(name) for name in fields)
    return re.compile(rb"(?im)^(?:" + names + rb")[ \t]*:.*(?:\n[ \t].*)*\n?")
