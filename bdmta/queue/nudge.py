"""Hear of new, changed and removed entries of the spool as they happen, by inotify."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable

_MOVED_TO, _CREATE, _DELETE, _OVERFLOW = 0x80, 0x100, 0x200, 0x4000
_HEAD = struct.Struct("iIII")


class Nudge:
    """Calls `on_entry(id)` for each `.env` that appears or is replaced, `on_gone(id)` for each that goes, and
    `on_overflow()` when some were missed.

    Where inotify cannot be had, nothing is called, and the courier's own rounds find what is new.
    """

    def __init__(
        self, folder: str, on_entry: Callable[[str], None], on_gone: Callable[[str], None],
        on_overflow: Callable[[], None],
    ) -> None:  # fmt: skip
        self._on_entry = on_entry
        self._on_gone = on_gone
        self._on_overflow = on_overflow
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            return
        if libc.inotify_add_watch(self._fd, os.fsencode(folder), _MOVED_TO | _CREATE | _DELETE) < 0:
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
        is_there: dict[str, bool] = {}
        while at < len(octets):
            _, mask, _, length = _HEAD.unpack_from(octets, at)
            at += _HEAD.size
            if mask & _OVERFLOW:
                self._on_overflow()
            name = os.fsdecode(octets[at : at + length].rstrip(b"\0"))
            at += length
            if name.endswith(".env") and name[0] != "." and not name.startswith("x-"):
                is_there[name[:-4]] = not mask & _DELETE
        for entry_id, is_left in is_there.items():
            (self._on_entry if is_left else self._on_gone)(entry_id)

    def close(self) -> None:
        """Hear no more."""
        if self._fd >= 0:
            try:
                asyncio.get_running_loop().remove_reader(self._fd)
            except (RuntimeError, ValueError):
                pass
            os.close(self._fd)
            self._fd = -1
