"""The index file: made, versioned, broken, shared; the order of changes; rows of letters."""

from __future__ import annotations

import os
import sqlite3
from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storage.box_state import Arrived, State, counted, empty_columns, joined, with_arrived, with_flags, without_rows
from storage.box_types import Rendered
from storage.index import Index
from storage.index_folder import Saved, agree, folder_row, forget_folder, load, load_figures, save, take_recent
from storage.index_letters import copy_rows, field_values, forget_letters, insert_letters, known_uids, rendered_rows
from storage.scan_folder import Stamp
from storage.uidlist import Known
from tests.unit.storage.box_support import letter, render

FLOOR = 1000


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    made = Index(str(tmp_path / "deep" / "box.db"), "v1")
    yield made
    made.close()


def folder(connection: sqlite3.Connection, name: str = "INBOX") -> int:
    return folder_row(connection, name, 7, FLOOR)[0]


def state_of(count: int) -> State:
    empty = State(empty_columns(), [], [], 7, count + 1, 500)
    arrived = [
        Arrived(uid, f"{uid}.é\udcff", ":2,S" if uid % 2 else ":2,", uid % 2, 10 * uid, uid)
        for uid in range(1, count + 1)
    ]
    return with_arrived(empty, arrived, {}, 500)


def rows(*uids: int) -> list[tuple[int, int, Rendered]]:
    return [(uid, 10, render(letter(f"n{uid}"))) for uid in uids]


def test_a_state_comes_back_as_it_was(index: Index) -> None:
    state = state_of(5)
    stamp, known = Stamp(1, 2, 3, 4), Known(5, 60, 7, 6, b"3 V7 N1 G\xff", b"tail\xff\n")
    with index.writing() as connection:
        save(connection, folder(connection), Saved(state, stamp, known, counted(state.columns, 3)))
    with index.reading() as connection:
        kept = load(connection, 1, 7)
        figures = load_figures(connection, 1)
    assert kept == Saved(state, stamp, known, counted(state.columns, 3))
    assert figures == (500, 6, stamp, known, kept.counts)
    assert (kept.counts.messages, kept.counts.unseen, kept.counts.recent, kept.counts.size_octets) == (5, 2, 3, 150)


def test_an_older_state_does_not_replace_a_newer_one(index: Index) -> None:
    state = state_of(3)
    with index.writing() as connection:
        number = folder(connection)
        for modseq in (600, 550):
            save(
                connection,
                number,
                Saved(replace(state, highestmodseq=modseq), None, Known(), counted(state.columns, 1)),
            )
        kept = load(connection, number, 7)
    assert kept is not None and kept.state.highestmodseq == 600


def test_another_version_begins_anew(index: Index) -> None:
    with index.writing() as connection:
        insert_letters(connection, folder(connection), rows(1))
    index.close()
    other = Index(index.path, "v2")
    with other.reading() as connection:
        assert connection.execute("SELECT count(*) FROM letter").fetchone() == (0,)
    other.close()


def test_a_file_that_was_deleted_or_broken_is_made_anew(index: Index) -> None:
    with index.writing() as connection:
        folder(connection)
    generation = index.generation
    os.unlink(index.path)
    with index.reading() as connection:
        assert connection.execute("SELECT count(*) FROM folder").fetchone() == (0,)
    assert index.generation > generation
    index.close()
    for tail in ("-wal", "-shm"):
        Path(index.path + tail).unlink(missing_ok=True)
    Path(index.path).write_bytes(os.urandom(5000))
    with index.writing() as connection:
        folder(connection)


def test_a_failed_write_leaves_nothing(index: Index) -> None:
    with pytest.raises(ZeroDivisionError), index.writing() as connection:
        folder(connection)
        _ = 1 / 0
    with index.reading() as connection:
        assert connection.execute("SELECT count(*) FROM folder").fetchone() == (0,)


def test_an_index_in_use_is_not_closed(index: Index) -> None:
    with index.reading():
        assert not index.close_unused()
        assert index.is_open
    assert index.close_unused()
    assert not index.is_open


def test_changes_have_one_order_for_all_processes(index: Index) -> None:
    """What one process numbered, another takes over when it sees it later; what it alone knows gets new numbers."""
    with index.writing() as connection:
        number = folder(connection)

        def numbered(seen: int, changed: dict[int, int], flags: dict[int, int]) -> tuple[int, dict[int, int]]:
            agreed = agree(
                connection, number, seen_modseq=seen, changed=changed, flags_now=flags.get, anything_gone=False, floor=0
            )
            return agreed.highestmodseq, agreed.modseqs

        assert numbered(FLOOR, {1: 4, 2: 4}, {1: 4, 2: 4, 3: 0}) == (1001, {})
        assert numbered(1001, {2: 5}, {1: 4, 2: 5, 3: 0}) == (1002, {})
        assert numbered(FLOOR, {1: 4, 2: 5}, {1: 4, 2: 5, 3: 0}) == (1002, {1: 1001, 2: 1002})
        assert numbered(FLOOR, {1: 4, 2: 5, 3: 1}, {1: 4, 2: 5, 3: 1}) == (1003, {1: 1001, 2: 1002})
        assert numbered(1002, {1: 9}, {1: 9, 2: 5, 3: 0}) == (1004, {3: 1004})
        assert numbered(1004, {}, {}) == (1004, {})


def test_a_cut_log_is_made_up_for_by_the_kept_state(index: Index) -> None:
    state = state_of(3)
    flags = {1: 4, 2: 0, 3: 1}
    with index.writing() as connection:
        number = folder(connection)
        agree(connection, number, seen_modseq=FLOOR, changed={1: 4}, flags_now=flags.get, anything_gone=False, floor=0)
        state = replace(with_flags(state, [0], [":2,F"], [4], [1001]), highestmodseq=1001)
        save(connection, number, Saved(state, None, Known(), counted(state.columns, 1)))
        assert connection.execute("SELECT count(*) FROM change").fetchone() == (0,)
        late = agree(
            connection, number, seen_modseq=FLOOR, changed={1: 4}, flags_now=flags.get, anything_gone=False, floor=0
        )
    assert (late.highestmodseq, late.modseqs) == (1001, {1: 1001})


def test_a_folder_with_another_uidvalidity_begins_above_its_past(index: Index) -> None:
    with index.writing() as connection:
        number = folder(connection)
        insert_letters(connection, number, rows(1, 2))
        again, highest, first_recent = folder_row(connection, "INBOX", 8, 5)
        assert highest == FLOOR + 1 and first_recent == 1
        assert list(known_uids(connection, again, 1, 9)) == []
        assert connection.execute("SELECT count(*) FROM letter").fetchone() == (0,)


def test_recent_is_told_once(index: Index) -> None:
    with index.writing() as connection:
        number = folder(connection)
        assert [
            take_recent(connection, number, 6),
            take_recent(connection, number, 6),
            take_recent(connection, number, 9),
        ] == [1, 6, 6]


def test_rows_of_letters(index: Index) -> None:
    with index.writing() as connection:
        number, other = folder(connection), folder(connection, "Sent")
        insert_letters(connection, number, rows(1, 2, 3, 5, 900))
        insert_letters(connection, other, rows(2))
        sizes = [b"(E%d)" % len(letter(f"n{uid}")) for uid in (1, 2, 3, 5, 900)]
        assert rendered_rows(connection, number, array("I", [1, 2, 3]), ["envelope"]) == [(size,) for size in sizes[:3]]
        assert rendered_rows(connection, number, [1, 3, 4, 5], ["envelope"]) == [
            (sizes[0],),
            (sizes[2],),
            None,
            (sizes[3],),
        ]
        assert rendered_rows(connection, number, [2, 900], ["bodystructure", "envelope"]) == [
            (b"(S)", sizes[1]),
            (b"(S)", sizes[4]),
        ]
        assert field_values(connection, number, "to", 2, 5) == [(2, ""), (3, ""), (5, "")]
        copy_rows(connection, number, other, [(5, 10), (900, 11), (77, 12)])
        assert list(known_uids(connection, other, 1, 99)) == [2, 10, 11]
        assert field_values(connection, other, "subject", 10, 11) == [(10, "n5"), (11, "n900")]
        forget_letters(connection, number, [1, 900])
        assert list(known_uids(connection, number, 1, 1000)) == [2, 3, 5]
        forget_folder(connection, number)
        assert list(known_uids(connection, other, 1, 99)) == [2, 10, 11]


def test_states_are_made_of_states() -> None:
    state = state_of(6)
    fewer = without_rows(state, [0, 2, 3])
    assert list(fewer.columns.uid) == [2, 5, 6] and fewer.bases == [state.bases[1], state.bases[4], state.bases[5]]
    assert without_rows(state, range(6)).bases == []
    changed = with_flags(fewer, [1], [":2,F"], [4], [900])
    assert list(changed.columns.flags) == [0, 4, 0] and changed.columns.uid is fewer.columns.uid
    shown = joined(state.columns, [1, 3, 4], changed.columns)
    assert list(shown.uid) == [1, 2, 3, 4, 5, 6] and list(shown.flags) == [1, 0, 1, 0, 4, 0]
    assert state.row_of(6) == 5 and fewer.row_of(1) is None and fewer.row_of(7) is None
