"""Hear of new and changed entries of the spool as they happen, by inotify.

Of names that appear: by a link for a new entry, by a rename for a changed envelope; removals wake nobody.
What somebody else removes is found missing when its time comes, or when the courier looks through the spool.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable

_MOVED_TO, _CREATE, _OVERFLOW = 0x80, 0x100, 0x4000
_HEAD = struct.Struct("iIII")


class Nudge:
    """Calls `on_entry(id)` for each `.env` that appears or is replaced, and `on_overflow()` when some were missed.

    Where inotify cannot be had, nothing is called, and the courier's own rounds find what is new.
    """

    def __init__(self, folder: str, on_entry: Callable[[str], None], on_overflow: Callable[[], None]) -> None:
        self._on_entry = on_entry
        self._on_overflow = on_overflow
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            return
        if libc.inotify_add_watch(self._fd, os.fsencode(folder), _MOVED_TO | _CREATE) < 0:
            self.close()
            return
        asyncio.get_running_loop().add_reader(self._fd, self._drain)

    @property
    def works(self) -> bool:
        """The kernel tells us."""
        return self._fd >= 0

    def _drain(self) -> None:
        try:
            octets = os.read(self._fd, 65_536)
        except (BlockingIOError, InterruptedError):
            return
        at = 0
        found: dict[str, None] = {}
        while at < len(octets):
            _, mask, _, length = _HEAD.unpack_from(octets, at)
            at += _HEAD.size
            if mask & _OVERFLOW:
                self._on_overflow()
            name = os.fsdecode(octets[at : at + length].rstrip(b"\0"))
            at += length
            if name.endswith(".env") and name[0] != ".":
                found[name[:-4]] = None
        for entry_id in found:
            self._on_entry(entry_id)

    def close(self) -> None:
        """Hear no more."""
        if self._fd >= 0:
            try:
                asyncio.get_running_loop().remove_reader(self._fd)
            except (RuntimeError, ValueError):
                pass
            os.close(self._fd)
            self._fd = -1
