"""What differs between a folder's last known state and its files: letters that came, changed, went. The rules of
contracts 4 and 5.

Other processes and foreign programs rename, add and remove files all the while. So: a name once read is only a claim,
the UID lock orders
arrivals, and a letter is taken for gone only if two readings lack it and its file cannot be found by its last name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from storage.box_info import arrival_order, flags_of, split_name
from storage.box_letters import opened_dir
from storage.box_names import FolderLost, NameReader, Names
from storage.box_state import Arrived, State
from storage.scan_folder import Stamp
from storage.uidlist import News, Remembered, UidList

_LOST_UIDS = 100  # others may have given so many since we last looked, when the uidlist is lost
_DEAD_LINES = 1000  # more lines of gone letters than this, and than living ones: the uidlist is written anew


@dataclass(slots=True)
class Found:
    """The difference: `arrived` in UID order above all known, `changed` (row, info), `gone` rows."""

    arrived: list[Arrived] = field(default_factory=list)
    changed: list[tuple[int, str]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    uidnext: int = 1
    uidvalidity: int = 0
    stamp: Stamp | None = None

    def __bool__(self) -> bool:
        return bool(self.arrived or self.changed or self.gone)


class Put(NamedTuple):
    """A file that was brought into cur/, its octets with CRLF line ends, its date."""

    base: str
    info: str
    size: int
    internaldate: int


class Lister(NamedTuple):
    """The UID that comes next, under this UIDVALIDITY, and what gives it to a base name once its file is there."""

    uid: int
    uidvalidity: int
    list: Callable[[str], None]


class Sync:
    """One folder's files and uidlist. Called with the box's lock held."""

    def __init__(
        self,
        folder: str,
        uidlist: UidList,
        *,
        now: Callable[[], float],
        new_uidvalidity: Callable[[], int],
        unique: Callable[[], str],
        told_uidnext: Callable[[], int],
    ) -> None:
        self.folder = folder
        self.uidlist = uidlist
        self._names = NameReader(folder, now=now, unique=unique)
        self._new_uidvalidity = new_uidvalidity
        self._told_uidnext = told_uidnext
        self._listed: dict[str, int] = {}  # lines of the uidlist whose letters are not in the state
        self._relisted: dict[str, int] = {}  # letters of the state that others listed again under another UID

    def look(self, state: State, events: tuple[dict[str, bool], dict[str, bool]] | None = None) -> Found:
        """Compare by events (names that came and went, from inotify) or by reading both directories.

        Raises FolderLost.
        """
        names = self._names.from_scan(state) if events is None else self._names.from_events(state, *events)
        if names.missing:
            self._confirm_by_scan(state, names)
        arrived = self._arrive(state, names)
        found = Found(
            arrived=arrived,
            uidnext=self.uidlist.known.next_uid,
            uidvalidity=self.uidlist.known.uidvalidity,
            stamp=names.stamp,
        )
        self._sort_known(state, names, found)
        return found

    def follow(self, before: State, after: State, found: Found) -> None:
        """The box has made `after` of `before` and `found`: carry over what is known by name."""
        self._names.follow(before, after, [before.bases[row] for row in found.gone], found.arrived)

    def _confirm_by_scan(self, state: State, names: Names) -> None:
        """Look a second time: readdir misses entries while others rename, and a rename is two events, not one."""
        again = self._names.from_scan(state)
        still = set(again.missing)
        names.missing = [base for base in names.missing if base in still]
        names.seen.update(again.seen)
        names.new = again.new
        if again.stamp is None or again.stamp != names.stamp:
            names.stamp = None

    def _arrive(self, state: State, names: Names) -> list[Arrived]:
        """Give every letter that has none a UID, move new/ to cur/, and return those that the state lacks."""
        uid_of = self._names.uid_of(state)
        is_listed = self.uidlist.known.inode != 0
        if (
            is_listed
            and not names.new
            and all(base in uid_of for base in names.seen)
            and not self.uidlist.has_changed()
        ):
            return []
        if is_listed or state.uidvalidity:
            self._note(state, self.uidlist.read())
        if (
            names.new
            or not self.uidlist.known.inode
            or any(self._uid_for(state, base) is None for base in self._unknown(state, names))
        ):
            self._assign(state, names)
        elif self._lacks_listed(state, names):
            self._read_again(state, names)
        return self._arrivals(state, names)

    def _note(self, state: State, news: News | None) -> None:
        """Take lines of the uidlist in; a lost list is written again.

        Raises FolderLost when the UIDVALIDITY is another.
        """
        if news is None:
            if (remembered := self._remembered(state)) is not None:
                self.uidlist.write_back(remembered)
            return
        if state.uidvalidity and self.uidlist.known.uidvalidity != state.uidvalidity:
            raise FolderLost(f"{self.folder} has another UIDVALIDITY now")
        if news.whole:
            self._listed.clear()
        uid_of = self._names.uid_of(state)
        for uid, base in news.entries:
            known = uid_of.get(base)
            if known is None:
                self._listed[base] = uid
            elif uid > known:
                self._relisted[base] = uid

    def _remembered(self, state: State) -> Remembered | None:
        """What a lost uidlist is made of again: clients then download nothing anew, and no UID is given twice."""
        if not state.uidvalidity or os.path.exists(self.uidlist.path):
            return None
        next_uid = max(state.uidnext, self._told_uidnext()) + _LOST_UIDS
        return state.uidvalidity, next_uid, list(zip(state.columns.uid, state.bases, strict=True))

    def _unknown(self, state: State, names: Names) -> list[str]:
        uid_of = self._names.uid_of(state)
        return [base for base in names.seen if base not in uid_of]

    def _uid_for(self, state: State, base: str) -> int | None:
        """The UID that an unknown letter has by the uidlist, or None when it must get one: a UID below those told is
        as good as none.
        """
        uid = self._listed.get(base)
        return uid if uid is not None and uid >= state.uidnext else None

    def _lacks_listed(self, state: State, names: Names) -> bool:
        """Whether others listed letters that our reading came too early to see. (On the first reading nobody was told
        anything yet.)
        """
        if not state.uidvalidity:
            return False
        return any(uid >= state.uidnext and base not in names.seen for base, uid in self._listed.items())

    def _read_again(self, state: State, names: Names) -> None:
        again = self._names.from_scan(state)
        names.seen.update(again.seen)
        names.new = again.new
        absent = set(again.missing)
        names.missing = [base for base in names.missing if base in absent]
        names.stamp = None

    def _assign(self, state: State, names: Names) -> None:
        """Move letters and give UIDs under the lock.

        Others place their letters before they list them, so a reading now sees all that are listed.
        """

        def place(news: News, next_uid: int) -> list[str]:
            self._note(state, news)
            if self._lacks_listed(state, names):
                self._read_again(state, names)
            self._move_new(state, names)
            waiting = [base for base in self._unknown(state, names) if self._uid_for(state, base) is None]
            return sorted(waiting, key=arrival_order)

        added = self.uidlist.assign(self._new_uidvalidity, place, self._remembered(state))
        self._listed.update((base, uid) for uid, base in added)

    def place(self, state: State, put: Callable[[Lister | None], list[Put]]) -> tuple[Found, list[int]]:
        """Let `put` bring files into cur/ (it returns them in order) and give them UIDs, all under the lock; return
        those.

        What `put` lists itself has no line on the disk yet; with None that cannot be done.
        """
        names = Names()
        placed: list[Put] = []
        added: list[tuple[int, str]] = []

        def list_one(base: str) -> None:
            added.append((self.uidlist.list_unsynced(base), base))

        def inside(news: News, next_uid: int) -> list[str]:
            self._note(state, news)
            if self._lacks_listed(state, names):
                self._read_again(state, names)
            lister = Lister(self.uidlist.known.next_uid, self.uidlist.known.uidvalidity, list_one)
            placed.extend(put(lister if self.uidlist.can_append else None))
            return [] if added else [one.base for one in placed]

        if not self.uidlist.known.inode and state.uidvalidity:
            self._note(state, self.uidlist.read())
        added += self.uidlist.assign(self._new_uidvalidity, inside, self._remembered(state))
        uids = [uid for uid, _ in added]
        own = [
            Arrived(uid, one.base, one.info, flags_of(one.info), one.size, one.internaldate)
            for uid, one in zip(uids, placed, strict=True)
        ]
        found = Found(
            arrived=sorted([*self._arrivals(state, names), *own]),
            uidnext=self.uidlist.known.next_uid,
            uidvalidity=self.uidlist.known.uidvalidity,
        )
        self._sort_known(state, names, found)
        return found, uids

    def _move_new(self, state: State, names: Names) -> None:
        """Move what is in new/ to cur/.

        A name that is taken there already belongs to another letter: then it gets a new one.
        """
        uid_of = self._names.uid_of(state)
        for name in names.new:
            base, info = split_name(name)
            if not info.startswith(":2,"):
                info = ":2,"
            source = f"{self.folder}/new/{name}"
            is_taken = base in names.seen or (base in uid_of and base not in names.missing)
            if is_taken and not self._drop_double(source, base, names, state):
                base = self._names.unique()
            elif is_taken:
                continue
            try:
                os.rename(source, f"{self.folder}/cur/{base}{info}")
            except FileNotFoundError:  # another process was faster; its line and file are seen at the next look
                continue
            names.seen[base] = info
            if base in names.missing:
                names.missing.remove(base)
        names.new = []

    def _drop_double(self, source: str, base: str, names: Names, state: State) -> bool:
        """Whether the file in new/ is the letter that cur/ has already (a crash between link and unlink); then it is
        removed.
        """
        info = names.seen.get(base)
        if info is None:
            row = state.row_of(self._names.uid_of(state)[base])
            info = state.infos[row] if row is not None else ""
        try:
            if os.lstat(source).st_ino != os.lstat(f"{self.folder}/cur/{base}{info}").st_ino:
                return False
            os.unlink(source)
        except FileNotFoundError:
            return not os.path.lexists(source)
        return True

    def _arrivals(self, state: State, names: Names) -> list[Arrived]:
        """Return what the state lacks, UIDs ascending; what was renamed under our hands gets one more try."""
        coming = self._to_come(state, names)
        if not coming:
            return []
        arrived: list[Arrived] = []
        failed: list[tuple[int, str]] = []
        with self._opened_cur() as cur_fd:
            for base, uid in coming.items():
                letter = self._names.arrival(cur_fd, uid, base, names.seen[base])
                if letter is not None:
                    arrived.append(letter)
                else:
                    failed.append((uid, base))
            if failed:
                again = self._names.from_scan(state)
                names.stamp = None
                for uid, base in failed:
                    info = again.seen.get(base)
                    if info is not None and (letter := self._names.arrival(cur_fd, uid, base, info)) is not None:
                        arrived.append(letter)
        for letter in arrived:
            self._listed.pop(letter.base, None)
        return sorted(arrived)

    @contextmanager
    def _opened_cur(self) -> Iterator[int]:
        try:
            with opened_dir(f"{self.folder}/cur") as cur_fd:
                yield cur_fd
        except FileNotFoundError:
            raise FolderLost(f"{self.folder} is gone") from None

    def _to_come(self, state: State, names: Names) -> dict[str, int]:
        """Base to UID of the letters that become rows: unknown ones, and known ones that others gave another UID."""
        uid_of = self._names.uid_of(state)
        listed, first = self._listed, state.uidnext  # `_uid_for` of each, without the calls: there may be very many
        coming = {base: uid for base in names.seen if base not in uid_of and (uid := listed.get(base, 0)) >= first}
        for base, uid in self._relisted.items():
            if base in uid_of and base not in names.missing:
                row = state.row_of(uid_of[base])
                if row is not None:
                    names.seen.setdefault(base, state.infos[row])
                    coming[base] = uid
        return coming

    def _sort_known(self, state: State, names: Names, found: Found) -> None:
        uid_of = self._names.uid_of(state)
        for base, info in names.seen.items():
            uid = uid_of.get(base)
            row = state.row_of(uid) if uid is not None else None
            if row is None:
                continue
            if base in self._relisted:
                found.gone.append(row)
            elif state.infos[row] != info:
                found.changed.append((row, info))
        for base in names.missing:
            row = state.row_of(uid_of[base])
            if row is not None and not os.path.lexists(f"{self.folder}/cur/{base}{state.infos[row]}"):
                found.gone.append(row)
        self._relisted.clear()
        found.gone = sorted(set(found.gone))
        found.changed.sort()

    def compact_if_long(self, state: State) -> bool:
        """Write the uidlist anew when most of its lines are of letters that are gone; whether it was done."""
        if len(self._listed) < max(_DEAD_LINES, len(state.bases)):
            return False
        living = set(state.bases)
        for _ in range(2):  # by two readings, as for expunging
            reading = self._names.scan()
            living.update(split_name(name)[0] for name in reading.cur)
            living.update(split_name(name)[0] for name in reading.new)
        dead = {uid for base, uid in self._listed.items() if base not in living}
        newest = self.uidlist.known.next_uid
        self.uidlist.compact(lambda uid: uid >= newest or uid not in dead)
        self._listed.clear()
        return True
