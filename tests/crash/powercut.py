"""What a disk may hold after the power was cut: every call that changes files is recorded, then a legal state is drawn.

The model is harsher than ext4 in most points. Octets that were not synced may be there, be zeros, be cut off, be of the
old or the new version sector by sector, or be absent. Names that were not synced may be there or not, each by itself,
but for this: one that depends on another (a rename of what was linked) has it, and a rename is there whole or not at
all. fsync(2) of a directory brings its own names; syncfs(2) brings everything. Directories are taken as durable.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import dataclass, field
from typing import Any

from storage import files

SECTOR_OCTETS = 512


@dataclass
class Op:
    """A change of names: (directory, name) -> inode or None. All of them or none are on the disk."""

    names: dict[tuple[str, str], int | None]
    is_rename: bool = False


@dataclass
class Disk:
    """What is durable, and what is only in memory."""

    names: dict[tuple[str, str], int] = field(default_factory=dict)
    pending: list[Op] = field(default_factory=list)
    durable: dict[int, bytes] = field(default_factory=dict)
    current: dict[int, bytes] = field(default_factory=dict)

    def snapshot(self) -> Disk:
        """As it is now."""
        return Disk(dict(self.names), deepcopy(self.pending), copy(self.durable), copy(self.current))

    def sync_octets(self, inode: int) -> None:
        self.durable[inode] = self.current.get(inode, b"")

    def sync_directory(self, path: str) -> None:
        """The directory's names and what they depend on: the earlier changes of the same names."""
        wanted = {index for index, op in enumerate(self.pending) if any(where == path for where, _ in op.names)}
        for index in range(len(self.pending) - 1, -1, -1):
            if index not in wanted and any(self._depends(later, index) for later in wanted):
                wanted.add(index)
        for index in sorted(wanted):
            self._apply(self.names, self.pending[index])
        self.pending = [op for index, op in enumerate(self.pending) if index not in wanted]

    def sync_all(self) -> None:
        for op in self.pending:
            self._apply(self.names, op)
        self.pending = []
        self.durable.update(self.current)

    def rename_directory(self, old: str, new: str) -> None:
        """Directories are durable; what lies below is on the disk or not as before."""

        def moved(names: dict[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
            return {
                (new + path[len(old) :] if path == old or path.startswith(f"{old}/") else path, name): inode
                for (path, name), inode in names.items()
            }

        self.names = moved(self.names)
        for op in self.pending:
            op.names = moved(op.names)

    def _depends(self, later: int, earlier: int) -> bool:
        return later > earlier and bool(self.pending[later].names.keys() & self.pending[earlier].names.keys())

    @staticmethod
    def _apply(names: dict[tuple[str, str], int], op: Op) -> None:
        for key, inode in op.names.items():
            if inode is None:
                names.pop(key, None)
            else:
                names[key] = inode

    def after(
        self, dice: random.Random, *, power_cut: bool = True
    ) -> tuple[dict[tuple[str, str], int], dict[int, bytes]]:
        """A legal state: names, and octets by inode. Without a power cut (a killed process): all that was written."""
        names = dict(self.names)
        chance = dice.choice([0.0, 0.3, 0.5, 0.7, 1.0]) if power_cut else 1.0
        missing: set[int] = set()
        for index, op in enumerate(self.pending):
            if any(self._depends(index, earlier) for earlier in missing) or dice.random() >= chance:
                missing.add(index)
            else:
                self._apply(names, op)
        octets = {
            inode: self._octets(inode, dice) if power_cut else self.current.get(inode, b"")
            for inode in set(names.values())
        }
        return names, octets

    def _octets(self, inode: int, dice: random.Random) -> bytes:
        old, new = self.durable.get(inode, b""), self.current.get(inode, b"")
        if old == new:
            return new
        kind = dice.choice(["old", "new", "zeros", "cut", "sectors", "sectors"])
        if kind == "old" or kind == "new":
            return old if kind == "old" else new
        if kind == "zeros":
            return old + bytes(max(0, len(new) - len(old)))
        if kind == "cut":
            return new[: dice.randrange(len(old), len(new) + 1)] if new.startswith(old) else old
        padded = old.ljust(len(new), b"\0")
        sectors = range(0, len(new), SECTOR_OCTETS)
        return b"".join((new if dice.random() < 0.5 else padded)[at : at + SECTOR_OCTETS] for at in sectors)


class Recorder:
    """Follows the calls of `os` on files below `root` while `recording`. `on_call` is asked before each of them."""

    def __init__(self, root: str, on_call: Callable[[], None] = lambda: None) -> None:
        self.root = root
        self.disk = Disk()
        self.on_call = on_call
        self._kept: dict[int, int] = {}  # a descriptor of every inode seen: its number is not given to another

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Wrap `os` and syncfs."""
        names = (
            "open", "link", "unlink", "rename", "write", "writev", "pwrite", "pwritev", "sendfile", "copy_file_range",
            "fsync", "fdatasync",
        )  # fmt: skip
        real = {name: getattr(os, name) for name in names}
        self._real = real
        syncfs = files._libc.syncfs
        for name in names:
            setattr(os, name, getattr(self, f"_{name}"))
        files._libc.syncfs = self._syncfs(syncfs)
        try:
            yield
        finally:
            files._libc.syncfs = syncfs
            for name, function in real.items():
                setattr(os, name, function)

    def close(self) -> None:
        """Let the inodes go."""
        for fd in self._kept.values():
            os.close(fd)
        self._kept.clear()

    def _key(self, path: str, dir_fd: int | None) -> tuple[str, str] | None:
        path = os.fspath(path)
        if dir_fd is not None and not path.startswith("/"):
            path = f"{os.readlink(f'/proc/self/fd/{dir_fd}')}/{path}"
        path = os.path.normpath(path)
        return os.path.split(path) if path.startswith(f"{self.root}/") else None  # type: ignore[return-value]

    def _known(self, fd: int) -> int | None:
        found = os.fstat(fd).st_ino
        return found if found in self._kept else None

    def _keep(self, fd: int) -> int:
        inode = os.fstat(fd).st_ino
        if inode not in self._kept:
            self._kept[inode] = self._real["open"](f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
            self.disk.current[inode] = self._read(inode)
        return inode

    def _read(self, inode: int) -> bytes:
        fd = self._kept[inode]
        return os.pread(fd, os.fstat(fd).st_size, 0)

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        is_unnamed = flags & os.O_TMPFILE == os.O_TMPFILE
        key = None if is_unnamed else self._key(path, dir_fd)
        is_new = bool(flags & os.O_CREAT) and key is not None and not os.path.lexists("/".join(key))
        if is_new or is_unnamed:
            self.on_call()
        fd: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
        if is_new or (is_unnamed and str(path).startswith(self.root)):
            inode = self._keep(fd)
            if key is not None:
                self.disk.pending.append(Op({key: inode}))
        return fd

    def _link(
        self,
        src: str,
        dst: str,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        self.on_call()
        given = {"src_dir_fd": src_dir_fd, "dst_dir_fd": dst_dir_fd, "follow_symlinks": follow_symlinks}
        self._real["link"](src, dst, **{k: v for k, v in given.items() if v is not None})
        key = self._key(dst, dst_dir_fd)
        if key is not None:
            self.disk.pending.append(Op({key: os.lstat("/".join(key)).st_ino}))

    def _unlink(self, path: str, *, dir_fd: int | None = None) -> None:
        self.on_call()
        self._real["unlink"](path, dir_fd=dir_fd)
        key = self._key(path, dir_fd)
        if key is not None:
            self.disk.pending.append(Op({key: None}))

    def _rename(self, src: str, dst: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        self.on_call()
        self._real["rename"](src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        old, new = self._key(src, src_dir_fd), self._key(dst, dst_dir_fd)
        if old is not None and new is not None and os.path.isdir("/".join(new)):
            self.disk.rename_directory("/".join(old), "/".join(new))
        elif old is not None and new is not None:
            self.disk.pending.append(Op({old: None, new: os.lstat("/".join(new)).st_ino}, is_rename=True))

    def _written(self, fd: int) -> None:
        inode = self._known(fd)
        if inode is not None:
            self.disk.current[inode] = self._read(inode)

    def _fsync(self, fd: int) -> None:
        self.on_call()
        self._real["fsync"](fd)
        self._synced(fd)

    def _fdatasync(self, fd: int) -> None:
        self.on_call()
        self._real["fdatasync"](fd)
        self._synced(fd)

    def _synced(self, fd: int) -> None:
        inode = self._known(fd)
        if inode is not None:
            self.disk.sync_octets(inode)
        elif os.path.isdir(f"/proc/self/fd/{fd}"):
            self.disk.sync_directory(os.readlink(f"/proc/self/fd/{fd}"))

    def _syncfs(self, real: Any) -> Any:
        def syncfs(fd: int) -> int:
            self.on_call()
            self.disk.sync_all()
            return 0

        return syncfs


def _writer(name: str, fd_at: int) -> Any:
    def call(self: Recorder, *args: Any) -> Any:
        self.on_call()
        done = self._real[name](*args)
        self._written(args[fd_at])
        return done

    return call


for _name, _at in (("write", 0), ("writev", 0), ("pwrite", 0), ("pwritev", 0), ("sendfile", 0), ("copy_file_range", 1)):
    setattr(Recorder, f"_{_name}", _writer(_name, _at))


def build(state: tuple[dict[tuple[str, str], int], dict[int, bytes]], old_root: str, root: str) -> None:
    """Make the state's files below `root`, where the directories are already."""
    names, octets = state
    made: dict[int, str] = {}
    for (directory, name), inode in names.items():
        path = f"{root}{directory[len(old_root) :]}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)  # one that was renamed since
        if inode in made:
            os.link(made[inode], path)
            continue
        with open(path, "wb") as file:
            file.write(octets[inode])
        made[inode] = path
