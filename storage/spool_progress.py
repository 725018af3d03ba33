"""How far the delivery of a spool entry to many mailboxes has come, beside the entry: `<id>.done` and `<id>.at`."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

from storage.files import HeldFd, fsync_dir
from storage.spool import Spool
from storage.spool_entry import QueueEntry

_DONE_MAX_OCTETS = 4 << 20


class Progress:
    """Of one attempt at an expansion: what another attempt noted does not count."""

    def __init__(self, spool: Spool, entry: QueueEntry) -> None:
        self._directory = spool.directory
        self._path = spool.path(entry.id)
        self._attempt = entry.attempt

    def note(self, done_count: int) -> None:
        """Record durably how many targets are served. Raises OSError."""
        self._append(b"%d %d\n" % (self._attempt, done_count))
        fsync_dir(self._directory)

    def note_failure(self, position: int) -> None:
        """Record that a target could not be served; durable with what is noted next. Raises OSError."""
        self._append(b"%d failed %d\n" % (self._attempt, position))

    def _append(self, line: bytes) -> None:
        fd = os.open(f"{self._path}.done", os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line)
            os.fsync(fd)
        finally:
            os.close(fd)

    def count(self) -> int:
        """How many targets are served for certain; 0 when nothing is recorded."""
        return max((int(words[1]) for words in self._lines() if len(words) == 2), default=0)

    def failures(self) -> Sequence[int]:
        """The positions of the targets that could not be served."""
        return sorted({int(words[2]) for words in self._lines() if len(words) == 3})

    def _lines(self) -> Sequence[Sequence[bytes]]:
        """The whole lines about this attempt: words, of which the last is a number."""
        try:
            with open(f"{self._path}.done", "rb") as file:
                lines = [line.split() for line in file.read(_DONE_MAX_OCTETS).split(b"\n")[:-1]]
        except OSError:
            return []
        mine = str(self._attempt).encode()
        return [words for words in lines if len(words) in (2, 3) and words[0] == mine and words[-1].isdigit()]

    def open_place(self) -> Place:
        """Where it is within its batch, to be noted target by target. Raises OSError."""
        return Place(f"{self._path}.at", self._attempt)


class Place:
    """How many targets an attempt at an expansion has served, by a file that is never synced.

    After `kill -9` it is exact, for the page cache outlives the process. After a reboot it says nothing: what it counts
    may not have reached the disk.
    """

    def __init__(self, path: str, attempt: int) -> None:
        self._held = HeldFd(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._attempt = attempt

    def count(self) -> int | None:
        """What was noted last; None when nothing was since the machine started, or by another attempt."""
        words = os.pread(self._held.fd, 200, 0).split()
        if len(words) != 3 or words[:2] != [str(self._attempt).encode(), _boot_id()] or not words[2].isdigit():
            return None
        return int(words[2])

    def note(self, count: int) -> None:
        """So many are served. Raises OSError."""
        os.pwrite(self._held.fd, b"%d %s %012d\n" % (self._attempt, _boot_id(), count), 0)


@functools.cache
def _boot_id() -> bytes:
    """Another one each time the machine starts."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read().strip()
    except OSError:
        return b"unknown-%d" % os.getpid()  # then nobody but this process believes it
