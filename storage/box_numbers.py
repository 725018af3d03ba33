"""A folder's part of the index as its box uses it: numbers for changes, what is recent, the kept state."""

from __future__ import annotations

import sqlite3
import threading
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from storage.box_recent import RecentTaken
from storage.box_state import State, empty_columns
from storage.index_folder import (
    Agreed,
    Saved,
    agree,
    folder_id,
    folder_row,
    is_folder,
    known_uidnext,
    load,
    take_recent,
    tell_uidnext,
    wants_saving,
)
from storage.index_letters import forget_letters

if TYPE_CHECKING:
    from storage.box import Mailbox


class BoxNumbers:
    """State and numbering of one folder. `lock` is held by whatever changes `state`; readers take it once, without."""

    def __init__(self, mailbox: Mailbox, name: str) -> None:
        self.mailbox = mailbox
        self.name = name
        self.lock = threading.RLock()
        self.state = State(empty_columns(), [], [], 0, 1, 0)
        self.gone_uids: list[int] = []  # expunged since the box was opened, in order; states say how far they are
        self.first_recent = 1
        self.recent = RecentTaken()
        self._folder: tuple[int, int] = (-1, 0)  # (index generation, folder id)

    def told_uidnext(self) -> int:
        """Return the next UID that any process has told of, as far as the index knows."""
        try:
            with self.mailbox.index.reading() as connection:
                return known_uidnext(connection, self.name, self.state.uidvalidity)
        except sqlite3.Error:
            return 1

    def load_kept(self) -> Saved | None:
        """Return what the index keeps of the folder."""
        index = self.mailbox.index
        with index.reading() as connection:
            row = folder_id(connection, self.name)
            if row is None:
                return None
            self._folder = (index.generation, row[0])
            self.first_recent = row[2]
            return load(connection, row[0], row[1])

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
                first = take_recent(connection, folder, state.uidnext) if self.recent.sessions else state.uidnext
                is_long = wants_saving(connection, folder)
        except sqlite3.Error:
            agreed, is_long = Agreed(max(floor, state.highestmodseq + 1), max(floor, state.highestmodseq + 1)), False
            first = self.first_recent if self.recent.sessions else state.uidnext
        if self.recent.sessions:
            self.recent.add(first, state.uidnext)
            self.first_recent = max(self.first_recent, state.uidnext)
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
        if len(uids) == len(columns.uid):  # all of them, as uids ascend
            pairs = dict(zip(columns.uid, columns.flags, strict=True))
        else:
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
        if self._folder[1] and not is_folder(connection, self._folder[1], self.name):  # another process deleted it
            self._folder = (-1, 0)
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

    def take_recent(self) -> None:
        r"""Take all that no session was told of, for one that selects now: it is \Recent to no other. Blocks."""
        with self.lock:
            first, uidnext = self.first_recent, self.state.uidnext
            if first >= uidnext:
                return
            with suppress(sqlite3.Error), self.mailbox.index.writing() as connection:
                first = take_recent(connection, self._folder_id(connection), uidnext)
            self.recent.add(first, uidnext)
            self.first_recent = uidnext

    def save(self) -> None:
        """Keep the state in the index."""


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
