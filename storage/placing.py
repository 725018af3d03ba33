"""The steps of one commit: sync the octets, name them in every box, sync the names; or take it all back."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from storage.errors import NotFound
from storage.files import HeldFd, sync_file_system
from storage.letter import Letter
from storage.maildir import create_folder, folder_dir
from storage.open_dirs import OpenDirs
from storage.spool_entry import Target

# Measured on ext4: 1 directory 0.5 ms each way, 4: 1.4 by fsync of each against 0.9 by one syncfs, 16: 5.1 against 1.6,
# 100: 58 against 9. Beside a foreign writer syncfs waits for its pages too (1: 0.8 against 7.8 ms): few go one by one.
SYNCFS_ABOVE_COUNT = 4


class Placing:
    """What one call has done so far. Not for several threads."""

    def __init__(self, directory: str, dirs: OpenDirs) -> None:
        self._directory = directory
        self._dirs = dirs
        self._files: dict[int, HeldFd] = {}
        self._new_dirs: dict[str, HeldFd | None] = {}
        self._other_dirs: dict[str, HeldFd] = {}
        self._linked: list[tuple[str, str]] = []

    def file(self, letter: Letter) -> HeldFd:
        """The letter in a synced file; the same one whenever the same letter is asked for. Raises OSError."""
        held = self._files.get(id(letter))
        if held is None:
            held = letter.file(self._directory)
            os.fdatasync(held.fd)
            self._files[id(letter)] = held
        return held

    def link(self, letter: Letter, targets: Sequence[Target], name: str) -> None:
        """Name the letter in every target's `new/`. Raises OSError, NotFound when there is no such mailbox."""
        few = len(targets) <= SYNCFS_ABOVE_COUNT
        for target in targets:
            folder = folder_dir(target.mailbox, target.folder)
            try:
                self._link_one(letter, folder, name, few=few)
            except FileNotFoundError as error:
                if not os.path.isdir(target.mailbox):
                    raise NotFound(f"there is no mailbox {target.mailbox}") from error
                create_folder(target.mailbox, target.folder)
                self._link_one(letter, folder, name, few=few)

    def _link_one(self, letter: Letter, folder: str, name: str, *, few: bool) -> None:
        new = f"{folder}/new"
        held = self._dirs.open(new) if few else None
        try:
            self._name(self.file(letter), new, name, held)
        except OSError as error:
            if not self._is_spent(error, letter):
                raise
            self._files.pop(id(letter))
            self._files[id(letter)] = self._copy(letter)
            self._name(self._files[id(letter)], new, name, held)
        self._linked.append((new, name))
        self._new_dirs[new] = held

    @staticmethod
    def _name(file: HeldFd, new: str, name: str, held: HeldFd | None) -> None:
        if held is None:
            file.link(f"{new}/{name}")
        else:
            file.link(name, held.fd)

    def _is_spent(self, error: OSError, letter: Letter) -> bool:
        """The inode takes no more names: 65,000 are ext4's limit, and one whose last name went gets none."""
        if error.errno == errno.EMLINK:
            return True
        return error.errno == errno.ENOENT and bool(self._linked) and os.fstat(self.file(letter).fd).st_nlink == 0

    def _copy(self, letter: Letter) -> HeldFd:
        copy = Letter(letter.pieces).file(self._directory)
        os.fdatasync(copy.fd)
        return copy

    def also_sync(self, directory: str) -> None:
        """Have the names in `directory` synced with the others. Raises OSError."""
        if directory not in self._other_dirs:
            self._other_dirs[directory] = self._dirs.open(directory)

    def sync(self) -> None:
        """Make every name durable. Raises OSError."""
        others = list(self._other_dirs.values())
        if len(self._new_dirs) > SYNCFS_ABOVE_COUNT:
            root = self._dirs.open(self._directory)
            sync_file_system(root.fd)
            device = os.fstat(root.fd).st_dev
            others = [held for held in others if os.fstat(held.fd).st_dev != device]
        else:
            for path, held in self._new_dirs.items():
                os.fsync((held or self._dirs.open(path)).fd)
        for other in others:
            os.fsync(other.fd)

    def undo(self) -> None:
        """Take back every name, as far as that can be done."""
        for new, name in reversed(self._linked):
            try:
                os.unlink(f"{new}/{name}")
            except OSError:
                pass
        self._linked.clear()


class Naming:
    """One letter's names in all its mailboxes, given at once or taken back; nothing here is synced.

    A missing folder is made, and a missing mailbox noticed, before anything is promised (of few targets).
    Raises OSError, NotFound.
    """

    def __init__(self, dirs: OpenDirs, targets: Sequence[Target]) -> None:
        self._folders = [(target, f"{folder_dir(target.mailbox, target.folder)}/new") for target in targets]
        self._held: list[HeldFd] = []
        self._named: list[str] = []
        if len(targets) <= SYNCFS_ABOVE_COUNT:
            for target, new in self._folders:
                try:
                    self._held.append(dirs.open(new))
                except FileNotFoundError:
                    self._make(target)
                    self._held.append(dirs.open(new))

    @staticmethod
    def _make(target: Target) -> None:
        if not os.path.isdir(target.mailbox):
            raise NotFound(f"there is no mailbox {target.mailbox}")
        create_folder(target.mailbox, target.folder)

    def give(self, file: HeldFd, name: str) -> None:
        """Name the file in every `new/`. Raises OSError, NotFound."""
        if self._held:
            for held, (_, new) in zip(self._held, self._folders, strict=True):
                file.link(name, held.fd)
                self._named.append(f"{new}/{name}")
            return
        for target, new in self._folders:
            path = f"{new}/{name}"
            try:
                self._link(file, path)
            except FileNotFoundError:
                self._make(target)
                self._link(file, path)
            self._named.append(path)

    def _link(self, file: HeldFd, path: str) -> None:
        """From the first name on by that, shorter than by way of /proc; a reader may have taken it to `cur` already."""
        if self._named:
            try:
                os.link(self._named[0], path)
            except FileNotFoundError:
                file.link(path)
        else:
            file.link(path)

    def take_back(self) -> None:
        """Remove the names given, as far as that can be done."""
        for path in reversed(self._named):
            try:
                os.unlink(path)
            except OSError:
                pass
        self._named.clear()
