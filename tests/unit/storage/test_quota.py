from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bdmta.testing.clock import FakeClock
from storage.errors import NotFound
from storage.maildir import create_mailbox
from storage.maildirsize import Usage, parse_sizes, sum_letters
from storage.quota import LateQuota, Limit, Quota

LIMIT = Limit(1000, 10)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "dian.vn" / "a")
    create_mailbox(path)
    yield path


def put(box: str, octets: int, where: str = "new", count: int = 1) -> None:
    for number in range(count):
        Path(box, where, f"1.M{number}P{octets}.h,S={octets},W={octets}").write_bytes(b"")


def sizes(box: str) -> str:
    return Path(box, "maildirsize").read_text()


@pytest.mark.parametrize(
    ("octets", "usage"),
    [
        (b"1000S,10C\n0 0\n", Usage(0, 0)),
        (b"1000S\n5 1\n-5 -1\n 7 1 \n", Usage(7, 1)),
        (b"10C,1000S\n5 1\n", Usage(5, 1)),
        (b"\n5 1\n", Usage(5, 1)),
        (b"", None),
        (b"1000S\n", None),
        (b"1000S\n5 1", None),
        (b"1000S\n5\n", None),
        (b"1000S\nx y\n", None),
        (b"1000X\n5 1\n", None),
        (b"1000S\n5 1\n-6 -1\n", None),
        (b"1000S\n" + b"9" * 30 + b" 1\n", None),
    ],
)
def test_the_file(octets: bytes, usage: Usage | None) -> None:
    found = parse_sizes(octets)
    assert (found and found.usage) == usage


def test_every_folder_counts_trash_too(box: str) -> None:
    put(box, 10)
    put(box, 20, "cur")
    put(box, 30, ".Trash/cur")
    Path(box, ".Sent/cur/nosize").write_bytes(b"12345")
    assert Quota(FakeClock()).usage(box) == Usage(65, 4)
    assert sizes(box) == "0S,0C\n65 4\n"


def test_appends_and_reads_what_others_append(box: str) -> None:
    quota, other = Quota(FakeClock()), Quota(FakeClock())
    quota.set_limit(box, LIMIT)
    quota.add(box, 100, 1, LIMIT)
    other.add(box, 50, 1, LIMIT)
    with open(f"{box}/maildirsize", "a") as file:
        file.write("-100 -1\n")
    assert sizes(box) == "1000S,10C\n0 0\n100 1\n50 1\n-100 -1\n"
    assert quota.usage(box) == other.usage(box) == Usage(50, 1)
    assert quota.add(box, 1, 1, LIMIT) == 0
    assert quota.usage(box) == Usage(51, 2)


def test_fits_by_octets_and_by_letters(box: str) -> None:
    quota = Quota(FakeClock())
    put(box, 200, count=4)
    assert quota.fits(box, LIMIT, 200)
    assert not quota.fits(box, LIMIT, 201)
    assert quota.fits(box, LIMIT, 0)
    put(box, 0, count=6)
    quota.recalculate(box)
    assert not quota.fits(box, LIMIT, 1)
    assert quota.fits(box, Limit(), 1 << 40)


def test_a_full_mailbox_is_summed_anew_before_it_refuses(box: str) -> None:
    quota = Quota(FakeClock())
    Path(box, "maildirsize").write_text("1000S,10C\n500 1\n500 1\n")
    assert quota.fits(box, LIMIT, 1)
    assert sizes(box) == "1000S,10C\n0 0\n"


def test_a_full_mailbox_is_summed_anew_when_the_file_is_old(box: str) -> None:
    clock = FakeClock()
    quota = Quota(clock)
    Path(box, "maildirsize").write_text("1000S,10C\n1000 2\n")
    os.utime(f"{box}/maildirsize", (clock.time(), clock.time()))
    assert not quota.fits(box, LIMIT, 1)
    clock.advance(901)
    assert quota.fits(box, LIMIT, 1)


def test_broken_or_long_files_are_summed_anew(box: str) -> None:
    quota = Quota(FakeClock())
    put(box, 7)
    for broken in ("rubbish\n", "1000S,10C\n1 1", "1000S,10C\n" + "0 0\n" * 2000):
        Path(box, "maildirsize").write_text(broken)
        assert quota.usage(box) == Usage(7, 1)
        assert len(sizes(box)) < 30
    Path(box, "maildirsize").write_text("1000S,10C\n" + "0 0\n" * 1280)
    quota.add(box, 7, 1, LIMIT)
    assert sizes(box) == "1000S,10C\n7 1\n"


def test_warns_once_for_each_crossing(box: str) -> None:
    clock = FakeClock()
    first, second = Quota(clock), Quota(clock)
    first.set_limit(box, LIMIT)
    assert first.add(box, 799, 1, LIMIT) == 0
    assert first.add(box, 1, 1, LIMIT) == 80
    assert second.add(box, 10, 1, LIMIT) == 0
    assert first.add(box, 140, 1, LIMIT) == 95
    assert first.add(box, 1, 1, LIMIT) == 0
    assert first.add(box, -500, -1, LIMIT) == 0
    assert first.add(box, 500, 1, LIMIT) == 95


def test_warns_again_after_another_program_removed_letters(box: str) -> None:
    clock = FakeClock()
    quota = Quota(clock)
    quota.set_limit(box, LIMIT)
    assert quota.add(box, 850, 1, LIMIT) == 80
    clock.advance(3600)
    with open(f"{box}/maildirsize", "a") as file:
        file.write("-850 -1\n")
    assert quota.add(box, 850, 1, LIMIT) == 80
    assert quota.add(box, 1, 1, LIMIT) == 0


def test_with_an_executor_nobody_waits_for_a_sum(box: str) -> None:
    put(box, 999, count=2)
    with ThreadPoolExecutor(1) as executor:
        quota = Quota(FakeClock(), executor)
        assert quota.fits(box, LIMIT, 1)
        executor.submit(int).result()
        assert sizes(box) == "1000S,10C\n1998 2\n"
        assert not quota.fits(box, LIMIT, 1)


def test_no_mailbox(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Quota(FakeClock()).usage(str(tmp_path / "nobody"))


def test_a_letter_to_everybody_sums_nobody_and_is_counted_all_the_same(box: str) -> None:
    quota, late = Quota(FakeClock()), LateQuota(FakeClock())
    put(box, 100)
    late.add(box, 100, 1, LIMIT)
    assert not Path(box, "maildirsize").exists()
    assert quota.usage(box) == Usage(100, 1)
    put(box, 50)
    late.add(box, 50, 1, LIMIT)
    assert quota.usage(box) == Usage(150, 2)


WIDE = Limit(1 << 30, 0)


def test_a_members_mailbox_with_plenty_of_room_is_not_looked_at_again_for_a_minute(box: str) -> None:
    clock = FakeClock()
    quota = Quota(clock)
    quota.set_limit(box, WIDE)
    assert quota.fits_member(box, WIDE, 1000)
    Path(box, "maildirsize").write_bytes(b"%dS,0C\n%d 1\n" % (WIDE.octets, WIDE.octets))
    assert quota.fits_member(box, WIDE, 1000)
    clock.advance(61)
    assert not quota.fits_member(box, WIDE, 1000)


@pytest.mark.parametrize(
    ("limit", "octets", "letters"),
    [
        (WIDE, (1 << 29) + 1, 1),  # half full
        (Limit(100 << 20, 0), 40 << 20, 1),  # less than 64 MiB are left
        (Limit(0, 10_000), 1, 5001),
        (Limit(0, 1500), 1, 600),
    ],
)
def test_a_members_mailbox_without_plenty_of_room_is_looked_at_with_every_letter(
    box: str, limit: Limit, octets: int, letters: int
) -> None:
    quota = Quota(FakeClock())
    quota.recalculate(box, limit)
    quota.add(box, octets, letters, limit)
    assert quota.fits_member(box, limit, 1000)
    full = (limit.octets, limit.letters)
    Path(box, "maildirsize").write_bytes(b"%dS,%dC\n%d %d\n" % (*full, *full))
    assert not quota.fits_member(box, limit, 1000)


def test_what_comes_while_a_sum_is_under_way_is_counted(box: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum may have passed the letter's folder already, and the letter finds no file to be appended to."""
    with ThreadPoolExecutor(1) as executor:
        quota = Quota(FakeClock(), executor)
        came: list[int] = []

        def summed(mailbox: str) -> Usage:
            found = sum_letters(mailbox)
            if not came:
                came.append(5)
                put(box, 5)
                quota.add(box, 5, 1, LIMIT)
            return found

        monkeypatch.setattr("storage.quota.sum_letters", summed)
        assert quota.fits(box, LIMIT, 5)
        for _ in range(3):
            executor.submit(int).result()
    assert came and sizes(box) == "1000S,10C\n5 1\n"
