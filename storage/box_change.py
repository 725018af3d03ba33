"""Changing letters where they are: flags by renaming, expunging by unlinking. A name is compared and swapped by the
rename itself:

when another program was faster the old name is not there, the folder is read again, and the change is made on what is
there now.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from storage.box_info import file_octets, info_with
from storage.box_letters import opened_dir
from storage.box_read import Box, rows_of
from storage.box_state import with_flags, without_rows
from storage.box_types import DELETED
from storage.errors import Conflict, Invalid

_ATTEMPTS = 5
_BULK_COUNT = 256  # from here on events cost more than reading the folder again


@dataclass(slots=True)
class Outcome:
    """What became of the letters, by UID."""

    changed: list[int] = field(default_factory=list)
    modified: list[int] = field(default_factory=list)
    modseqs: list[int] = field(default_factory=list)  # of `changed`, one each


def store_flags(box: Box, uids: Sequence[int], change: str, mask: int, unchanged_since: int | None = None) -> Outcome:
    """Set ("="), add ("+") or remove ("-") flag bits of letters; those that are gone are passed over.

    Blocks. Raises Invalid, Conflict.
    """
    if change not in ("=", "+", "-"):
        raise Invalid(f"{change!r} is no way to change flags")
    outcome = Outcome()
    with box.lock, ExitStack() as stack:
        box.refresh()
        if unchanged_since is not None:
            uids, outcome.modified = _unchanged(box, uids, unchanged_since)
        if len(uids) > _BULK_COUNT:
            stack.enter_context(box.unwatched())
        for _ in range(_ATTEMPTS):
            uids = _rename(box, uids, change, mask, outcome)
            if not uids:
                return outcome
            box.refresh(force=True)
    raise Conflict(f"other programs keep renaming letters of {box.name}")


def _unchanged(box: Box, uids: Sequence[int], unchanged_since: int) -> tuple[list[int], list[int]]:
    """Split by MODSEQ (RFC 7162 §3.1.3)."""
    state = box.state
    fits: list[int] = []
    modified: list[int] = []
    for uid, row in zip(uids, rows_of(state, uids), strict=True):
        if row is not None:
            (modified if state.columns.modseq[row] > unchanged_since else fits).append(uid)
    return fits, modified


def _rename(box: Box, uids: Sequence[int], change: str, mask: int, outcome: Outcome) -> list[int]:
    """Rename what needs it and publish the result; return the UIDs whose files were not found by their names."""
    state = box.state
    flags, bases, infos, own = state.columns.flags, state.bases, state.infos, state.columns.uid
    rows: list[int] = []
    new_flags: list[int] = []
    new_infos: list[str] = []
    failed: list[int] = []
    keep = 0 if change == "=" else 0xFFFFFFFF & ~mask
    put = 0 if change == "-" else mask
    rename = os.rename
    with opened_dir(box.cur) as cur_fd:
        for row in rows_of(state, uids):
            if row is None:
                continue
            wanted = flags[row] & keep | put
            if wanted == flags[row]:
                continue
            info = infos[row]
            new_info = info_with(info, wanted)
            base = bases[row]
            try:
                rename(base + info, base + new_info, src_dir_fd=cur_fd, dst_dir_fd=cur_fd)
            except FileNotFoundError:
                failed.append(own[row])
                continue
            rows.append(row)
            new_flags.append(wanted)
            new_infos.append(new_info)
    if rows:
        changed = [own[row] for row in rows] if len(rows) < len(own) else list(own)
        new = box.numbered(with_flags(state, rows, new_infos, new_flags, [0] * len(rows)), changed, ())
        outcome.changed += changed
        outcome.modseqs += [new.columns.modseq[row] for row in rows]
        box.publish(new)
    return failed


def expunge(box: Box, uids: Sequence[int], *, only_deleted: bool) -> list[int]:
    r"""Unlink letters (only those marked \Deleted, or whatever their flags) and return the UIDs that went by our hand.

    Blocks.
    """
    went: list[int] = []
    with box.lock, ExitStack() as stack:
        box.refresh()
        if len(uids) > _BULK_COUNT:
            stack.enter_context(box.unwatched())
        for _ in range(_ATTEMPTS):
            uids, gone = _unlink(box, uids, only_deleted)
            went += gone
            if not uids:
                return went
            box.refresh(force=True)
    raise Conflict(f"other programs keep renaming letters of {box.name}")


def _unlink(box: Box, uids: Sequence[int], only_deleted: bool) -> tuple[list[int], list[int]]:
    state = box.state
    columns = state.columns
    rows: list[int] = []
    failed: list[int] = []
    octets = 0
    going = [
        row
        for row in rows_of(state, uids)
        if row is not None and not (only_deleted and not columns.flags[row] & DELETED)
    ]
    box.mailbox.boxes.settle(box.mailbox.path, box.cur, (state.bases[row] + state.infos[row] for row in going))
    with opened_dir(box.cur) as cur_fd:
        for row in going:
            name = state.bases[row] + state.infos[row]
            try:
                of_file = file_octets(cur_fd, name)
                os.unlink(name, dir_fd=cur_fd)
            except FileNotFoundError:
                failed.append(columns.uid[row])
                continue
            rows.append(row)
            octets += of_file
    gone = [columns.uid[row] for row in rows]
    if rows:
        box.mailbox.boxes.count_quota(box.mailbox.path, -octets, -len(rows))
        box.publish(box.numbered(without_rows(state, rows), (), gone))
    return failed, gone
