"""dovecot-uidlist as Dovecot writes it, torn, lost, shared."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from storage.errors import Locked
from storage.uidlist import News, UidList, compacted_at, parse_header, parse_lines
from storage.uidlist_lock import LOCK_NAME, uidlist_lock
from storage.uidlist_validity import next_uidvalidity

HEADER = "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n"


def fill(folder: Path, text: str) -> UidList:
    (folder / "dovecot-uidlist").write_text(text)
    return UidList(str(folder))


def add(uids: UidList, *bases: str) -> list[tuple[int, str]]:
    return uids.assign(lambda: 7, lambda news, next_uid: bases)


def test_reads_the_lines_of_its_documentation(tmp_path: Path) -> None:
    uids = fill(
        tmp_path,
        HEADER
        + "25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394:2,\n25017 W2481 :1276533073.M242911P3632.kurkku:2,F\n",
    )
    news = uids.read()
    assert news == News(
        True, [(25006, "1276528487.M364837P9451.kurkku,S=1355,W=1394"), (25017, "1276533073.M242911P3632.kurkku")]
    )
    assert (uids.known.uidvalidity, uids.known.next_uid) == (1275660208, 25022)


def test_next_uid_is_above_the_header_and_every_line(tmp_path: Path) -> None:
    uids = fill(tmp_path, "3 V9 N3 Gab\n1 :a\n7 :b\n")
    uids.read()
    assert add(uids, "c", "d") == [(8, "c"), (9, "d")]
    assert (tmp_path / "dovecot-uidlist").read_text() == "3 V9 N3 Gab\n1 :a\n7 :b\n8 :c\n9 :d\n"
    assert not (tmp_path / LOCK_NAME).exists()


def test_only_the_tail_is_read_again(tmp_path: Path) -> None:
    one = fill(tmp_path, "3 V9 N1 Gab\n")
    two = UidList(str(tmp_path))
    one.read()
    two.read()
    add(one, "a")
    add(two, "b")
    assert one.has_changed() and not two.has_changed()
    assert one.read() == News(False, [(2, "b")])
    assert one.known == two.known


def test_a_list_that_was_replaced_is_read_whole(tmp_path: Path) -> None:
    uids = fill(tmp_path, "3 V9 N1 Gab\n1 :a\n")
    uids.read()
    (tmp_path / "new").write_text("3 V9 N5 Gab\n1 :a\n4 :d\n")
    os.rename(tmp_path / "new", tmp_path / "dovecot-uidlist")
    assert uids.read() == News(True, [(1, "a"), (4, "d")])


def test_a_line_torn_by_a_crash_is_never_given_and_cut_off(tmp_path: Path) -> None:
    uids = fill(tmp_path, "3 V9 N1 Gab\n1 :a\n2 :b,S=1")
    news = uids.read()
    assert news is not None and news.entries == [(1, "a")]
    assert add(uids, "c") == [(2, "c")]
    assert (tmp_path / "dovecot-uidlist").read_text() == "3 V9 N1 Gab\n1 :a\n2 :c\n"


def test_a_missing_list_is_made_and_a_broken_one_replaced(tmp_path: Path) -> None:
    uids = UidList(str(tmp_path))
    assert uids.read() is None
    assert add(uids, "a") == [(1, "a")]
    assert parse_header((tmp_path / "dovecot-uidlist").read_bytes().split(b"\n")[0]) == (7, 2)
    (tmp_path / "dovecot-uidlist").write_bytes(b"\0\0\0")
    assert uids.read() is None
    assert uids.assign(lambda: 8, lambda news, _: ["z"], (7, 40, [(1, "a")])) == [(40, "z")]
    assert b" V7 N41 " in (tmp_path / "dovecot-uidlist").read_bytes()
    assert uids.read() == News(False, [])


def test_version_1_is_read_and_written_as_3(tmp_path: Path) -> None:
    uids = fill(tmp_path, "1 1275660208 3\n1 a:2,S\n2 b\n")
    news = uids.read()
    assert news is not None and news.entries == [(1, "a"), (2, "b")]
    add(uids, "c")
    lines = (tmp_path / "dovecot-uidlist").read_text().splitlines()
    assert lines[0].startswith("3 V1275660208 N4 G") and lines[1:] == ["1 :a", "2 :b", "3 :c"]


def test_compacting_keeps_fields_and_the_next_uid(tmp_path: Path) -> None:
    uids = fill(tmp_path, "3 V9 N1 Gab Xfuture\n1 :a\n2 W5 Zq :b\n3 :c\n")
    uids.read()
    for _ in range(2):
        uids.compact(lambda uid: uid == 2)
    header, _, lines = (tmp_path / "dovecot-uidlist").read_text().partition("\n")
    assert re.fullmatch(r"3 V9 N4 Gab Xfuture C\d+", header) and lines == "2 W5 Zq :b\n"
    assert abs(compacted_at(header.encode()) - (tmp_path / "dovecot-uidlist").stat().st_mtime) < 5
    assert add(uids, "d") == [(4, "d")]
    assert compacted_at(b"3 V9 N4 Gab") == compacted_at(b"") == 0


@pytest.mark.parametrize(
    "line", [b"", b"x :a", b"5", b"-1 :a", b"99999999999 :a", b"4294967296 :a", b"3 :", b"3 ::2,S"]
)
def test_junk_lines_are_passed_over(line: bytes) -> None:
    assert list(parse_lines(b"1 :a\n" + line + b"\n9 :b\n", above_uid=0)) == [(1, "a"), (9, "b")]


@pytest.mark.parametrize(
    "header", [b"", b"2 V1 N1", b"3 N1", b"3 Vx N1", b"3 V0 N1", b"3 V1 N0", b"3 V99999999999 N1", b"1 5"]
)
def test_headers_that_are_none(header: bytes) -> None:
    assert parse_header(header) is None


def test_many_threads_give_each_uid_once(tmp_path: Path) -> None:
    fill(tmp_path, "3 V9 N1 Gab\n")
    given: list[int] = []

    def work(name: int) -> None:
        uids = UidList(str(tmp_path))
        for turn in range(10):
            given.extend(uid for uid, _ in add(uids, f"t{name}.{turn}"))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(1, 41))


def test_the_lock_of_a_dead_process_is_taken_over_at_once(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_text(f"4194303:{os.uname().nodename}")
    with uidlist_lock(str(tmp_path), wait_s=0):
        assert (tmp_path / LOCK_NAME).read_text().startswith(f"{os.getpid()}:")


def test_a_living_lock_is_respected_an_old_one_is_not(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_text("1:another-host")
    with pytest.raises(Locked, match="1:another-host"), uidlist_lock(str(tmp_path), wait_s=0.01):
        pass
    with pytest.raises(Locked), uidlist_lock(str(tmp_path), wait_s=0.01):
        pass
    assert (tmp_path / LOCK_NAME).read_text() == "1:another-host"


def test_a_lock_that_was_taken_away_is_not_removed_by_its_first_holder(tmp_path: Path) -> None:
    with uidlist_lock(str(tmp_path)):
        os.unlink(tmp_path / LOCK_NAME)
        (tmp_path / LOCK_NAME).write_text("another")
    assert (tmp_path / LOCK_NAME).read_text() == "another"


def test_uidvalidity_is_never_given_twice(tmp_path: Path) -> None:
    given = [next_uidvalidity(str(tmp_path), 1000.0) for _ in range(3)]
    assert given == [1000, 1001, 1002]
    assert next_uidvalidity(str(tmp_path), 5000.0) == 5000
    assert (tmp_path / "dovecot-uidvalidity").read_text() == "00001388"
    assert [name for name in os.listdir(tmp_path) if "." in name] == ["dovecot-uidvalidity.00001388"]
