"""Reading letters from a folder's `cur`: CRLF octets, whatever line ends the file has (Dovecot's own files have LF)."""

from __future__ import annotations

import mmap
import os
import re
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

from storage.box_types import Octets

MMAP_FROM_OCTETS = 1 << 20
_HEAD_OCTETS = 16384
_LETTERS_AHEAD = 32
_OPENED = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
HEADER_MAX_OCTETS = 1 << 20
_BARE_LF = re.compile(rb"(?<!\r)\n")


@contextmanager
def opened_dir(path: str) -> Iterator[int]:
    """Give a descriptor of a directory, for names relative to it."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def read_letter(cur_fd: int, name: str, size_octets: int) -> Octets:
    """Return a letter with CRLF line ends; `size_octets` is what it should have. Raises OSError.

    A file of just that size has CRLF already (the size counts them), so the usual letter costs one open, one read,
    one close.
    """
    fd = os.open(name, _OPENED, dir_fd=cur_fd)
    try:
        return _read(fd, size_octets)
    finally:
        os.close(fd)


def letters_ahead(cur_fd: int, wanted: Iterable[tuple[str, int]]) -> Generator[Octets | None, None, None]:
    """Yield letters as `read_letter` does, None for one that cannot be read.

    The kernel is told some letters ahead what will be read, so that the disk is not waited for letter by letter. Close
    the iterator, or use it up.
    """
    waiting: deque[tuple[int | None, int]] = deque()
    try:
        for name, size in wanted:
            waiting.append((_opened_ahead(cur_fd, name, size), size))
            if len(waiting) > _LETTERS_AHEAD:
                yield _read_next(waiting)
        while waiting:
            yield _read_next(waiting)
    finally:
        for fd, _ in waiting:
            if fd is not None:
                os.close(fd)


def _opened_ahead(cur_fd: int, name: str, size_octets: int) -> int | None:
    try:
        fd = os.open(name, _OPENED, dir_fd=cur_fd)
    except OSError:
        return None
    try:
        os.posix_fadvise(fd, 0, min(size_octets, MMAP_FROM_OCTETS), os.POSIX_FADV_WILLNEED)
    except OSError:
        pass  # only advice
    return fd


def _read_next(waiting: deque[tuple[int | None, int]]) -> Octets | None:
    fd, size_octets = waiting.popleft()
    if fd is None:
        return None
    try:
        return _read(fd, size_octets)
    except OSError:
        return None
    finally:
        os.close(fd)


def _read(fd: int, size_octets: int) -> Octets:
    if size_octets >= MMAP_FROM_OCTETS and os.fstat(fd).st_size == size_octets:
        return mmap.mmap(fd, size_octets, access=mmap.ACCESS_READ)
    octets = os.read(fd, size_octets + 1)
    if len(octets) == size_octets:
        return octets
    return _with_crlf(octets + _rest(fd))


def _rest(fd: int) -> bytes:
    blocks = []
    while block := os.read(fd, 1 << 20):
        blocks.append(block)
    return b"".join(blocks)


def _with_crlf(octets: bytes) -> bytes:
    return _BARE_LF.sub(b"\r\n", octets) if octets.count(b"\n") != octets.count(b"\r\n") else octets


def read_header(cur_fd: int, name: str) -> bytes:
    """Return a letter's header with the empty line after it (all of it when there is no empty line), at most 1 MiB.

    Raises OSError.
    """
    fd = os.open(name, _OPENED, dir_fd=cur_fd)
    try:
        octets = os.read(fd, _HEAD_OCTETS)
        while (end := _header_end(octets)) < 0 and len(octets) < HEADER_MAX_OCTETS:
            block = os.read(fd, len(octets))
            if not block:
                break
            octets += block
    finally:
        os.close(fd)
    return _with_crlf(octets[:end] if end >= 0 else octets)


def _header_end(octets: bytes) -> int:
    """Offset after the first empty line, -1 when there is none yet."""
    if octets.startswith(b"\r\n"):
        return 2
    if octets.startswith(b"\n"):
        return 1
    crlf = octets.find(b"\r\n\r\n")
    bare = octets.find(b"\n\n", 0, crlf if crlf >= 0 else len(octets))
    if bare >= 0:
        return bare + 2
    return crlf + 4 if crlf >= 0 else -1
