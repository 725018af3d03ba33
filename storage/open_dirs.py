"""Directories kept open between letters, each checked at every use: a removed or replaced one must swallow nothing."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass

from storage.files import HeldFd


@dataclass(frozen=True, slots=True)
class _Open:
    inode: tuple[int, int]
    held: HeldFd


class OpenDirs:
    """The descriptors of the directories used last; safe in several threads, one evicted stays open while in use."""

    def __init__(self, limit_count: int = 256) -> None:
        self._limit_count = limit_count
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, path: str) -> HeldFd:
        """A descriptor of the directory that `path` names now. Raises OSError (gone, not a directory)."""
        found = os.stat(path, follow_symlinks=False)
        inode = (found.st_dev, found.st_ino)  # an inode that is held open cannot be given to another directory
        with self._lock:
            known = self._open.get(path)
            if known is not None and known.inode == inode:
                self._open.move_to_end(path)
                return known.held
        held = HeldFd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
        found = os.fstat(held.fd)
        with self._lock:
            self._open[path] = _Open((found.st_dev, found.st_ino), held)
            self._open.move_to_end(path)
            if len(self._open) > self._limit_count:
                self._open.popitem(last=False)
        return held

    def close(self) -> None:
        """Let go of all of them."""
        with self._lock:
            self._open.clear()
