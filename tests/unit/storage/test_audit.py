"""The audit log: each line bound to the one before; whatever is changed behind our back, the first bad line is named."""

import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bdmta.testing.clock import FakeClock
from storage import audit
from storage.directory import Directory
from storage.directory_rows import Mailbox
from storage.errors import Conflict, Invalid
from storage.schema_directory import _LAYOUT_1, _LAYOUT_2

DOMAIN = "binhduong.gov.vn"
MINH = f"minhnv@{DOMAIN}"


@pytest.fixture
def directory(tmp_path: Path):
    clock = FakeClock()
    with Directory.open(str(tmp_path / "directory.db"), clock) as opened:
        with opened.change("init") as change:
            change.set_domains([DOMAIN])
            change.add_mailbox(Mailbox(address=MINH, name="Nguyễn Văn Minh"))
        for number in range(5):
            with opened.change("lan", f"Công văn số {number}/SNV") as change:
                change.set_mailbox(MINH, name=f"Nguyễn Văn Minh {number}")
        yield opened


def edited(tmp_path: Path, *sql: str) -> None:
    """What somebody does who has the file and knows SQLite."""
    conn = sqlite3.connect(tmp_path / "directory.db")
    conn.executescript("DROP TRIGGER audit_is_kept; DROP TRIGGER audit_is_fixed;" + ";".join(sql))
    conn.close()


def broken_at(directory: Directory, *anchors: audit.Head) -> int:
    with pytest.raises(audit.Broken) as caught:
        audit.verify(directory.every_audit_line(), anchors)
    return caught.value.line


def test_a_line_says_who_on_what_grounds_and_before_and_after(directory: Directory):
    row = directory.audit(subject=MINH)[0]
    assert (row.actor, row.grounds, row.action) == ("lan", "Công văn số 4/SNV", "mailbox.set")
    assert (json.loads(row.before), json.loads(row.after)) == (
        {"name": "Nguyễn Văn Minh 3"}, {"name": "Nguyễn Văn Minh 4"},
    )  # fmt: skip


def test_an_unbroken_log(directory: Directory):
    head = audit.verify(directory.every_audit_line())
    assert head == directory.audit_head() and head.id == len(directory.audit()) == 7


@pytest.mark.parametrize("field", [name for name in audit.COLUMNS if name != "id"])
def test_a_changed_line_is_named(directory: Directory, tmp_path: Path, field: str):
    edited(tmp_path, f"UPDATE audit SET {field} = {field} || ' ' WHERE id = 4")
    assert broken_at(directory) == 4


def test_a_removed_line_is_named(directory: Directory, tmp_path: Path):
    edited(tmp_path, "DELETE FROM audit WHERE id = 3")
    assert broken_at(directory) == 3


def test_numbers_closed_up_after_a_removal_do_not_help(directory: Directory, tmp_path: Path):
    edited(tmp_path, "DELETE FROM audit WHERE id = 3", "UPDATE audit SET id = id - 1 WHERE id > 3")
    assert broken_at(directory) == 3


def test_a_line_put_in_is_named(directory: Directory, tmp_path: Path):
    edited(
        tmp_path,
        "UPDATE audit SET id = -id WHERE id > 4", "UPDATE audit SET id = 1 - id WHERE id < 0",
        "INSERT INTO audit SELECT 5, at, 'minh', action, subject, grounds, before, after, detail, hash FROM audit WHERE id = 4",
    )  # fmt: skip
    assert broken_at(directory) == 5


def test_a_log_cut_off_or_made_anew_is_found_by_a_head_written_down_before(directory: Directory, tmp_path: Path):
    anchor = directory.audit_head()
    with directory.change("lan") as change:
        change.set_mailbox(MINH, rank=2)
    assert audit.verify(directory.every_audit_line(), [anchor]).id == 8
    edited(tmp_path, "DELETE FROM audit WHERE id > 5")
    assert audit.verify(directory.every_audit_line()).id == 5  # in itself it holds
    assert broken_at(directory, anchor) == 6
    with directory.change("lan") as change:
        change.set_mailbox(MINH, rank=1)
        change.set_mailbox(MINH, rank=3)
    assert broken_at(directory, anchor) == 7


def test_an_act_that_is_undone_leaves_no_line_and_no_gap(directory: Directory):
    with directory.change("lan") as change:
        with pytest.raises(Conflict), change.attempt():
            change.set_mailbox(MINH, rank=9)
            change.set_status(MINH, "active")
        change.set_mailbox(MINH, rank=1)
    with pytest.raises(Conflict), directory.change("lan") as change:
        change.set_mailbox(MINH, rank=8)
        change.set_status(MINH, "active")
    assert audit.verify(directory.every_audit_line()).id == 8
    assert json.loads(directory.audit()[0].after) == {"rank": 1}


@pytest.mark.parametrize("name", ["password", "secret_hash", "content"])
def test_passwords_and_contents_cannot_be_put_on_record(directory: Directory, name: str):
    with pytest.raises(Invalid, match="never holds"), directory.change("lan") as change:
        change.note("x", MINH, after={name: "Mat-khau-2026"})
    assert audit.verify(directory.every_audit_line()).id == 7


def test_a_log_of_layout_2_becomes_a_chain(tmp_path: Path):
    conn = sqlite3.connect(tmp_path / "old.db")
    conn.executescript(_LAYOUT_1 + _LAYOUT_2 + "PRAGMA user_version = 2;")
    for number in range(3):
        conn.execute(
            "INSERT INTO audit (at, actor, action, subject, detail) VALUES (?, 'lan', 'mailbox.set', ?, ?)",
            (f"2026-01-0{number + 1}T00:00:00+00:00", MINH, '{"rank": {"from": null, "to": 1}}'),
        )
    conn.commit()
    conn.close()
    with Directory.open(str(tmp_path / "old.db"), FakeClock()) as directory:
        assert audit.verify(directory.every_audit_line()).id == 3
        assert json.loads(directory.audit()[0].detail) == {"rank": {"from": None, "to": 1}}
    with Directory.open(str(tmp_path / "old.db"), FakeClock()) as directory:  # once is enough
        assert audit.verify(directory.every_audit_line()).id == 3


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=60)
@given(
    acts=st.lists(st.tuples(_TEXT, _TEXT, _TEXT), min_size=1, max_size=8), data=st.data(),
)  # fmt: skip
def test_any_single_edit_is_found_at_its_line(acts, data):
    conn = sqlite3.connect(":memory:")
    for statement in audit.AUDIT_TABLES:
        conn.execute(statement)
    last = audit.Head()
    for actor, action, subject in acts:
        last = audit.append(
            conn, last, at="2026-11-28", actor=actor, action=action, subject=subject, after={"x": subject}
        )
    lines = list(audit.lines(conn))
    assert audit.verify(lines) == last
    index = data.draw(st.integers(0, len(lines) - 1))
    field = data.draw(st.sampled_from(audit.COLUMNS[1:]))
    other = data.draw(_TEXT.filter(lambda text: text != lines[index][field]))
    lines[index] = {**lines[index], field: other}
    with pytest.raises(audit.Broken) as caught:
        audit.verify(lines)
    assert caught.value.line == index + 1
