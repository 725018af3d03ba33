"""The file `maildirsize` of Maildir++: `<octets>S,<letters>C`, then lines `<octets> <letters>` to add up."""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass

from storage.maildir import folder_dirs, name_octets

FILE_NAME = "maildirsize"
MAX_FILE_OCTETS = 5120  # longer ones are summed anew (Maildir++, Dovecot)
STALE_AFTER_S = 15 * 60.0  # a full mailbox with an older file is summed anew

_LINES = re.compile(rb"(?:[ \t]*-?\d{1,18}[ \t]+-?\d{1,18}[ \t]*\r?\n)+")
_LIMIT = re.compile(rb"(\d{1,18})([SC])")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a mailbox holds."""

    octets: int = 0
    letters: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """What a mailbox may hold; 0 is no limit."""

    octets: int = 0
    letters: int = 0

    def holds(self, usage: Usage, more_octets: int) -> bool:
        """One more letter of `more_octets` fits on top of `usage`."""
        if self.octets and usage.octets + max(more_octets, 1) > self.octets:
            return False
        return not (self.letters and usage.letters + 1 > self.letters)

    def percent(self, usage: Usage) -> int:
        """How full, by the fuller of the two; 0 without a limit."""
        by_octets = 100 * usage.octets // self.octets if self.octets else 0
        by_letters = 100 * usage.letters // self.letters if self.letters else 0
        return max(by_octets, by_letters)


@dataclass(frozen=True, slots=True)
class Sizes:
    """The file's content: its limit, the sum, how many lines made it."""

    limit: Limit
    usage: Usage
    lines: int

    def plus(self, octets: int, letters: int) -> Sizes:
        """The content with one line more."""
        return Sizes(self.limit, Usage(self.usage.octets + octets, self.usage.letters + letters), self.lines + 1)


def parse_sizes(octets: bytes) -> Sizes | None:
    """The file's content; None when it is broken, cut off in a line or sums to less than nothing."""
    header, _, lines = octets.partition(b"\n")
    limit = _parse_limit(header)
    if limit is None or _LINES.fullmatch(lines) is None:
        return None
    numbers = lines.split()
    usage = Usage(sum(map(int, numbers[::2])), sum(map(int, numbers[1::2])))
    if usage.octets < 0 or usage.letters < 0:
        return None
    return Sizes(limit, usage, len(numbers) // 2)


@functools.lru_cache(maxsize=1024)
def _parse_limit(header: bytes) -> Limit | None:
    limits = {b"S": 0, b"C": 0}
    for part in header.strip().split(b","):
        found = _LIMIT.fullmatch(part)
        if found is None and part:
            return None
        if found is not None:
            limits[found.group(2)] = int(found.group(1))
    return Limit(limits[b"S"], limits[b"C"])


def render_sizes(limit: Limit, usage: Usage) -> bytes:
    """A new file."""
    return b"%dS,%dC\n%d %d\n" % (limit.octets, limit.letters, usage.octets, usage.letters)


def sum_letters(mailbox: str) -> Usage:
    """Sum all letters of all folders, Trash too, by `,S=` in the name or else by stat. Raises NotFound. Blocks."""
    octets = letters = 0
    for folder in folder_dirs(mailbox):
        for sub in ("new", "cur"):
            try:
                names = os.listdir(f"{folder}/{sub}")
            except (FileNotFoundError, NotADirectoryError):
                continue
            for name in names:
                if name.startswith("."):
                    continue
                size = name_octets(name)
                if size is None:
                    try:
                        size = os.stat(f"{folder}/{sub}/{name}").st_size
                    except FileNotFoundError:
                        continue
                octets += size
                letters += 1
    return Usage(octets, letters)
