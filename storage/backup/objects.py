"""Octets by their SHA-256, each a plain file `objects/<first two digits>/<sha256>`, written once, never changed.

An object of a run that did not end may be torn; nothing names it, and `sweep` takes it away. What a backup names was
on disk (syncfs) before the backup existed.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Set
from contextlib import suppress

from storage.errors import NoSpace, NotFound
from storage.files import free_octets, store_error, write_all

PART_OCTETS = 4 << 20
"""Files are kept in parts of this size, so that a database that changes in one place is not kept anew as a whole."""
_SPACE_ASKED_EVERY_OCTETS = 64 << 20
_NO_LINK = frozenset({errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP, errno.EACCES})


class Objects:
    """The objects of the repository at `root`. Several processes may put at once."""

    def __init__(self, root: str, *, link: bool = False, reserve_octets: int = 0) -> None:
        self.folder = f"{root}/objects"
        self.damaged = f"{root}/damaged"
        self._link = link
        self._reserve_octets = reserve_octets
        self._until_asked = 0
        self.new_count = 0
        self.new_octets = 0

    def create(self) -> None:
        """Make the folders. Raises OSError."""
        for digits in range(256):
            os.makedirs(f"{self.folder}/{digits:02x}", mode=0o700, exist_ok=True)
        os.makedirs(self.damaged, mode=0o700, exist_ok=True)

    def path(self, sha256: str) -> str:
        """Where the object is, or would be."""
        return f"{self.folder}/{sha256[:2]}/{sha256}"

    def put(self, octets: bytes, source_fd: int | None = None) -> str:
        """Keep `octets`; their SHA-256. With `source_fd`, a file that is just these, it may be linked, not copied.

        Not durable before `storage.files.sync_file_system`. Raises NoSpace, StoreError.
        """
        sha256 = hashlib.sha256(octets).hexdigest()
        path = self.path(sha256)
        if source_fd is not None and self._link and self._linked(source_fd, path):
            return sha256
        try:
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o400)
        except FileExistsError:
            return sha256
        except OSError as error:
            raise store_error(error, f"cannot write {path}") from error
        try:
            self._ask_space(len(octets))
            write_all(fd, [octets])
            os.close(fd)  # some file systems tell here that it failed
        except BaseException as error:
            _discard(fd, path)
            if isinstance(error, OSError):
                raise store_error(error, f"cannot write {path}") from error
            raise
        self.new_count += 1
        self.new_octets += len(octets)
        return sha256

    def put_file(self, fd: int) -> tuple[int, tuple[str, ...]]:
        """Keep the file at `fd` in parts; its octets, and the parts' SHA-256. Raises OSError, NoSpace, StoreError."""
        parts: list[str] = []
        done = 0
        while block := _read_full(fd, PART_OCTETS, done):
            parts.append(self.put(block))
            done += len(block)
        return done, tuple(parts)

    def _linked(self, source_fd: int, path: str) -> bool:
        try:
            os.link(f"/proc/self/fd/{source_fd}", path, src_dir_fd=source_fd, follow_symlinks=True)
        except FileExistsError:
            return True
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise store_error(error, f"cannot link {path}") from error
            return False
        self.new_count += 1
        self.new_octets += os.fstat(source_fd).st_size
        return True

    def is_link_of(self, sha256: str, inode: int) -> bool:
        """Whether the object is not a copy but another name of the file with that inode."""
        try:
            return self._link and os.stat(self.path(sha256)).st_ino == inode
        except FileNotFoundError:
            return False

    def _ask_space(self, octets: int) -> None:
        """Raise NoSpace before the disk, which may be the mailboxes' too, has less than the reserve."""
        self._until_asked -= octets
        if self._until_asked < 0 and self._reserve_octets:
            free = free_octets(self.folder)
            if free - octets < self._reserve_octets:
                raise NoSpace(
                    f"{self.folder}: {free} octets free, {self._reserve_octets} are kept in reserve; the backup"
                    " needs more room, or fewer backups kept"
                )
            self._until_asked = min(_SPACE_ASKED_EVERY_OCTETS, (free - self._reserve_octets) // 4)

    def read(self, sha256: str) -> bytes:
        """The octets, unchecked. Raises NotFound, OSError."""
        try:
            fd = os.open(self.path(sha256), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise NotFound(f"{self.path(sha256)} is missing") from None
        try:
            return _read_full(fd, os.fstat(fd).st_size + 1, 0)
        finally:
            os.close(fd)

    def is_whole(self, sha256: str) -> bool:
        """Whether the object is there and its octets have that SHA-256. An error of the disk counts as no."""
        digest = hashlib.sha256()
        try:
            fd = os.open(self.path(sha256), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
                done = 0
                while block := os.pread(fd, PART_OCTETS, done):
                    digest.update(block)
                    done += len(block)
            finally:
                os.close(fd)
        except OSError:
            return False
        return digest.hexdigest() == sha256

    def put_aside(self, sha256: str) -> None:
        """Take a damaged object out of use: the next run keeps the octets anew, if the site still has them."""
        try:
            os.rename(self.path(sha256), f"{self.damaged}/{sha256}")
        except FileNotFoundError:
            os.close(os.open(f"{self.damaged}/{sha256}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o400))

    def damaged_ones(self) -> set[str]:
        """The SHA-256 of objects that were put aside and are not there again."""
        try:
            return {name for name in os.listdir(self.damaged) if not os.path.exists(self.path(name))}
        except FileNotFoundError:
            return set()

    def every(self) -> Iterator[str]:
        """The SHA-256 of all that is there."""
        for digits in range(256):
            try:
                yield from os.listdir(f"{self.folder}/{digits:02x}")
            except FileNotFoundError:
                continue

    def sweep(self, named: Set[str], keeps: Callable[[str], bool] = lambda sha256: False) -> int:
        """Remove what no backup names; how many. What `keeps` says is whole may stay, for a run that goes on."""
        removed = 0
        for sha256 in self.every():
            if sha256 not in named and not keeps(sha256):
                os.unlink(self.path(sha256))
                removed += 1
        return removed


def _read_full(fd: int, octets: int, at: int) -> bytes:
    """Up to `octets` octets from `at` on: fewer only at the file's end."""
    block = os.pread(fd, octets, at)
    if len(block) == octets or not block:
        return block
    blocks = [block]
    done = len(block)
    while done < octets and (block := os.pread(fd, octets - done, at + done)):
        blocks.append(block)
        done += len(block)
    return b"".join(blocks)


def _discard(fd: int, path: str) -> None:
    with suppress(OSError):
        os.close(fd)
    with suppress(OSError):
        os.unlink(path)
