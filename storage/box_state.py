"""One state of a folder, and how the next is made from it.

States are never changed: readers hold theirs without a lock.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from storage.box_types import DELETED, SEEN, Columns, Counts


@dataclass(frozen=True, slots=True)
class State:
    """Columns and, row by row, the file names behind them.

    `gone_count`: how many UIDs the box had expunged when this was made.
    """

    columns: Columns
    bases: list[str]
    infos: list[str]
    uidvalidity: int
    uidnext: int
    highestmodseq: int
    keywords: tuple[str, ...] = ()
    gone_count: int = 0

    def row_of(self, uid: int) -> int | None:
        """Row of a UID, by bisection."""
        row = bisect_left(self.columns.uid, uid)
        return row if row < len(self.columns.uid) and self.columns.uid[row] == uid else None


class Arrived(NamedTuple):
    """A letter that is new in the folder."""

    uid: int
    base: str
    info: str
    flags: int
    size: int
    internaldate: int


def empty_columns() -> Columns:
    """Return columns without a row."""
    return Columns(array("I"), array("I"), array("Q"), array("q"), array("Q"))


def without_rows(state: State, rows: Sequence[int]) -> State:
    """Return the state without those rows (ascending); whole runs between them are copied at once."""
    if not rows:
        return state
    keep = _runs_between(rows, len(state.bases))
    old = state.columns
    new = empty_columns()
    bases: list[str] = []
    infos: list[str] = []
    for start, end in keep:
        new.uid.extend(old.uid[start:end])
        new.flags.extend(old.flags[start:end])
        new.size.extend(old.size[start:end])
        new.internaldate.extend(old.internaldate[start:end])
        new.modseq.extend(old.modseq[start:end])
        bases += state.bases[start:end]
        infos += state.infos[start:end]
    return replace(state, columns=new, bases=bases, infos=infos)


def _runs_between(rows: Sequence[int], count: int) -> list[tuple[int, int]]:
    runs = []
    start = 0
    for row in rows:
        if row > start:
            runs.append((start, row))
        start = row + 1
    if start < count:
        runs.append((start, count))
    return runs


def with_arrived(state: State, arrived: Sequence[Arrived], modseqs: dict[int, int], modseq: int) -> State:
    """Return the state with new letters at its end: their UIDs are above all that it has, and ascend."""
    if not arrived:
        return state
    old = state.columns
    columns = Columns(
        old.uid + array("I", [a.uid for a in arrived]),
        old.flags + array("I", [a.flags for a in arrived]),
        old.size + array("Q", [a.size for a in arrived]),
        old.internaldate + array("q", [a.internaldate for a in arrived]),
        old.modseq + array("Q", [modseqs.get(a.uid, modseq) for a in arrived]),
    )
    return replace(
        state,
        columns=columns,
        bases=state.bases + [a.base for a in arrived],
        infos=state.infos + [a.info for a in arrived],
    )


def with_flags(
    state: State, rows: Sequence[int], infos: Sequence[str], flags: Sequence[int], modseqs: Sequence[int]
) -> State:
    """Return the state with those rows' suffixes, flags and modseqs."""
    if not rows:
        return state
    old = state.columns
    new_flags, new_modseq, new_infos = old.flags[:], old.modseq[:], state.infos[:]
    for row, info, flag, modseq in zip(rows, infos, flags, modseqs, strict=True):
        new_flags[row] = flag
        new_modseq[row] = modseq
        new_infos[row] = info
    return replace(state, columns=replace(old, flags=new_flags, modseq=new_modseq), infos=new_infos)


def joined(seen: Columns, gone_uids: Sequence[int], newest: Columns) -> Columns:
    """Return `newest` with the expunged letters of `seen` still in their places: a session that may not be told yet
    keeps its numbers.
    """
    out = empty_columns()
    start = 0
    for uid in sorted(gone_uids):
        row = bisect_left(seen.uid, uid)
        end = bisect_left(newest.uid, uid)
        for whole, source, one in _pairs(out, newest, seen):
            whole.extend(source[start:end])
            whole.append(one[row])
        start = end
    for whole, source, _ in _pairs(out, newest, seen):
        whole.extend(source[start:])
    return out


def _pairs(out: Columns, newest: Columns, seen: Columns) -> tuple[tuple[array[int], array[int], array[int]], ...]:
    return (
        (out.uid, newest.uid, seen.uid),
        (out.flags, newest.flags, seen.flags),
        (out.size, newest.size, seen.size),
        (out.internaldate, newest.internaldate, seen.internaldate),
        (out.modseq, newest.modseq, seen.modseq),
    )


def counted(columns: Columns, first_recent_uid: int) -> Counts:
    """Return the figures of those columns."""
    flags = columns.flags
    return Counts(
        messages=len(flags),
        unseen=sum(1 for f in flags if not f & SEEN),
        deleted=sum(1 for f in flags if f & DELETED),
        recent=len(flags) - bisect_left(columns.uid, first_recent_uid),
        size_octets=sum(columns.size),
    )
