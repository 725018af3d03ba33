"""What an `.env` file of the spool holds: the envelope, one line; below it the letter, if that has no file of its own.

One file a letter where nobody shares it: what is made and removed for each letter that leaves is one inode and not two.
The file is never written to; a changed envelope is another file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from storage.errors import Corrupt
from storage.files import HeldFd
from storage.letter import Letter, Span
from storage.spool_entry import QueueEntry, parse_entry

ENVELOPE_MAX_OCTETS = 64 << 20
_READ_OCTETS = 65_536


@dataclass(frozen=True, slots=True)
class EntryFile:
    """The beginning of an open `.env`: `octets` reach beyond the first line where the file does."""

    octets: bytes
    line_octets: int
    size_octets: int

    @classmethod
    def read(cls, fd: int) -> EntryFile:
        """Small letters come with their envelope in one read. Raises OSError."""
        size = os.fstat(fd).st_size
        octets = os.pread(fd, _READ_OCTETS, 0)
        end = octets.find(b"\n")
        while end < 0 and len(octets) < min(size, ENVELOPE_MAX_OCTETS):
            more = os.pread(fd, len(octets), len(octets))
            if not more:
                break
            end = more.find(b"\n")
            end += len(octets) if end >= 0 else 0
            octets += more
        return cls(octets, end + 1 if end >= 0 else len(octets), size)

    @property
    def has_letter(self) -> bool:
        """The letter is below the envelope."""
        return self.size_octets > self.line_octets

    def entry(self, entry_id: str, path: str) -> QueueEntry:
        """The entry, whose id must be `entry_id`; `path` is for the error. Raises Corrupt."""
        at = self.line_octets if self.has_letter else None
        entry = parse_entry(self.octets[: self.line_octets], path, letter_at_octets=at)
        if entry.id != entry_id:
            raise Corrupt(f"{path} is the envelope of {entry.id}")
        return entry

    def letter(self, entry: QueueEntry, fd: int, path: str) -> Letter:
        """The letter below the envelope; `fd` is duplicated where more is to be read. Raises Corrupt, OSError."""
        if self.size_octets - self.line_octets != entry.size_octets:
            held_octets = self.size_octets - self.line_octets
            raise Corrupt(f"{path} has {held_octets} octets of a letter of {entry.size_octets}")
        if len(self.octets) >= self.size_octets:
            return Letter.from_octets([self.octets[self.line_octets : self.size_octets]])
        return Letter([Span(HeldFd(os.dup(fd)), self.line_octets, self.size_octets)])


def has_letter_below(path: str) -> bool:
    """The `.env` file is a whole entry. Raises OSError: FileNotFoundError when the entry is gone."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return EntryFile.read(fd).has_letter
    finally:
        os.close(fd)
