"""Reading a folder: octets from the files, ready answers and folded fields from the index.

Nothing here changes a letter.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from storage.box_core import BoxCore
from storage.box_direct import field_directly, rendered_directly, search_directly
from storage.box_letters import opened_dir, read_header, read_letter
from storage.box_state import State
from storage.box_types import FIELDS, RENDERED, Columns, Octets
from storage.errors import Invalid, NotFound
from storage.index_build import Wanted, read_many
from storage.index_letters import field_values, insert_letters, known_uids, rendered_rows, search_rows
from storage.index_search import text_matches

T = TypeVar("T")
AHEAD_COUNT = 20_000
_FLOCK_FROM_COUNT = 1000  # so many letters to read are read by one process at a time: the second finds them read


class Box(BoxCore):
    """One folder, shared by all sessions of the process that have it open.

    UIDs are passed ascending; contiguous ones are fastest.
    """

    _unread: set[int] | None = None  # UIDs that the index does not know; None: not looked up yet
    _fields: dict[str, tuple[array[int], list[Any]]]

    def octets(self, uid: int) -> Octets:
        """The letter with CRLF line ends: bytes, or a read-only mmap from 1 MiB.

        Raises NotFound when it is gone. Blocks.
        """
        found = self.octets_of([uid])[0]
        if found is None:
            raise NotFound(f"letter {uid} of {self.name} is gone")
        return found

    def octets_of(self, uids: Sequence[int]) -> list[Octets | None]:
        """The letters, None for those that are gone. Keep slices to some MiB (`columns.size` tells). Blocks."""

        def read(cur_fd: int, state: State, row: int) -> Octets:
            return read_letter(cur_fd, state.bases[row] + state.infos[row], state.columns.size[row])

        return self._each(uids, read)

    def header(self, uid: int) -> bytes:
        """The letter's header with its empty line; reads no more of the file than that needs.

        Raises NotFound. Blocks.
        """
        found = self.headers_of([uid])[0]
        if found is None:
            raise NotFound(f"letter {uid} of {self.name} is gone")
        return found

    def headers_of(self, uids: Sequence[int]) -> list[bytes | None]:
        """Headers in bulk, None for those that are gone. Blocks."""

        def read(cur_fd: int, state: State, row: int) -> bytes:
            return read_header(cur_fd, state.bases[row] + state.infos[row])

        return self._each(uids, read)

    def _each(self, uids: Sequence[int], read: Any) -> list[Any]:
        """Call `read` for each letter; one that another program renamed is looked for again."""
        state = self.state
        out: list[Any] = []
        failed: list[int] = []
        with opened_dir(self.cur) as cur_fd:
            for place, row in enumerate(rows_of(state, uids)):
                if row is None:
                    out.append(None)
                    continue
                try:
                    out.append(read(cur_fd, state, row))
                except OSError:
                    out.append(None)
                    failed.append(place)
            if failed:
                self.refresh(force=True)
                state = self.state
                for place in failed:
                    row = state.row_of(uids[place])
                    if row is not None:
                        try:
                            out[place] = read(cur_fd, state, row)
                        except OSError:
                            continue
        return out

    def prepare(self, uids: Sequence[int]) -> int:
        """Read those letters that the index does not know yet, many at once in the builders; how many were read.

        Blocks: slices of about 2,000.
        """
        missing = self._missing(uids)
        if not missing:
            return 0
        with self._building(len(missing)):
            if len(missing) >= _FLOCK_FROM_COUNT:  # another process may have read them while we waited
                self._unread = None
                missing = self._missing(uids)
            return self._read_into_index(missing)

    def read_ahead(self, uids: Sequence[int]) -> None:
        """As `prepare`, for letters that are asked for slice by slice from now on: no slice waits then.

        Not more than `AHEAD_COUNT` at once: the peer waits. Never raises what the index dies of. Blocks.
        """
        with suppress(sqlite3.Error):
            self.prepare(uids)

    def _read_into_index(self, uids: Sequence[int]) -> int:
        state = self.state
        wanted: list[Wanted] = [
            (uid, state.bases[row] + state.infos[row], state.columns.size[row])
            for uid, row in zip(uids, rows_of(state, uids), strict=True)
            if row is not None
        ]
        count = 0
        boxes = self.mailbox.boxes
        claimed = {uid: size for uid, _, size in wanted}
        for rows in read_many(boxes.rules.render, self.cur, wanted, boxes.builders):
            with self.mailbox.index.writing() as connection:
                insert_letters(connection, self._folder_id(connection), rows)
            if self._unread is not None:
                self._unread.difference_update(uid for uid, _, _ in rows)
            count += len(rows)
            self._correct_sizes({uid: size for uid, size, _ in rows if claimed[uid] != size})
        return count

    def _correct_sizes(self, sizes: dict[int, int]) -> None:
        """Some file names lie about the letter's octets; RFC822.SIZE must not."""
        if not sizes:
            return
        with self.lock:
            state = self.state
            size = state.columns.size[:]
            for uid, octets in sizes.items():
                if (row := state.row_of(uid)) is not None:
                    size[row] = octets
            self.publish(replace(state, columns=replace(state.columns, size=size)))

    @contextmanager
    def _building(self, count: int) -> Iterator[None]:
        """One process reads many letters of a mailbox at a time; the others wait here, in their executors."""
        if count < _FLOCK_FROM_COUNT:
            yield
            return
        fd = os.open(f"{self.mailbox.index_path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _missing(self, uids: Sequence[int]) -> list[int]:
        """UIDs of `uids` whose letters are in the folder, but not in the index."""
        unread = self._unread_uids()
        if not unread:
            return []
        return [uid for uid in uids if uid in unread]

    def _unread_uids(self) -> set[int]:
        """UIDs that the index does not know. Looked up once, then kept: letters that come are added."""
        with self.lock:
            index = self.mailbox.index
            with index.reading() as connection:
                columns = self.state.columns
                if self._folder[0] != index.generation:
                    self._unread = None
                if self._unread is None:
                    folder = self._folder[1] if self._folder[0] == index.generation else -1
                    known = known_uids(connection, folder, 1, 0xFFFFFFFF)
                    self._unread = set() if known == columns.uid else set(columns.uid).difference(known)
                    self._looked_up = columns.uid
                elif self._looked_up is not columns.uid:
                    last = self._looked_up[-1] if self._looked_up else 0
                    self._unread.update(columns.uid[bisect_left(columns.uid, last + 1) :])
                    self._looked_up = columns.uid
        return self._unread

    _looked_up: array[int] = array("I")

    def index_is_new(self) -> None:
        """What was known of the index's rows is void."""
        self._unread = None

    def _from_index(self, uids: Sequence[int], ask: Callable[[sqlite3.Connection], T]) -> T | None:
        """Ask the index, made anew if it is broken; None when there is none to be had (the letters are still there)."""
        for _ in range(2):
            try:
                self.prepare(uids)
                with self.mailbox.index.reading() as connection:
                    return ask(connection)
            except sqlite3.Error:
                self._unread = None
        return None

    def note_copied(self, uids: Sequence[int]) -> None:
        """Letters came whose index rows were copied from another folder: look which, instead of reading the letters."""
        if self._unread is None or not uids:
            return
        unread = self._unread_uids()
        with self.mailbox.index.reading() as connection:
            unread.difference_update(known_uids(connection, self._folder[1], min(uids), max(uids)))

    def rendered(self, uids: Sequence[int], *names: str) -> list[tuple[bytes, ...] | None]:
        """Ready octets (`RENDERED`) of each letter, in the order of `names`; None for those that are gone.

        Slices of about 2,000. Blocks.
        """
        if not set(names) <= set(RENDERED):
            raise Invalid(f"{names} are not of {RENDERED}")
        if not len(uids):
            return []
        rows = self._from_index(uids, lambda c: rendered_rows(c, self._folder[1], uids, names))
        return rows if rows is not None else rendered_directly(self, uids, names)

    def fields(self, columns: Columns, name: str) -> list[Any]:
        """One field (`FIELDS`) for each row of `columns`, None for letters that are gone.

        Kept while the folder is open. Blocks the first time.
        """
        if name not in FIELDS:
            raise Invalid(f"{name} is not of {FIELDS}")
        kept = self._kept_fields().get(name)
        if kept is not None and kept[0] is columns.uid:
            return kept[1]
        values = self._load_field(columns.uid, name, kept)
        self._kept_fields()[name] = (columns.uid, values)
        return values

    def has_fields(self, columns: Columns, name: str) -> bool:
        """Whether `fields` would answer from memory at once. Memory."""
        kept = self._kept_fields().get(name)
        return kept is not None and kept[0] is columns.uid

    def _kept_fields(self) -> dict[str, tuple[array[int], list[Any]]]:
        if not hasattr(self, "_fields"):
            self._fields = {}
        return self._fields

    def _load_field(self, uids: array[int], name: str, kept: tuple[array[int], list[Any]] | None) -> list[Any]:
        if not len(uids):
            return []
        start = len(kept[0]) if kept is not None and kept[0] == uids[: len(kept[0])] else 0
        before: list[Any] = kept[1] if kept is not None and start else []
        tail = uids[start:]
        if not len(tail):
            return before
        pairs = self._from_index(tail, lambda c: field_values(c, self._folder[1], name, tail[0], tail[-1]))
        if pairs is None:
            return before + field_directly(self, tail, name)
        if name == "references":
            pairs = [(uid, tuple(value.split("\n")) if value else ()) for uid, value in pairs]
        if len(pairs) == len(tail) and all(pair[0] == uid for pair, uid in zip(pairs, tail, strict=True)):
            return before + [value for _, value in pairs]
        found = dict(pairs)
        return before + [found.get(uid) for uid in tail]

    def search_text(self, uids: Sequence[int], needle: str, *, header: bool = False) -> list[int]:
        """UIDs whose body text holds the folded `needle` (SEARCH BODY); with `header` the header too (TEXT).

        Slices of about 1,000. Blocks.
        """
        if not len(uids):
            return []
        rows = self._from_index(uids, lambda c: search_rows(c, self._folder[1], uids))
        if rows is None:
            return search_directly(self, uids, needle, header)
        state = self.state
        with opened_dir(self.cur) as cur_fd:

            def octets(uid: int) -> Octets | None:
                row = state.row_of(uid)
                if row is None:
                    return None
                try:
                    return read_letter(cur_fd, state.bases[row] + state.infos[row], state.columns.size[row])
                except OSError:
                    return self.octets_of([uid])[0]

            return [
                uid
                for uid in uids
                if (row := rows.get(uid)) is not None and text_matches(row, needle, header, uid, octets)
            ]


def rows_of(state: State, uids: Sequence[int]) -> Sequence[int | None]:
    """Rows of ascending UIDs, None where there is none; a run of the folder's own UIDs is found by its ends."""
    if not len(uids):
        return ()
    own = state.columns.uid
    if uids is own:
        return range(len(own))
    first = bisect_left(own, uids[0])
    last = first + len(uids)
    if (
        last <= len(own)
        and own[first] == uids[0]
        and own[last - 1] == uids[-1]
        and (isinstance(uids, array) and own[first:last] == uids)
    ):
        return range(first, last)
    return [state.row_of(uid) for uid in uids]
