"""One inotify instance for the folders this process has open: what changed in `cur` and `new`, without reading them.

Events are collected as names; a folder with too many, or an overflow of the kernel's queue, is to be read whole
instead. Where inotify
cannot be had (limits, a file system without it) a folder has no `Watch`, and its reader looks at the mtimes.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _UNMOUNT, _OVERFLOW, _IGNORED = 0x400, 0x800, 0x2000, 0x4000, 0x8000
_ONLYDIR, _DONT_FOLLOW = 0x01000000, 0x02000000
_WANTED = _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR | _DONT_FOLLOW
_APPEARED = _MOVED_TO | _CREATE
_HEAD = struct.Struct("iIII")
_EVENTS_PER_FOLDER = 2000  # reading the folder is cheaper than more of them
_READ_OCTETS = 262144


@dataclass(slots=True)
class Watch:
    """What happened in one folder since it was last taken. `cur` and `new`: name to whether it is there now."""

    on_event: Callable[[], None]
    descriptors: tuple[int, ...] = ()
    cur: dict[str, bool] = field(default_factory=dict)
    new: dict[str, bool] = field(default_factory=dict)
    is_lost: bool = False  # too much happened, or the directory went: read it whole


class Watcher:
    """The process's inotify instance.

    `fileno` becomes readable when there are events: let the loop call `drain` then.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[int, tuple[Watch, bool]] = {}  # descriptor -> (watch, whether it is cur)
        self._libc = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6", use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)

    @property
    def works(self) -> bool:
        """Whether the kernel gave an instance."""
        return self._fd >= 0

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._fd

    def add(self, folder: str, on_event: Callable[[], None]) -> Watch | None:
        """Watch a folder's `cur` and `new`; None when the kernel refuses.

        `on_event` is called within `drain`, from any thread: it must not block.
        """
        watch = Watch(on_event)
        with self._lock:
            if self._fd < 0:
                return None
            made: list[int] = []
            for name in ("cur", "new"):
                descriptor = self._libc.inotify_add_watch(self._fd, os.fsencode(f"{folder}/{name}"), _WANTED)
                if descriptor < 0 or descriptor in self._watches:
                    self._remove(made)
                    return None
                made.append(descriptor)
                self._watches[descriptor] = (watch, name == "cur")
            watch.descriptors = tuple(made)
        return watch

    def remove(self, watch: Watch) -> None:
        """Stop watching."""
        with self._lock:
            self._remove(list(watch.descriptors))

    def _remove(self, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            if self._watches.pop(descriptor, None) is not None and self._fd >= 0:
                self._libc.inotify_rm_watch(self._fd, descriptor)

    def drain(self) -> None:
        """Sort all waiting events to their folders. Does not block; from any thread."""
        touched: dict[int, Watch] = {}
        with self._lock:
            while self._fd >= 0:
                try:
                    octets = os.read(self._fd, _READ_OCTETS)
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno == errno.EINTR:
                        continue
                    break
                self._sort(octets, touched)
        for watch in touched.values():
            watch.on_event()

    def _sort(self, octets: bytes, touched: dict[int, Watch]) -> None:
        position = 0
        while position < len(octets):
            descriptor, mask, _, length = _HEAD.unpack_from(octets, position)
            position += _HEAD.size
            if mask & _OVERFLOW:
                for watch, _ in self._watches.values():
                    watch.is_lost = True
                    touched[id(watch)] = watch
            elif (entry := self._watches.get(descriptor)) is not None:
                watch, is_cur = entry
                touched[id(watch)] = watch
                if mask & (_DELETE_SELF | _MOVE_SELF | _UNMOUNT | _IGNORED):
                    watch.is_lost = True
                elif not watch.is_lost:
                    name = os.fsdecode(octets[position : position + length].rstrip(b"\0"))
                    names = watch.cur if is_cur else watch.new
                    names[name] = bool(mask & _APPEARED)
                    if len(names) > _EVENTS_PER_FOLDER:
                        _lose(watch)
            position += length

    def take(self, watch: Watch) -> tuple[dict[str, bool], dict[str, bool], bool]:
        """Return (cur, new, lost) of the folder and begin anew. Drain first."""
        with self._lock:
            taken = watch.cur, watch.new, watch.is_lost
            watch.cur, watch.new, watch.is_lost = {}, {}, False
        return taken

    def has_events(self, watch: Watch) -> bool:
        """Whether `take` would return something. Memory."""
        return bool(watch.is_lost or watch.cur or watch.new)

    def close(self) -> None:
        """Close the instance; every watch ends."""
        with self._lock:
            self._watches.clear()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def _lose(watch: Watch) -> None:
    watch.is_lost = True
    watch.cur, watch.new = {}, {}
