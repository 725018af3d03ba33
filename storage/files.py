"""Files that are whole or absent: descriptors without a name, durable writes, what is free, one errno mapping.

`os.*` on descriptors and not file objects: the mail path counts its system calls.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Sequence

from storage.clock import Clock
from storage.errors import NoSpace, StoreError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_UNNAMED = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
_IOV_MAX = 1024
_libc = ctypes.CDLL(None, use_errno=True)


def store_error(error: OSError, doing: str) -> StoreError:
    """The error that tells `doing` failed: NoSpace for a full disk or disk quota, else StoreError."""
    kind = NoSpace if error.errno in _FULL else StoreError
    return kind(f"{doing}: {error}")


class HeldFd:
    """A descriptor that stays open as long as somebody refers to it, and is closed with the last reference.

    A session that is cancelled drops its letter while a thread still copies from it: closing by hand there would let
    the thread read whatever file got the number next.
    """

    __slots__ = ("__weakref__", "fd", "named")

    def __init__(self, fd: int, named: str | None = None) -> None:
        self.fd = fd
        self.named = named  # the temporary name, where the file system knows no O_TMPFILE

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the file now, in this thread: the last descriptor of a file without a name frees its blocks."""
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        if self.named is not None:
            try:
                os.unlink(self.named)
            except OSError:
                pass  # swept later

    def link(self, name: str, dir_fd: int | None = None) -> None:
        """Give the file the name `name` (in `dir_fd`, or absolute). Raises OSError: FileExistsError, EMLINK, ENOENT."""
        if self.named is not None:
            os.link(self.named, name, dst_dir_fd=dir_fd)
        elif dir_fd is None:
            # A dir_fd makes CPython call linkat(2), and AT_SYMLINK_FOLLOW is what follows the magic link.
            os.link(f"/proc/self/fd/{self.fd}", name, src_dir_fd=self.fd, follow_symlinks=True)
        else:
            os.link(f"/proc/self/fd/{self.fd}", name, dst_dir_fd=dir_fd, follow_symlinks=True)


_has_unnamed: dict[str, bool] = {}
_named_count = 0
_named_lock = threading.Lock()


def open_unnamed(directory: str, mode: int = 0o600) -> HeldFd:
    """A new file on `directory`'s file system that has no name until it is linked; read and write.

    Without O_TMPFILE (or /proc) it has a name in `directory`, which goes when the descriptor does. Raises OSError.
    """
    if _has_unnamed.get(directory, True):
        try:
            held = HeldFd(os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode))
        except OSError as error:
            if error.errno not in _NO_UNNAMED or not os.path.isdir(directory):
                raise
            _has_unnamed[directory] = False
        else:
            if directory not in _has_unnamed:
                _has_unnamed[directory] = os.path.exists(f"/proc/self/fd/{held.fd}")
            if _has_unnamed[directory]:
                return held
    return _open_named(directory, mode)


def _open_named(directory: str, mode: int) -> HeldFd:
    global _named_count
    with _named_lock:
        _named_count += 1
        count = _named_count
    path = f"{directory}/.unnamed.{os.getpid()}.{count}.{os.urandom(6).hex()}"
    return HeldFd(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, mode), path)


def write_all(fd: int, pieces: Sequence[bytes | memoryview]) -> None:
    """Write every piece at the descriptor's position, in one call where the kernel allows. Raises OSError."""
    waiting = [memoryview(p) for p in pieces if len(p)]
    while waiting:
        written = os.writev(fd, waiting[:_IOV_MAX])
        while waiting and written >= len(waiting[0]):
            written -= len(waiting.pop(0))
        if written:
            waiting[0] = waiting[0][written:]


def fsync_dir(path: str) -> None:
    """Make the names in directory `path` durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file_system(fd: int) -> None:
    """Make everything on the file system of `fd` durable: syncfs(2). Raises OSError, write errors included."""
    if _libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "syncfs")


def write_durable(path: str, data: bytes, mode: int = 0o600) -> None:
    """Replace `path` by `data`, whole and durable when it returns; before that the old content. Raises StoreError."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.{os.getpid()}.{os.urandom(6).hex()}.tmp")
    try:
        fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
        try:
            write_all(fd, [data])
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
        fsync_dir(directory or ".")
    except OSError as error:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise store_error(error, f"cannot write {path}") from error


def free_octets(path: str) -> int:
    """Octets that we may still write on the file system of `path`. Raises OSError."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


class FreeSpace:
    """The free octets of one file system, asked at most once a second, less what was promised since."""

    def __init__(self, path: str, reserve_octets: int, clock: Clock) -> None:
        self._path = path
        self._reserve_octets = reserve_octets
        self._clock = clock
        self._asked_at = float("-inf")
        self._free_octets = 0

    def take(self, wanted_octets: int) -> None:
        """Raise NoSpace, before any harm, when writing `wanted_octets` would go below the reserve."""
        now = self._clock.monotonic()
        if now - self._asked_at >= 1.0 or now < self._asked_at:
            try:
                self._free_octets = free_octets(self._path)
            except OSError as error:
                raise store_error(error, f"cannot ask what is free on {self._path}") from error
            self._asked_at = now
        if self._free_octets - wanted_octets < self._reserve_octets:
            raise NoSpace(f"{self._path}: {self._free_octets} octets free, {self._reserve_octets} are kept in reserve")
        self._free_octets -= wanted_octets
