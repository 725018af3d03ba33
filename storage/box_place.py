"""Letters that come into a folder from another: COPY (hard links), MOVE (renames). On disk, with UIDs, when it is
answered. (APPEND: `box_append`.)

Order, so that nothing is lost at any instant: the file is whole and synced before it has a name in `cur`; names are
there before the uidlist tells their UIDs, both are synced before anybody is told; a source is renamed, never removed
first. A crash in between leaves letters without UIDs, and the next look gives them some, or lines without letters,
which nobody was told of. The uidlist is synced first: file systems with one journal (ext4, XFS) have written the names
with it, so that the directory's own sync finds nothing to do.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress

from storage.box_info import file_octets, info_with
from storage.box_letters import opened_dir
from storage.box_read import Box, rows_of
from storage.box_state import State, without_rows
from storage.box_sync import Lister, Put
from storage.box_types import KEYWORD_COUNT, SYSTEM_MASK, Placed, keyword_bit
from storage.errors import Invalid
from storage.files import open_unnamed, store_error
from storage.index_letters import copy_rows

_BULK_COUNT = 256


def copy(box: Box, uids: Sequence[int], target: Box) -> Placed:
    """Link letters into `target` (which may be `box`); all of those that exist, or none.

    Raises OverQuota, NoSpace, NotFound. Blocks.
    """
    boxes = box.mailbox.boxes
    with _both(box, target):
        box.refresh()
        rows, missing = _present(box, uids)
        octets = sum(_sizes(box, uids))
        boxes.admit_quota(box.mailbox.path, octets, len(rows))
        placed = _place(box, rows, target, is_move=False)
        boxes.count_quota(box.mailbox.path, sum(_sizes(box, placed.source)), len(placed.source))
    return _with_missing(placed, missing)


def move(box: Box, uids: Sequence[int], target: Box) -> Placed:
    """Rename letters into `target` (which may be `box`); they get new UIDs there. Raises NoSpace, NotFound. Blocks."""
    with _both(box, target):
        box.refresh()
        rows, missing = _present(box, uids)
        placed = _place(box, rows, target, is_move=True)
        state = box.state
        gone = [row for uid in placed.source if (row := state.row_of(uid)) is not None]
        if gone:
            box.publish(box.numbered(without_rows(state, gone), (), placed.source))
    return _with_missing(placed, missing)


def _both(box: Box, target: Box) -> ExitStack:
    """Hold both folders' locks, always in the same order: two moves may cross."""
    stack = ExitStack()
    for one in sorted({box.path: box, target.path: target}.items()):
        stack.enter_context(one[1].lock)
    return stack


def _with_missing(placed: Placed, missing: list[int]) -> Placed:
    return Placed(placed.uidvalidity, placed.uids, placed.source, tuple(sorted({*missing, *placed.missing})))


def _present(box: Box, uids: Sequence[int]) -> tuple[list[int], list[int]]:
    rows: list[int] = []
    missing: list[int] = []
    for uid, row in zip(uids, rows_of(box.state, uids), strict=True):
        if row is None:
            missing.append(uid)
        else:
            rows.append(row)
    return rows, missing


def _sizes(box: Box, uids: Iterable[int]) -> list[int]:
    """The octets of the letters' files: what the quota counts."""
    state, sizes = box.state, []
    with opened_dir(box.cur) as cur_fd:
        for uid in uids:
            row = state.row_of(uid)
            if row is not None:
                with suppress(FileNotFoundError):
                    sizes.append(file_octets(cur_fd, state.bases[row] + state.infos[row]))
    return sizes


def _place(box: Box, rows: Sequence[int], target: Box, *, is_move: bool) -> Placed:
    """Bring the rows' files into the target's cur under its UID lock, in one batch: one line write, one directory
    sync.
    """
    if not rows:
        return Placed(target.uidvalidity, ())
    state = box.state
    masks = _masks(box, state, rows, target)
    box.mailbox.boxes.settle(box.mailbox.path, box.cur, (state.bases[row] + state.infos[row] for row in rows))
    sources: list[int] = []
    missing: list[int] = []

    placed: list[Put] = []
    columns = state.columns

    def put(lister: Lister | None) -> list[Put]:
        for row in rows:
            base, info = _new_name(box, state, row), info_with(state.infos[row], masks[columns.flags[row]])
            if _bring(from_fd, state.bases[row] + state.infos[row], target, to_fd, base + info, is_move):
                placed.append(Put(base, info, columns.size[row], columns.internaldate[row]))
                sources.append(columns.uid[row])
            else:
                missing.append(columns.uid[row])
        return placed

    with ExitStack() as stack:
        for one in (box, target):
            if len(rows) > _BULK_COUNT:
                stack.enter_context(one.unwatched())
        try:
            with opened_dir(box.cur) as from_fd, opened_dir(target.cur) as to_fd, _Undone(to_fd, placed, is_move):
                found, uids = target.sync.place(target.state, put)
                os.fsync(to_fd)
        except OSError as error:
            raise store_error(error, f"letters could not be put into {target.name}") from error
        target.apply(found)
    _copy_index(box, target, list(zip(sources, uids, strict=True)))
    return Placed(target.uidvalidity, tuple(uids), tuple(sources), tuple(missing))


def _masks(box: Box, state: State, rows: Sequence[int], target: Box) -> dict[int, int]:
    """Return, for each flag mask of the rows, the mask that says the same in the target, whose keywords have other
    letters.
    """
    out: dict[int, int] = {}
    for flags in {state.columns.flags[row] for row in rows}:
        names = [
            name for place, name in enumerate(state.keywords[:KEYWORD_COUNT]) if name and flags & keyword_bit(place)
        ]
        try:
            mask = target.keyword_mask(names)
        except Invalid:  # the target has its 26: a letter is worth more than a label
            mask = target.keyword_mask(names, create=False)
        out[flags] = flags & SYSTEM_MASK | mask
    return out


def _new_name(box: Box, state: State, row: int) -> str:
    """A new unique part, since the target's uidlist may remember the old name with an old UID; the sizes stay."""
    base = state.bases[row]
    comma = base.find(",")
    return box.mailbox.boxes.unique_base() + (base[comma:] if comma >= 0 else "")


def _bring(from_fd: int, source: str, target: Box, to_fd: int, name: str, is_move: bool) -> bool:
    """Link or rename one file; false when it is not there (any more)."""
    try:
        if is_move:
            os.rename(source, name, src_dir_fd=from_fd, dst_dir_fd=to_fd)
        else:
            os.link(source, name, src_dir_fd=from_fd, dst_dir_fd=to_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError as error:
        if is_move or error.errno != errno.EMLINK:
            raise
        _copy_octets(from_fd, source, to_fd, f"{target.path}/tmp", name)  # noqa: S108 - the same
    return True


def _copy_octets(from_fd: int, source: str, to_fd: int, to_dir: str, name: str) -> None:
    """A file has 65,000 links on ext4: then a new copy, synced before it has its name."""
    read_fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=from_fd)
    try:
        stat = os.fstat(read_fd)
        held = open_unnamed(to_dir)
        done = 0
        while done < stat.st_size and (count := os.sendfile(held.fd, read_fd, done, stat.st_size - done)):
            done += count
        os.utime(held.fd, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        os.fsync(held.fd)
        held.link(name, to_fd)
    finally:
        os.close(read_fd)


class _Undone:
    """Take links away again when a COPY fails half-way (RFC 3501 §6.4.7: all or none); a MOVE keeps what it moved."""

    def __init__(self, to_fd: int, placed: list[Put], is_move: bool) -> None:
        self._to_fd, self._placed, self._is_move = to_fd, placed, is_move

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None and not self._is_move:
            for one in self._placed:
                with suppress(OSError):
                    os.unlink(one.base + one.info, dir_fd=self._to_fd)


def _copy_index(box: Box, target: Box, pairs: list[tuple[int, int]]) -> None:
    """Give the new letters the index rows of the old: no letter is read a second time.

    Only a cache: failing is no harm.
    """
    index = box.mailbox.index
    try:
        with index.writing() as connection:
            source_id, target_id = box.index_folder(connection), target.index_folder(connection)
            copy_rows(connection, source_id, target_id, pairs)
    except sqlite3.Error:
        return
    target.note_copied([uid for _, uid in pairs])
