"""One folder as a process knows it: the newest state, how it is brought up to date, and who is told."""

from __future__ import annotations

import sqlite3
import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from storage.box_info import flags_of
from storage.box_state import State, counted, empty_columns, with_arrived, with_flags, without_rows
from storage.box_sync import FolderLost, Found, Sync
from storage.box_types import SEEN, Columns, Counts, keyword_bit
from storage.errors import NotFound
from storage.index_folder import (
    Agreed,
    Saved,
    agree,
    folder_id,
    folder_row,
    known_uidnext,
    load,
    save,
    take_recent,
    tell_uidnext,
    wants_saving,
)
from storage.index_letters import forget_letters
from storage.inotify import Watch
from storage.keywords import Keywords
from storage.scan_folder import Stamp, is_settled, stamp_of
from storage.uidlist import UidList
from storage.uidlist_validity import next_uidvalidity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.box import Mailbox

Events = tuple[dict[str, bool], dict[str, bool]]
_NO_EVENTS: Events = ({}, {})


class BoxCore:
    """State, synchronisation and numbering of one folder.

    `lock` is held by whatever changes `state`; readers take `state` once and need no lock.
    """

    def __init__(self, mailbox: Mailbox, name: str, path: str) -> None:
        self.mailbox = mailbox
        self.name = name
        self.path = path
        self.cur = f"{path}/cur"
        self.lock = threading.RLock()
        self.state = State(empty_columns(), [], [], 0, 1, 0)
        self.gone_uids: list[int] = []  # expunged since the box was opened, in order; states say how far they are
        self.first_recent = 1
        self.is_lost = False
        self._keywords = Keywords(path)
        self._watch: Watch | None = None
        self._must_scan = True
        self._stamp: Stamp | None = None
        self._folder: tuple[int, int] = (-1, 0)  # (index generation, folder id)
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
            told_uidnext=self._told_uidnext,
        )

    def _told_uidnext(self) -> int:
        """Return the next UID that any process has told of, as far as the index knows."""
        try:
            with self.mailbox.index.reading() as connection:
                return known_uidnext(connection, self.name, self.state.uidvalidity)
        except sqlite3.Error:
            return 1

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
            saved = self._load()
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
                if saved.stamp == stamp and not self.sync.uidlist.has_changed():
                    self._must_scan = False
                    self._stamp = stamp
            self.refresh()
            if self.sync.compact_if_long(self.state) or saved is None:
                self.save()

    def _recent_count(self) -> int:
        uids = self.state.columns.uid
        return len(uids) - bisect_left(uids, self.first_recent)

    def _load(self) -> Saved | None:
        index = self.mailbox.index
        with index.reading() as connection:
            row = folder_id(connection, self.name)
            if row is None:
                return None
            self._folder = (index.generation, row[0])
            self.first_recent = row[2]
            return load(connection, row[0], row[1])

    def watch(self) -> None:
        """Have inotify tell of changes from now on; what came before is found by the next refresh."""
        with self.lock:
            if self._watch is None:
                self._watch = self.mailbox.boxes.watcher.add(self.path, self._notify)
                if self._watch is not None and (self._stamp is None or _stamp_or_none(self.path) != self._stamp):
                    self._must_scan = True

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
                self._watch = self.mailbox.boxes.watcher.add(self.path, self._notify)

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
        if self._must_scan:
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
        if self._must_scan or self.is_lost:
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
        if force or is_lost or self._must_scan:
            self._must_scan = False
            return None
        return cur, new

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
            state = self.numbered(state, [*moved, *(letter.uid for letter in found.arrived)], gone)
        elif before.uidvalidity == 0:
            state = self.numbered(state, [], [])
        if not found and not has_keywords and state.uidnext == before.uidnext and before.uidvalidity:
            return False
        self.publish(state)
        return bool(found) or has_keywords

    def numbered(self, state: State, changed_uids: Sequence[int], gone_uids: Sequence[int]) -> State:
        """Return the state with modseqs for what changed, in the order that all processes share; without the index,
        by the clock.
        """
        self.gone_uids.extend(gone_uids)
        state = replace(state, gone_count=len(self.gone_uids))
        floor = int(self.mailbox.boxes.clock.time() * 1_000_000)
        is_first = self.state.uidvalidity == 0
        try:
            with self.mailbox.index.writing() as connection:
                folder = self._folder_id(connection, state.uidvalidity, floor)
                agreed = self._agree(
                    connection, folder, state, [] if is_first else changed_uids, bool(gone_uids), floor, is_first
                )
                tell_uidnext(connection, folder, state.uidnext)
                if gone_uids:
                    forget_letters(connection, folder, gone_uids)
                is_long = wants_saving(connection, folder)
        except sqlite3.Error:
            agreed, is_long = Agreed(max(floor, state.highestmodseq + 1), max(floor, state.highestmodseq + 1)), False
        if is_long:
            self.mailbox.boxes.later(self.save)
        return _with_modseqs(state, changed_uids, agreed)

    def _agree(
        self,
        connection: sqlite3.Connection,
        folder: int,
        state: State,
        uids: Sequence[int],
        has_gone: bool,
        floor: int,
        is_first: bool,
    ) -> Agreed:
        columns = state.columns

        def flags_now(uid: int) -> int | None:
            row = state.row_of(uid)
            return None if row is None else columns.flags[row]

        seen = state.highestmodseq
        if is_first:
            (seen,) = connection.execute("SELECT log_floor FROM folder WHERE id = ?", (folder,)).fetchone()
        pairs = {uid: flags for uid in uids if (flags := flags_now(uid)) is not None}
        agreed = agree(
            connection,
            folder,
            seen_modseq=seen,
            changed=pairs,
            flags_now=flags_now,
            anything_gone=has_gone,
            floor=floor,
        )
        return Agreed(agreed.highestmodseq, seen, agreed.modseqs) if is_first else agreed

    def _folder_id(self, connection: sqlite3.Connection, uidvalidity: int = 0, floor: int = 0) -> int:
        """Return this folder's number in the index that is there now; made when missing. Within a write transaction."""
        index = self.mailbox.index
        if self._folder[0] != index.generation or not self._folder[1]:
            uidvalidity = uidvalidity or self.state.uidvalidity
            floor = max(floor, int(self.mailbox.boxes.clock.time() * 1_000_000), self.state.highestmodseq)
            number, _, first_recent = folder_row(connection, self.name, uidvalidity, floor)
            self._folder = (index.generation, number)
            self.first_recent = (
                max(first_recent, self.first_recent) if self.state.uidvalidity == uidvalidity else first_recent
            )
            self.index_is_new()
        elif uidvalidity and not self.state.uidvalidity:
            number, _, self.first_recent = folder_row(connection, self.name, uidvalidity, floor)
            self._folder = (index.generation, number)
        return self._folder[1]

    def index_folder(self, connection: sqlite3.Connection) -> int:
        """Number of this folder in the index. Within a write transaction."""
        return self._folder_id(connection)

    def index_is_new(self) -> None:
        """What was known of the index's rows is void."""

    def publish(self, state: State) -> None:
        """Make this the newest state and wake whoever waits."""
        self.state = state
        self._notify()

    def take_recent(self) -> int:
        r"""Return the first UID that is \Recent to a session that selects now; later sessions begin after. Blocks."""
        with self.lock:
            first = self.first_recent
            if first >= self.state.uidnext:
                return first
            try:
                with self.mailbox.index.writing() as connection:
                    first = take_recent(connection, self._folder_id(connection), self.state.uidnext)
            except sqlite3.Error:
                pass
            self.first_recent = self.state.uidnext
            return first

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


def _with_modseqs(state: State, changed_uids: Sequence[int], agreed: Agreed) -> State:
    modseq = state.columns.modseq[:]
    if len(changed_uids) == len(modseq):
        modseq = array("Q", [agreed.modseq]) * len(modseq)
    else:
        for uid in changed_uids:
            if (row := state.row_of(uid)) is not None:
                modseq[row] = agreed.modseq
    for uid, number in agreed.modseqs.items():
        if (row := state.row_of(uid)) is not None:
            modseq[row] = number
    return replace(state, columns=replace(state.columns, modseq=modseq), highestmodseq=agreed.highestmodseq)
