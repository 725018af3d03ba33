"""The octets of a letter, as they will be stored: pieces in memory and spans of a file, never loaded whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from storage.files import HeldFd, open_unnamed, write_all

_BLOCK_OCTETS = 1 << 20
_NO_COPY = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})


@dataclass(frozen=True, slots=True)
class Span:
    """Octets `start` to `end` of a file; the file stays open as long as the span lives."""

    file: HeldFd
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


Piece: TypeAlias = "bytes | memoryview | Span"


class Letter:
    """A letter's final octets. Immutable; may be stored in several places, at once too.

    A letter of one span that is the whole of an unnamed file is stored without a copy: the file gets its name.
    """

    __slots__ = ("_whole", "pieces", "size_octets")

    def __init__(self, pieces: Sequence[Piece], *, whole: HeldFd | None = None) -> None:
        self.pieces = tuple(p for p in pieces if len(p))
        self.size_octets = sum(map(len, self.pieces))
        self._whole = whole

    @classmethod
    def from_octets(cls, pieces: Sequence[bytes | memoryview]) -> Letter:
        """A letter in memory: `pieces` one after another (bytes or memoryviews of octets)."""
        return cls(pieces)

    @classmethod
    def from_file(cls, path: str, start: int = 0) -> Letter:
        """The letter in file `path`, from `start` on; it may be unlinked meanwhile. Raises OSError."""
        held = HeldFd(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
        return cls([Span(held, start, max(start, os.fstat(held.fd).st_size))])

    @classmethod
    def from_span(cls, file: HeldFd, prefix: bytes, spans: Sequence[tuple[int, int]], *, file_octets: int) -> Letter:
        """`prefix`, then `spans` of the unnamed `file`; all of it and no prefix: the file itself."""
        is_whole = not prefix and list(spans) == [(0, file_octets)]
        return cls([prefix, *(Span(file, start, end) for start, end in spans)], whole=file if is_whole else None)

    def file(self, directory: str) -> HeldFd:
        """An open file without a name, on the file system of `directory`, that holds the letter. Not synced. Blocks.

        Raises OSError. The file must never be written to: letters in mailboxes share it.
        """
        if self._whole is not None and self._is_on(directory, self._whole):
            return self._whole
        held = open_unnamed(directory)
        self.write_to(held.fd)
        return held

    def close(self) -> None:
        """Close the files behind it, for one that nobody will read again."""
        for piece in self.pieces:
            if isinstance(piece, Span):
                piece.file.close()

    def write_to(self, fd: int) -> None:
        """Write the letter at the descriptor's position, a megabyte at a time at most. Blocks. Raises OSError."""
        waiting: list[bytes | memoryview] = []
        for piece in self.pieces:
            if isinstance(piece, Span):
                write_all(fd, waiting)
                waiting = []
                _copy(piece, fd)
            else:
                waiting.append(piece)
        write_all(fd, waiting)

    def blocks(self, block_octets: int = 65_536) -> Iterator[bytes]:
        """The letter's octets in blocks of at most `block_octets`. Blocks on files. Raises OSError."""
        for piece in self.pieces:
            for start in range(0, len(piece), block_octets):
                if isinstance(piece, Span):
                    at = piece.start + start
                    yield os.pread(piece.file.fd, min(block_octets, piece.end - at), at)
                else:
                    yield bytes(piece[start : start + block_octets])

    @staticmethod
    def _is_on(directory: str, file: HeldFd) -> bool:
        return os.fstat(file.fd).st_dev == os.stat(directory).st_dev


def _copy(span: Span, fd: int) -> None:
    """Copy inside the kernel: neither our memory nor the interpreter sees the octets."""
    at = span.start
    try:
        while at < span.end:
            copied = os.copy_file_range(span.file.fd, fd, span.end - at, at)
            if copied == 0:
                break
            at += copied
    except OSError as error:
        if error.errno not in _NO_COPY:
            raise
    while at < span.end:
        sent = os.sendfile(fd, span.file.fd, at, min(span.end - at, _BLOCK_OCTETS))
        if sent == 0:
            raise OSError(errno.EIO, "the letter's file is shorter than it was")
        at += sent
