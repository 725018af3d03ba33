"""Reading a folder's file names and comparing them with what is known: by listing, or by the kernel's events."""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import add

from storage.box_info import flags_of, is_letter_name, split_name, virtual_octets_in
from storage.box_state import Arrived, State
from storage.errors import NotFound
from storage.scan_folder import Scan, Stamp, scan


class FolderLost(NotFound):
    """The folder was removed, or its UIDVALIDITY is another: sessions in it must end (`BYE`)."""


@dataclass(slots=True)
class Names:
    """A reading of file names, whole or by events. `seen`: base to info of names that the state does not have."""

    seen: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)  # bases whose known name was not there
    new: list[str] = field(default_factory=list)  # names in new/
    stamp: Stamp | None = None


class NameReader:
    """Reads one folder's names. Called with the box's lock held."""

    def __init__(self, folder: str, *, now: Callable[[], float], unique: Callable[[], str]) -> None:
        self.folder = folder
        self._now = now
        self.unique = unique
        self._uid_of: dict[str, int] = {}
        self._uid_of_bases: list[str] | None = None

    def uid_of(self, state: State) -> dict[str, int]:
        """Return base to UID of the state's letters; made when first needed, kept while the letters are the same."""
        if self._uid_of_bases is not state.bases:
            self._uid_of = dict(zip(state.bases, state.columns.uid, strict=True))
            self._uid_of_bases = state.bases
        return self._uid_of

    def follow(self, before: State, after: State, gone: list[str], arrived: list[Arrived]) -> None:
        """Carry `uid_of` over to the next state, instead of making it anew from all names."""
        if self._uid_of_bases is before.bases:
            for base in gone:
                self._uid_of.pop(base, None)
            self._uid_of.update((letter.base, letter.uid) for letter in arrived)
            self._uid_of_bases = after.bases

    def from_scan(self, state: State) -> Names:
        """Compare the state with both directories. Raises FolderLost."""
        return self.compare(state, self.scan())

    def scan(self) -> Scan:
        """List both directories. Raises FolderLost."""
        try:
            return scan(self.folder, self._now())
        except NotFound as error:
            raise FolderLost(str(error)) from None

    def compare(self, state: State, reading: Scan) -> Names:
        """Return how a listing differs from the state."""
        known = set(map(add, state.bases, state.infos))
        there = set(reading.cur)
        names = Names(new=reading.new, stamp=reading.stamp)
        for name in reading.cur:  # in the directory's order, in which the kernel finds them fastest afterwards
            if name not in known:
                base, info = split_name(name)
                names.seen[base] = info
        absent = known - there
        if absent:
            names.missing = [base for base, _ in map(split_name, absent) if base not in names.seen]
        if names.seen:
            self._settle_doubles(state, names, there)
        return names

    def from_events(self, state: State, cur: dict[str, bool], new: dict[str, bool]) -> Names:
        """Return how names that came and went differ from the state."""
        uid_of = self.uid_of(state)
        names = Names(new=[name for name, is_there in new.items() if is_there and is_letter_name(name)])
        went: set[str] = set()
        for name, is_there in cur.items():
            if not is_letter_name(name):
                continue
            base, info = split_name(name)
            if is_there:
                names.seen[base] = info
            else:
                went.add(name)
        for name in went:
            base, info = split_name(name)
            if base in names.seen or base not in uid_of:
                continue
            row = state.row_of(uid_of[base])
            if row is not None and state.infos[row] == info:
                names.missing.append(base)
        return names

    def _settle_doubles(self, state: State, names: Names, there: set[str]) -> None:
        """Two files of one base name: the same letter twice by a crash, or two letters by a foreign copy.

        None is lost.
        """
        uid_of = self.uid_of(state)
        for base in names.seen.keys() & uid_of.keys():
            info = names.seen[base]
            row = state.row_of(uid_of[base])
            if row is None or base + state.infos[row] not in there:
                continue
            del names.seen[base]
            first, second = f"{self.folder}/cur/{base}{state.infos[row]}", f"{self.folder}/cur/{base}{info}"
            try:
                one, other = os.lstat(first), os.lstat(second)
            except FileNotFoundError:  # it was renamed while we read: only one of the names is real
                if not os.path.lexists(first):
                    names.seen[base] = info
                continue
            if one.st_ino == other.st_ino:
                os.unlink(second)
            else:
                unique = self.unique()
                os.rename(second, f"{self.folder}/cur/{unique}{info}")
                names.seen[unique] = info

    def arrival(self, cur_fd: int, uid: int, base: str, info: str) -> Arrived | None:
        """Return the row of a letter; None when there is no such file (any more)."""
        try:
            stat = os.lstat(base + info, dir_fd=cur_fd)
            if not stat_module.S_ISREG(stat.st_mode):
                return None
            size = virtual_octets_in(base)
            if size is None:
                size = virtual_size(f"{self.folder}/cur/{base}{info}")
        except OSError:
            return None
        return Arrived(uid, base, info, flags_of(info), size, int(stat[stat_module.ST_MTIME]))


def virtual_size(path: str) -> int:
    """Return the letter's octets with CRLF line ends, by reading it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(fd, "rb") as file:
        size = 0
        last = b""
        while block := file.read(1 << 20):
            bare = block.count(b"\n") - block.count(b"\r\n")
            if last == b"\r" and block.startswith(b"\n"):
                bare -= 1
            size += len(block) + bare
            last = block[-1:]
    return size
