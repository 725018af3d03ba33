"""What one session sees of a folder: numbers that change only when the session is told (RFC 3501 §7.4.1)."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from storage import box_change, box_place
from storage.box_read import Box
from storage.box_recent import Recent
from storage.box_state import State, joined
from storage.box_types import KEYWORD_SHIFT, SYSTEM_MASK, Changed, Columns, Deltas, Placed
from storage.errors import Conflict

_POLL_S = 1.0  # without inotify
_PIECE_COUNT = 2048
_SLOW_POLL_S = 30.0  # with it: in case the kernel's word was lost on the way


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop ended before the session was closed
        loop.call_soon_threadsafe(event.set)


class View:
    """Row *i* is sequence number *i + 1*, and stays so until `poll(expunge=True)`.

    One session's; used on its loop, blocking calls in the executor.
    """

    def __init__(self, box: Box, *, read_only: bool, on_close: Callable[[View], None]) -> None:
        self.box = box
        self.read_only = read_only
        self._state: State = box.state
        self.columns: Columns = self._state.columns
        self.keywords = self._state.keywords
        self._dead: list[int] = []  # expunged, not told yet
        self._own: dict[int, int] = {}  # UID -> modseq of this session's own last change
        self._recent = Recent.from_uid(box.first_recent)
        if not read_only:
            box.recent.sessions.add(id(self))
            box.take_recent()
            self._recent = Recent().with_spans(box.recent.take())
        self._event: asyncio.Event | None = None
        self._on_close = on_close
        self.is_closed = False

    @property
    def recent_rows(self) -> list[range]:
        r"""The rows that are \Recent in this session, run by run."""
        return self._recent.rows(self.columns.uid)

    @property
    def recent_count(self) -> int:
        """How many these are."""
        return self._recent.count(self.columns.uid)

    def row_of(self, uid: int) -> int | None:
        """Row of a UID, by bisection. Memory."""
        uids = self.columns.uid
        row = bisect_left(uids, uid)
        return row if row < len(uids) and uids[row] == uid else None

    def rows_between(self, first_uid: int, last_uid: int) -> range:
        """Rows with UIDs in that span, both ends included. Memory."""
        return range(bisect_left(self.columns.uid, first_uid), bisect_right(self.columns.uid, last_uid))

    def __iter__(self) -> Iterator[int]:
        return iter(self.columns.uid)

    def has_news(self) -> bool:
        """Whether `poll` may have something to say. Memory."""
        return self.box.state is not self._state or bool(self._dead)

    def poll(self, *, expunge: bool = True) -> Deltas:
        """Move to the box's newest state and say what changed. Memory: never blocks; refresh the box first.

        `expunge=False` (during FETCH, STORE, SEARCH; RFC 3501 §7.4.1): expunged letters keep their rows until a later
        poll.
        The session's own changes are not told again.
        """
        newest = self.box.state
        if newest is self._state and not (self._dead and expunge):
            return Deltas()
        before, seen = self._state, self.columns
        went = self.box.gone_uids[before.gone_count : newest.gone_count]
        told_last = seen.uid[-1] if seen.uid else 0
        self._dead += [uid for uid in went if uid <= told_last and self.row_of(uid) is not None]
        self._state = newest
        expunged: tuple[int, ...] = ()
        expunged_uids: tuple[int, ...] = ()
        if self._dead and expunge:
            self._dead.sort(reverse=True)
            expunged = tuple(bisect_left(seen.uid, uid) + 1 for uid in self._dead)
            expunged_uids = tuple(self._dead)
            self._dead = []
        self.columns = joined(seen, self._dead, newest.columns) if self._dead else newest.columns
        return self._deltas(before, newest, expunged, expunged_uids, told_last)

    def _deltas(
        self, before: State, newest: State, expunged: tuple[int, ...], expunged_uids: tuple[int, ...], told_last: int
    ) -> Deltas:
        came = len(self.columns.uid) - bisect_right(self.columns.uid, told_last)
        if came and not self.read_only:
            self._recent = self._recent.with_spans(self.box.recent.take())
        has_keywords = newest.keywords != self.keywords
        self.keywords = newest.keywords
        return Deltas(
            expunged=expunged,
            expunged_uids=expunged_uids,
            exists=len(self.columns) if came else None,
            recent=self.recent_count if came else None,
            flags=self._changed_rows(before, newest, len(self.columns) - came),
            keywords_changed=has_keywords,
        )

    def _changed_rows(self, before: State, newest: State, told_count: int) -> tuple[int, ...]:
        """Rows that the session knows and whose flags others changed."""
        seen_modseq = before.highestmodseq
        if newest.highestmodseq <= seen_modseq:
            return ()
        own, self._own = self._own, {}
        uids, modseqs = self.columns.uid, self.columns.modseq
        return tuple(
            row
            for rows in self._differing(before.columns, told_count)
            for row in rows
            if modseqs[row] > seen_modseq and own.get(uids[row]) != modseqs[row]
        )

    def _differing(self, before: Columns, told_count: int) -> Iterator[range]:
        """The rows among which all are whose modseq is another than it was: a folder is compared in pieces, of which
        most are equal, unless letters went.
        """
        now = self.columns
        if before.uid is not now.uid and before.uid != now.uid[: len(before)]:
            yield range(told_count)
            return
        for start in range(0, told_count, _PIECE_COUNT):
            end = min(start + _PIECE_COUNT, told_count)
            if before.modseq[start:end] != now.modseq[start:end]:
                yield range(start, end)

    async def wait(self, timeout_s: float) -> bool:
        """Wait until the folder may have changed (inotify, another session, or a look each second); false at the
        time-out.
        """
        loop = asyncio.get_running_loop()
        self.box.mailbox.boxes.attach(loop)
        if self._event is None:
            event = self._event = asyncio.Event()
            self.box.listen(id(self), lambda: _wake(loop, event))
        self._event.clear()
        end_at = loop.time() + timeout_s
        while not (self.has_news() or self.box.is_dirty()):
            left_s = end_at - loop.time()
            if left_s <= 0:
                return False
            with suppress(TimeoutError):
                await asyncio.wait_for(self._event.wait(), min(left_s, _SLOW_POLL_S if self.box.has_watch else _POLL_S))
            self._event.clear()
        return True

    def store(
        self,
        rows: Sequence[int],
        change: str,
        flags: int,
        keywords: Iterable[str] = (),
        *,
        unchanged_since: int | None = None,
    ) -> Changed:
        """Set ("="), add ("+") or remove ("-") flags: system bits in `flags`, keywords by name. Raises Invalid at the
        27th keyword. Blocks.

        Rows ascending. The view's columns hold the result when it returns, and `poll` does not repeat it. "=" without
        keywords clears keywords too.
        """
        self._check_writable()
        mask = flags & SYSTEM_MASK | self.box.keyword_mask(keywords, create=change != "-")
        uids = self.uids_of(rows)
        outcome = box_change.store_flags(self.box, uids, change, mask, unchanged_since)
        self._own.update(zip(outcome.changed, outcome.modseqs, strict=True))
        self._adopt_flags(uids)
        if not outcome.modified and not self._dead and len(self._state.bases) <= len(self.box.state.bases):
            gone = set(self.box.gone_uids[self._state.gone_count :])
            if not gone:
                return Changed(tuple(rows))
        return self._split(rows, set(outcome.modified))

    def _split(self, rows: Sequence[int], modified: set[int]) -> Changed:
        state = self.box.state
        done: list[int] = []
        left: list[int] = []
        missing: list[int] = []
        for row in rows:
            uid = self.columns.uid[row]
            if uid in modified:
                left.append(row)
            elif state.row_of(uid) is None:
                missing.append(row)
            else:
                done.append(row)
        return Changed(tuple(done), tuple(left), tuple(missing))

    def _adopt_flags(self, uids: Sequence[int]) -> None:
        """Show the new flags and modseqs in this view at once; what others changed is left for `poll`."""
        newest = self.box.state.columns
        if newest.uid is self.columns.uid and len(uids) == len(newest):
            self.columns = newest
            return
        flags, modseq = self.columns.flags[:], self.columns.modseq[:]
        for uid in uids:
            row, source = self.row_of(uid), bisect_left(newest.uid, uid)
            if row is not None and source < len(newest.uid) and newest.uid[source] == uid:
                flags[row], modseq[row] = newest.flags[source], newest.modseq[source]
        old = self.columns
        self.columns = Columns(old.uid, flags, old.size, old.internaldate, modseq)

    def uids_of(self, rows: Sequence[int]) -> Sequence[int]:
        """UIDs of rows (ascending); for a range without a step an array, which everything here takes fastest."""
        uids = self.columns.uid
        if isinstance(rows, range) and rows.step == 1:
            return uids if len(rows) == len(uids) else uids[rows.start : rows.stop]
        return array("I", [uids[row] for row in rows])

    def expunge(self, rows: Sequence[int] | None = None) -> Deltas:
        r"""Remove the letters marked \Deleted (of `rows`, or all that the session sees), and poll: what to tell.

        Blocks.
        """
        self._check_writable()
        uids = self.columns.uid if rows is None else self.uids_of(rows)
        self.box.refresh()
        state = self.box.state
        if rows is None and len(uids) > 0:
            flags = state.columns.flags
            uids = [
                uid
                for uid, flag in zip(state.columns.uid, flags, strict=True)
                if flag & 8 and uid <= self.columns.uid[-1]
            ]
        box_change.expunge(self.box, uids, only_deleted=True)
        return self.poll()

    def remove(self, rows: Sequence[int]) -> None:
        """Remove letters whatever their flags (POP3). Told by the next poll. Blocks."""
        self._check_writable()
        box_change.expunge(self.box, self.uids_of(rows), only_deleted=False)

    def copy(self, rows: Sequence[int], folder: str) -> Placed:
        """Link letters into a folder of the mailbox (or this one), flags and dates kept; all or none.

        Raises NotFound, OverQuota, NoSpace. Blocks.
        """
        uids = self.uids_of(rows)
        return self.box.mailbox.on_box(folder, lambda target: box_place.copy(self.box, uids, target), watch=True)

    def move(self, rows: Sequence[int], folder: str) -> Placed:
        """Move letters by renaming; the next `poll` tells the expunges (RFC 6851).

        Within the folder they get new UIDs. Raises NotFound. Blocks.
        """
        self._check_writable()
        uids = self.uids_of(rows)
        return self.box.mailbox.on_box(folder, lambda target: box_place.move(self.box, uids, target), watch=True)

    def keyword_names(self, flags: int) -> list[str]:
        """Names of the keywords in a mask."""
        return [name for place, name in enumerate(self.box.keywords) if name and flags >> (KEYWORD_SHIFT + place) & 1]

    def _check_writable(self) -> None:
        if self.read_only:
            raise Conflict(f"{self.box.name} is open for reading only")

    def close(self) -> None:
        """The session leaves the folder. Memory; the index is written later, in the executor."""
        if not self.is_closed:
            self.is_closed = True
            self.box.recent.sessions.discard(id(self))
            self.box.listen(id(self), None)
            self._on_close(self)
