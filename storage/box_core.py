"""One folder as a process knows it: the newest state, how it is brought up to date, and who is told."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from storage.box_info import flags_of
from storage.box_names import FolderLost
from storage.box_numbers import BoxNumbers
from storage.box_state import State, counted, with_arrived, with_flags, without_rows
from storage.box_sync import Found, Sync
from storage.box_types import SEEN, Columns, Counts, keyword_bit
from storage.errors import NotFound
from storage.index_folder import Saved, save
from storage.inotify import Watch
from storage.keywords import Keywords
from storage.scan_folder import Stamp, is_settled, names_in_new, stamp_of
from storage.uidlist import UidList
from storage.uidlist_validity import next_uidvalidity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.box import Mailbox

Events = tuple[dict[str, bool], dict[str, bool]]
_NO_EVENTS: Events = ({}, {})


class BoxCore(BoxNumbers):
    """State, synchronisation and numbering of one folder.

    `lock` is held by whatever changes `state`; readers take `state` once and need no lock.
    """

    def __init__(self, mailbox: Mailbox, name: str, path: str) -> None:
        super().__init__(mailbox, name)
        self.path = path
        self.cur = f"{path}/cur"
        self.is_lost = False
        self._keywords = Keywords(path)
        self._watch: Watch | None = None
        self._watched: tuple[int, int] | None = None
        self._must_scan = True
        self._reads_new = False  # cur is as it is known, new is not
        self._stamp: Stamp | None = None
        self._counts: tuple[Columns, int, Counts] | None = None
        self._saved: tuple[int, int, Stamp | None] | None = None
        self._listeners: dict[int, Callable[[], None]] = {}
        self.sync = self._sync(UidList(path))

    def _sync(self, uidlist: UidList) -> Sync:
        boxes = self.mailbox.boxes
        return Sync(
            self.path,
            uidlist,
            now=boxes.clock.time,
            new_uidvalidity=lambda: next_uidvalidity(self.mailbox.path, boxes.clock.time()),
            unique=boxes.unique_base,
            told_uidnext=self.told_uidnext,
        )

    @property
    def columns(self) -> Columns:
        """The newest known columns."""
        return self.state.columns

    @property
    def uidvalidity(self) -> int:
        """UIDVALIDITY; never changes while the box is open."""
        return self.state.uidvalidity

    @property
    def uidnext(self) -> int:
        """The next UID as far as known."""
        return self.state.uidnext

    @property
    def highestmodseq(self) -> int:
        """HIGHESTMODSEQ (RFC 7162)."""
        return self.state.highestmodseq

    @property
    def keywords(self) -> tuple[str, ...]:
        """Keyword names in the order of their bits; "" where a bit has no name."""
        return self.state.keywords

    def counts(self) -> Counts:
        """Figures of `columns`. Memory; kept, so cheap to ask again."""
        kept = self._counts
        columns = self.state.columns
        if kept is None or kept[0] is not columns or kept[1] != self.first_recent:
            kept = (columns, self.first_recent, counted(columns, self.first_recent))
            self._counts = kept
        return kept[2]

    def first_unseen_row(self) -> int | None:
        """Row of the first unseen letter of `columns`. Memory."""
        return next((row for row, flags in enumerate(self.state.columns.flags) if not flags & SEEN), None)

    def open(self) -> None:
        """Take the kept state if the folder still looks as it did then, else scan. Blocks. Raises NotFound."""
        with self.lock:
            stamp = stamp_of(self.path)
            try:
                saved = self.load_kept()
            except sqlite3.Error:
                saved = None
            if saved is not None and UidList(self.path).uidvalidity_now() not in (0, saved.state.uidvalidity):
                saved = None  # a restore began the UIDs anew
            if saved is not None:
                self.sync = self._sync(UidList(self.path, saved.known))
                self._keywords.refresh()
                self.state = replace(saved.state, keywords=self._keywords.names)
                self._saved = (saved.state.highestmodseq, saved.state.uidnext, saved.stamp)
                self._counts = (
                    self.state.columns,
                    self.first_recent,
                    replace(saved.counts, recent=self._recent_count()),
                )
                if saved.stamp is not None and not self.sync.uidlist.has_changed():
                    self._must_scan = not saved.stamp.has_same_cur(stamp)
                    self._reads_new = saved.stamp != stamp  # letters came, and nobody has looked at them
                    self._stamp = stamp if not self._must_scan and not self._reads_new else None
            self.refresh()
            if self.sync.compact_if_long(self.state) or saved is None:
                self.save()

    def _recent_count(self) -> int:
        uids = self.state.columns.uid
        return len(uids) - bisect_left(uids, self.first_recent)

    def watch(self) -> None:
        """Have inotify tell of changes from now on; what came before is found by the next refresh."""
        with self.lock:
            if self._watch is not None and self._watched != _inodes(self.path):
                self.mailbox.boxes.watcher.remove(self._watch)  # another directory has got the folder's name
                self._watch = None
                self._must_scan = True
            if self._watch is None:
                self._add_watch()
                if self._watch is not None and (self._stamp is None or _stamp_or_none(self.path) != self._stamp):
                    self._must_scan = True

    def _add_watch(self) -> None:
        self._watched = _inodes(self.path)
        self._watch = self.mailbox.boxes.watcher.add(self.path, self._notify)

    def unwatch(self) -> None:
        """Stop inotify for this folder."""
        with self.lock:
            if self._watch is not None:
                self._stamp = self._stamp_now()
                self.mailbox.boxes.watcher.remove(self._watch)
                self._watch = None

    @property
    def has_watch(self) -> bool:
        """Whether inotify tells of changes; else ask `is_dirty` now and then."""
        return self._watch is not None

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """Do many changes without an event for each; the folder is read whole afterwards."""
        had = self._watch is not None
        if had and self._watch is not None:
            self.mailbox.boxes.watcher.remove(self._watch)
            self._watch = None
        try:
            yield
        finally:
            self._must_scan = True
            if had:
                self._add_watch()

    def is_settled(self) -> bool:
        """Whether a state kept now would be known again later. Blocks."""
        with self.lock:
            return self._stamp_now() is not None

    def save_if_changed(self) -> None:
        """Keep the state unless the kept one is as good. Blocks."""
        stamp = self._stamp_now()
        if self._saved != (self.state.highestmodseq, self.state.uidnext, stamp):
            self.save()

    def lose(self) -> None:
        """The folder was removed or renamed: its sessions must end."""
        with self.lock:
            self.is_lost = True
            self.unwatch()
            self._notify()

    def save(self) -> None:
        """Keep the state in the index, for a quick opening. Failing is no harm. Blocks."""
        with self.lock:
            if self.is_lost or not self.state.uidvalidity:
                return
            stamp = self._stamp_now()
            saved = Saved(self.state, stamp, self.sync.uidlist.known, self.counts())
            try:
                with self.mailbox.index.writing() as connection:
                    save(connection, self._folder_id(connection), saved)
                self._saved = (self.state.highestmodseq, self.state.uidnext, stamp)
            except sqlite3.Error:
                return

    def _stamp_now(self) -> Stamp | None:
        """Return the stamp by which `state` may be known again, None when it may not."""
        if self._must_scan or self._reads_new:
            return None
        if self._watch is None:
            return self._stamp
        stamp = _stamp_or_none(self.path)
        self.mailbox.boxes.watcher.drain()
        if (
            stamp is None
            or self.mailbox.boxes.watcher.has_events(self._watch)
            or not is_settled(stamp, self.mailbox.boxes.clock.time())
        ):
            return None
        return stamp

    def is_dirty(self) -> bool:
        """Whether `refresh` would have something to look at. A few µs."""
        if self._must_scan or self._reads_new or self.is_lost:
            return True
        watch = self._watch
        if watch is not None:
            self.mailbox.boxes.watcher.drain()
            return self.mailbox.boxes.watcher.has_events(watch) or self.sync.uidlist.has_changed()
        return self._stamp is None or _stamp_or_none(self.path) != self._stamp

    def refresh(self, *, force: bool = False) -> bool:
        """Take in what others did to the folder; true when `columns` changed.

        Raises FolderLost (a NotFound). Blocks.
        """
        with self.lock:
            if self.is_lost:
                raise FolderLost(f"{self.name} is gone")
            events = self._events(force)
            if events == _NO_EVENTS and self.state.uidvalidity and not self.sync.uidlist.has_changed():
                return False
            try:
                found = self.sync.look(self.state, events)
            except FolderLost:
                self.is_lost = True
                self._notify()
                raise
            except BaseException:
                self._must_scan = True
                raise
            if events is None:
                self._stamp = found.stamp
            return self.apply(found)

    def _events(self, force: bool) -> Events | None:
        """Return what happened by name, or None: read the folder whole."""
        watcher = self.mailbox.boxes.watcher
        watch = self._watch
        cur: dict[str, bool] = {}
        new: dict[str, bool] = {}
        is_lost = watch is None
        if watch is not None:
            watcher.drain()
            cur, new, is_lost = watcher.take(watch)
        elif not self._must_scan and self._stamp is not None and _stamp_or_none(self.path) == self._stamp:
            is_lost = False
        reads_new, self._reads_new = self._reads_new, False
        if force or is_lost or self._must_scan:
            self._must_scan = False
            return None
        return cur, {**dict.fromkeys(names_in_new(self.path), True), **new} if reads_new else new

    def apply(self, found: Found) -> bool:
        """Make the next state of what was found, number it, and tell. The lock is held."""
        before = self.state
        has_keywords = self._keywords.refresh()
        state = replace(
            before,
            uidnext=max(before.uidnext, found.uidnext),
            uidvalidity=found.uidvalidity or before.uidvalidity,
            keywords=self._keywords.names,
        )
        if found:
            rows = [row for row, _ in found.changed]
            flags = [flags_of(info) for _, info in found.changed]
            moved = [state.columns.uid[row] for row in rows]
            state = with_flags(state, rows, [info for _, info in found.changed], flags, [0] * len(rows))
            gone = [state.columns.uid[row] for row in found.gone]
            state = without_rows(state, found.gone)
            state = with_arrived(state, found.arrived, {}, 0)
            self.sync.follow(before, state, found)
            state = self.numbered(state, [*moved, *(letter.uid for letter in found.arrived)], gone)
        elif before.uidvalidity == 0:
            state = self.numbered(state, [], [])
        if not found and not has_keywords and state.uidnext == before.uidnext and before.uidvalidity:
            return False
        self.publish(state)
        return bool(found) or has_keywords

    def publish(self, state: State) -> None:
        """Make this the newest state and wake whoever waits."""
        self.state = state
        self._notify()

    def keyword_mask(self, names: Iterable[str], *, create: bool = True) -> int:
        """Return the bits of the keywords, adding new names to `dovecot-keywords`.

        Raises Invalid at the 27th. Blocks when a name is new.
        """
        wanted = list(names)
        if not wanted:
            return 0
        with self.lock:
            self._keywords.refresh()
            mask = 0
            for position in self._keywords.positions(wanted, create=create):
                mask |= keyword_bit(position)
            if self._keywords.names != self.state.keywords:
                self.publish(replace(self.state, keywords=self._keywords.names))
        return mask

    def listen(self, key: int, wake: Callable[[], None] | None) -> None:
        """Call `wake` (from any thread) whenever there may be news; None ends it."""
        if wake is None:
            self._listeners.pop(key, None)
        else:
            self._listeners[key] = wake

    def _notify(self) -> None:
        for wake in list(self._listeners.values()):
            wake()


def _stamp_or_none(path: str) -> Stamp | None:
    try:
        return stamp_of(path)
    except NotFound:
        return None


def _inodes(path: str) -> tuple[int, int] | None:
    stamp = _stamp_or_none(path)
    return None if stamp is None else (stamp.cur_inode, stamp.new_inode)
