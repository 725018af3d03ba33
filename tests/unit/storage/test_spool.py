from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bdmta.testing.clock import FakeClock
from storage.clock import SystemClock
from storage.errors import Conflict, Corrupt, Invalid, Locked, NotFound
from storage.letter import Letter
from storage.maildirsize import Limit
from storage.spool import QueueEntry, QueueRecipient, Spool, Target
from storage.spool_entry import parse_entry, render_entry
from storage.spool_progress import Progress

LETTER = Letter.from_octets([b"To: b\r\n\r\nhello\r\n"])


def entry(name: str = "e1", letter: Letter | None = LETTER) -> QueueEntry:
    recipients = (
        QueueRecipient("đ@b.vn", dsn_notify="NEVER", dsn_orcpt="rfc822;x@y", via="g@b.vn", state={"tries": 2}),
        QueueRecipient("c@d.vn"),
    )
    return QueueEntry(
        id=name, sender="a@b.vn", recipients=recipients, letter=letter, direction="submission", received_at=12.5,
        dsn_ret="HDRS", dsn_envid="q+3Dz", smtputf8=True, body_8bit=True, priority=-1, size_octets=LETTER.size_octets,
        targets=(Target("/m/a", "Junk", Limit(5, 6)), Target("/m/b")), name="1.x", batch_count=500, attempt=1,
        more={"later": [1]},
    )  # fmt: skip


def test_what_is_put_is_loaded(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), FakeClock())
    spool.put_sync(entry())
    assert spool.load("e1") == entry(letter=None)
    assert b"".join(spool.open_letter("e1").blocks()) == b"To: b\r\n\r\nhello\r\n"
    assert sorted(os.listdir(tmp_path)) == ["e1.env", "e1.msg"]
    assert "đ@b.vn" in (tmp_path / "e1.env").read_text()
    with pytest.raises(Conflict):
        spool.put_sync(entry())
    spool.remove("e1")
    spool.remove("e1")
    assert os.listdir(tmp_path) == []
    for call in (spool.load, spool.open_letter, spool.lock):
        with pytest.raises(NotFound):
            call("e1")


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "a.b", "-a", "a\0", "a" * 101, ".hidden", "a\n"])
def test_ids_stay_in_the_directory(tmp_path: Path, name: str) -> None:
    spool = Spool(str(tmp_path), FakeClock())
    with pytest.raises(Invalid):
        spool.put_sync(entry(name))
    with pytest.raises(Invalid):
        spool.load(name)
    assert os.listdir(tmp_path) == []


def test_ids_sort_by_time_and_kinds_are_apart(tmp_path: Path) -> None:
    clock = FakeClock()
    spool = Spool(str(tmp_path), clock)
    ids = []
    for _ in range(5):
        ids.append(spool.new_id())
        clock.advance(0.001)
        spool.put_sync(entry(ids[-1]))
    large = spool.new_id("expand")
    spool.put_sync(entry(large))
    assert spool.list() == ids
    assert spool.list("expand") == [large]


def test_one_works_on_an_entry_at_a_time_updates_included(tmp_path: Path) -> None:
    spool, other = Spool(str(tmp_path), FakeClock()), Spool(str(tmp_path), FakeClock())
    spool.put_sync(entry())
    with spool.lock("e1") as lock:
        with pytest.raises(Locked):
            other.lock("e1")
        spool.update(QueueEntry(id="e1", sender="new"), lock)
        with pytest.raises(Locked):
            other.lock("e1")
    assert other.load("e1").sender == "new"
    other.lock("e1").release()


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b"{}", b'{"id": 1}', b'{"recipients": [{}]}', b"\xff\n", b"null"])
def test_a_broken_envelope_names_its_file(octets: bytes) -> None:
    with pytest.raises(Corrupt, match=r"e1\.env"):
        parse_entry(octets, "/queue/e1.env")


def test_what_a_later_version_adds_is_kept() -> None:
    again = parse_entry(render_entry(entry()), "x")
    assert again.more == {"later": [1]}
    assert parse_entry(render_entry(again), "x") == again


def test_the_progress_of_an_earlier_attempt_does_not_count(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), FakeClock())
    first = QueueEntry(id="x-1", sender="")
    progress = Progress(spool, first)
    progress.note(500)
    progress.note(1000)
    assert progress.count() == 1000
    assert Progress(spool, replace(first, attempt=1)).count() == 0
    with open(tmp_path / "x-1.done", "a") as file:
        file.write("rubbish\n0 15")
    assert progress.count() == 1000


def test_sweeping_takes_orphans_only_and_not_young_ones(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), SystemClock())
    spool.put_sync(entry())
    for name in ("o.msg", "o.done", ".e1.1.2.tmp", "README"):
        (tmp_path / name).write_bytes(b"")
    assert spool.sweep() == 0
    assert spool.sweep(older_s=-5) == 3
    assert sorted(os.listdir(tmp_path)) == ["README", "e1.env", "e1.msg"]


def test_many_entries_are_replaced_at_once_and_stay_locked(tmp_path):
    spool = Spool(str(tmp_path), SystemClock())
    letter = Letter.from_octets([b"A: b\r\n\r\n"])
    recipients = (QueueRecipient("a@b.vn"),)
    for number in range(5):
        spool.put_sync(QueueEntry(id=f"e{number}", sender="s", recipients=recipients, letter=letter))
    locks = [spool.lock(f"e{number}") for number in range(5)]
    spool.update_many([(replace(spool.load_locked(lock), priority=7), lock) for lock in locks[:4]])
    assert [spool.load(f"e{number}").priority for number in range(5)] == [7, 7, 7, 7, 0]
    with pytest.raises(Locked):
        spool.lock("e2")
    for lock in locks:
        lock.release()
    with spool.lock("e2") as lock:
        assert os.fstat(lock.fd).st_ino == (tmp_path / "e2.env").stat().st_ino
    with pytest.raises(OSError, match="has been released"):
        _ = lock.fd
    assert {name.suffix for name in tmp_path.iterdir()} == {".env", ".msg"}
    spool.update_many([])
