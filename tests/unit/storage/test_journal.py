"""The journal: segments, checkpoints, what happens when the disk refuses, replay after a reboot, settled letters."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from storage import journal as journal_module
from storage.clock import SystemClock
from storage.commit import Commit, Delivery
from storage.errors import NotFound, StoreError
from storage.journal import Journal, Placement
from storage.journal_replay import replay_all, segments, waiting
from storage.journal_segment import BLOCK_OCTETS, Frame, Segment, read_found, read_records
from storage.letter import Letter
from storage.maildir import create_mailbox
from storage.moving import move_letters, rename_mailbox
from storage.settling import Settling, live_tags, read_notes
from storage.spool import QueueEntry, QueueRecipient, Spool
from storage.spool_entry import Target


@pytest.fixture
def site(tmp_path: Path) -> str:
    for name in ("a", "b"):
        create_mailbox(f"{tmp_path}/mail/d.vn/{name}")
    for folder in ("mail/.incoming", "journal", "queue"):
        (tmp_path / folder).mkdir()
    return str(tmp_path)


def opened(site: str, boot: str = "one", **more: Any) -> Journal:
    options: dict[str, Any] = {"segment_min_octets": 64 << 10, "segment_max_octets": 256 << 10} | more
    return Journal(
        f"{site}/journal", "0", mail_root=f"{site}/mail", tmp_dir=f"{site}/mail/.incoming", host="mx",
        clock=SystemClock(), boot=boot, **options,
    )  # fmt: skip


def box(site: str, name: str) -> str:
    return f"{site}/mail/d.vn/{name}"


def put(journal: Journal, site: str, text: str, *names: str, octets: int = 100) -> Placement:
    letter = Letter.from_octets([f"X: {text}\r\n\r\n".encode().ljust(octets, b".")])
    placement = Placement(letter, tuple(Target(box(site, name)) for name in names))
    journal.write([placement])
    return placement


def new(site: str, name: str, folder: str = "") -> list[str]:
    return sorted(os.listdir(f"{box(site, name)}{folder}/new"))


def after_reboot(site: str, boot: str = "two") -> Any:
    return replay_all(f"{site}/journal", f"{site}/mail", f"{site}/mail/.incoming", boot)


@pytest.fixture
def journal(site: str) -> Iterator[Journal]:
    made = opened(site)
    yield made
    made.close()


def abandon(journal: Journal) -> None:
    """The process is gone: its lock is free, its segments stay as they are."""
    journal._lock.release()


def test_a_letter_is_in_every_mailbox_and_in_the_journal(site: str, journal: Journal) -> None:
    placement = put(journal, site, "one", "a", "b")
    assert placement.error is None
    assert new(site, "a") == new(site, "b") == [placement.name]
    assert os.stat(f"{box(site, 'a')}/new/{placement.name}").st_nlink == 2
    (found,) = waiting(f"{site}/journal")
    (record,) = read_records(found.path)
    assert (record.name, record.targets) == (placement.name, (("d.vn/a", "INBOX"), ("d.vn/b", "INBOX")))
    assert record.octets == Path(box(site, "a"), "new", placement.name).read_bytes()
    assert any(f"{tag}." in placement.name for tag in live_tags(f"{site}/journal"))


def test_a_checkpoint_ends_the_records_and_the_letters_youth(site: str, journal: Journal) -> None:
    placement = put(journal, site, "one", "a")
    journal.checkpoint()
    assert list(waiting(f"{site}/journal")) == []
    assert not any(f"{tag}." in placement.name for tag in live_tags(f"{site}/journal"))
    assert len(live_tags(f"{site}/journal")) == 2


def test_what_a_reboot_took_is_made_again_and_what_it_left_is_left(site: str) -> None:
    journal = opened(site)
    lost, cut, whole, read = (put(journal, site, text, "a", "b") for text in ("lost", "cut", "whole", "read"))
    os.unlink(f"{box(site, 'a')}/new/{lost.name}")
    os.truncate(f"{box(site, 'a')}/new/{cut.name}", 0)
    os.rename(f"{box(site, 'a')}/new/{read.name}", f"{box(site, 'a')}/.Junk/cur/{read.name}:2,S")
    Path(box(site, "a"), "maildirsize").write_text("0S\n5 5\n")
    before = os.stat(f"{box(site, 'a')}/new/{whole.name}").st_ino
    abandon(journal)
    done = after_reboot(site)
    assert (done.records, done.remade, done.repaired) == (4, 1, 2)  # one inode had lost its octets in both mailboxes
    assert new(site, "a") == sorted([lost.name, cut.name, whole.name])
    assert new(site, "b") == sorted([lost.name, cut.name, whole.name, read.name])
    assert os.listdir(f"{box(site, 'a')}/.Junk/cur") == [f"{read.name}:2,S"]
    assert os.stat(f"{box(site, 'a')}/new/{whole.name}").st_ino == before
    for name in ("a", "b"):
        assert Path(box(site, name), "new", cut.name).read_bytes().startswith(b"X: cut\r\n")
    assert not os.path.exists(f"{box(site, 'a')}/maildirsize")  # summed anew when it is wanted
    assert after_reboot(site).records == 0


def test_in_the_same_boot_a_removed_letter_stays_removed(site: str) -> None:
    journal = opened(site)
    placement = put(journal, site, "one", "a")
    os.unlink(f"{box(site, 'a')}/new/{placement.name}")  # by a program that we do not know
    abandon(journal)
    assert after_reboot(site, "one").records == 1
    assert new(site, "a") == []


def test_settled_letters_are_left_alone(site: str) -> None:
    journal = opened(site)
    gone, kept = put(journal, site, "gone", "a", "b"), put(journal, site, "kept", "a")
    Settling(f"{site}/journal", f"{site}/mail").settle(box(site, "a"), f"{box(site, 'a')}/new", [gone.name, "9.x.y"])
    os.unlink(f"{box(site, 'a')}/new/{gone.name}")
    for name in (gone.name,):
        os.unlink(f"{box(site, 'b')}/new/{name}")
    abandon(journal)
    assert after_reboot(site).remade == 1
    assert new(site, "a") == [kept.name]
    assert new(site, "b") == [gone.name]  # settled in one mailbox only


def test_a_torn_note_spoils_only_itself(site: str, journal: Journal) -> None:
    placement = put(journal, site, "one", "a")
    (tag,) = [tag for tag in live_tags(f"{site}/journal") if f"{tag}." in placement.name]
    with open(f"{site}/journal/{tag}.settled", "ab") as file:
        file.write(b"\n0123456")
    Settling(f"{site}/journal", f"{site}/mail").settle(box(site, "a"), f"{box(site, 'a')}/new", [placement.name])
    assert read_notes(f"{site}/journal", tag) == {("d.vn/a", placement.name)}


@pytest.mark.parametrize("at", ["head", "octets", "last"])
def test_a_torn_tail_is_known_by_its_checksum(site: str, at: str) -> None:
    journal = opened(site)
    first = put(journal, site, "first", "a", octets=9000)
    put(journal, site, "second", "a", octets=9000)
    (found,) = waiting(f"{site}/journal")
    abandon(journal)
    start = BLOCK_OCTETS + 3 * BLOCK_OCTETS
    where = {"head": start + 3, "octets": start + 5000, "last": start + 9000}[at]
    with open(found.path, "r+b") as file:
        file.seek(where)
        octet = file.read(1)
        file.seek(where)
        file.write(bytes([octet[0] ^ 1]))
    assert [record.name for record in read_records(found.path)] == [first.name]
    assert read_found(found.path).torn is (at != "head")


def test_frames_of_an_older_epoch_are_none(tmp_path: Path) -> None:
    segment = Segment(f"{tmp_path}/0.a")
    for epoch, letters in ((1, 3), (2, 1)):
        segment.prepare(epoch, "boot", 64 << 10)
        for number in range(letters):
            frame = Frame()
            frame.add(f"{epoch}.{number}", [("d/a", "INBOX")], [b"x" * 50])
            segment.append(frame)
    segment.close()
    assert [record.name for record in read_records(f"{tmp_path}/0.a")] == ["2.0"]


def test_a_full_segment_gives_way_and_grows(site: str, journal: Journal) -> None:
    for number in range(40):
        if journal.wants_checkpoint:
            journal.checkpoint()
        assert put(journal, site, str(number), "a", octets=9000).name
    assert max(os.path.getsize(path) for path in segments(f"{site}/journal")["0"]) > 64 << 10


def test_what_does_not_fit_is_given_back(site: str, journal: Journal) -> None:
    assert put(journal, site, "huge", "a", octets=200_000).name == ""
    assert new(site, "a") == []
    assert journal.wants_checkpoint


def test_a_failed_sync_promises_nothing_and_gives_the_segment_up(
    site: str, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = put(journal, site, "kept", "a")
    active = journal._active
    assert active is not None
    real = os.fdatasync

    def failing(fd: int) -> None:
        if fd == active.fd:
            raise OSError(errno.EIO, "no")
        real(fd)

    monkeypatch.setattr(os, "fdatasync", failing)
    failed = put(journal, site, "failed", "a")
    monkeypatch.undo()
    assert isinstance(failed.error, StoreError)
    assert new(site, "a") == [kept.name]
    for thread in threading.enumerate():
        if thread.name == "journal burial":
            thread.join()
    assert not journal.given_up
    after = put(journal, site, "after", "a")  # in a segment of its own
    journal.checkpoint()
    last = put(journal, site, "last", "a")
    abandon(journal)
    for placement in (kept, after, last):
        os.unlink(f"{box(site, 'a')}/new/{placement.name}")
    after_reboot(site)
    assert new(site, "a") == [last.name]  # the others were synced, and removed by hand since


def test_a_failed_checkpoint_has_the_letters_written_anew_at_the_next_start(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    journal = opened(site, on_trouble=told.append)
    placement = put(journal, site, "one", "a")

    def failing(fd: int) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(journal_module, "sync_file_system", failing)
    journal.checkpoint()
    monkeypatch.undo()
    assert "checkpoint failed" in journal.given_up and told
    assert put(journal, site, "two", "a").name == ""  # the first form serves now
    before = os.stat(f"{box(site, 'a')}/new/{placement.name}").st_ino
    abandon(journal)
    assert after_reboot(site, "one").repaired == 1
    assert os.stat(f"{box(site, 'a')}/new/{placement.name}").st_ino != before
    assert new(site, "a") == [placement.name]


def test_a_letter_that_cannot_be_named_is_not_brought_by_a_replay(
    site: str, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*args: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, "no")

    monkeypatch.setattr(os, "link", failing)
    failed = put(journal, site, "one", "a", "b")
    monkeypatch.undo()
    assert isinstance(failed.error, StoreError)
    abandon(journal)
    assert after_reboot(site).remade == 0
    assert new(site, "a") == new(site, "b") == []


def test_a_missing_mailbox_is_noticed_before_the_record(site: str, journal: Journal) -> None:
    assert isinstance(put(journal, site, "one", "nobody").error, NotFound)
    assert journal.is_empty


def test_a_missing_folder_is_made(site: str, journal: Journal) -> None:
    letter = Letter.from_octets([b"A: b\r\n\r\n"])
    placement = Placement(letter, (Target(box(site, "a"), "Công văn"),))
    journal.write([placement])
    assert placement.error is None
    assert len(list(Path(box(site, "a")).glob(".C*/new/*"))) == 1


def test_a_mailbox_that_is_gone_is_passed_over(site: str) -> None:
    import shutil

    journal = opened(site)
    put(journal, site, "one", "a", "b")
    abandon(journal)
    shutil.rmtree(box(site, "a"))
    done = after_reboot(site)
    assert (done.without_mailbox, done.remade) == (1, 0)


@pytest.mark.parametrize("how", ["renamed", "moved", "taken back"])
def test_letters_of_a_mailbox_that_moved_are_found_where_they_are(site: str, how: str) -> None:
    journal = opened(site)
    cut, gone, kept = (put(journal, site, text, "a") for text in ("cut", "gone", "kept"))
    if how == "moved":
        move_letters(box(site, "a"), box(site, "b"))
        now = "b"
    else:
        rename_mailbox(box(site, "a"), box(site, "c"))
        now = "c"
    if how == "taken back":
        rename_mailbox(box(site, "c"), box(site, "a"))
        now = "a"
    Settling(f"{site}/journal", f"{site}/mail").settle(box(site, now), f"{box(site, now)}/new", [gone.name])
    os.unlink(f"{box(site, now)}/new/{gone.name}")
    os.truncate(f"{box(site, now)}/new/{cut.name}", 0)
    abandon(journal)
    done = after_reboot(site)
    assert (done.repaired, done.remade, done.without_mailbox) == (1, 0, 0)
    assert new(site, now) == sorted([cut.name, kept.name])
    assert Path(box(site, now), "new", cut.name).read_bytes().startswith(b"X: cut")
    assert not os.path.exists(f"{site}/mail/.moved")


def test_two_processes_do_not_share_a_journal(site: str, journal: Journal) -> None:
    with pytest.raises(StoreError, match="another process"):
        opened(site)
    assert after_reboot(site).records == 0  # a live one is left alone


def test_the_door_takes_either_way(site: str) -> None:
    """Small letters by the journal; large ones, and those with entries, by the first form; all of them at once."""

    async def send() -> list[str]:
        names = []
        with ThreadPoolExecutor(4) as executor:
            commit = Commit(
                mail_root=f"{site}/mail", spool=Spool(f"{site}/queue", SystemClock()), host="mx", clock=SystemClock(),
                executor=executor, tmp_dir=f"{site}/mail/.incoming", journals=[opened(site)],
            )  # fmt: skip
            small = [Letter.from_octets([b"A: %d\r\n\r\n" % number]) for number in range(50)]
            large = Letter.from_octets([b"A: b\r\n\r\n", b"x" * 300_000])
            entry = QueueEntry(id="r1", sender="", recipients=(QueueRecipient("x@y.vn"),), letter=small[0])
            target = (Target(box(site, "a")),)
            stored = await asyncio.gather(
                *(commit.store([Delivery(letter, target)]) for letter in small),
                commit.store([Delivery(large, target)]), commit.store([Delivery(small[0], target)], [entry]),
            )  # fmt: skip
            names = [name for one in stored for name in one.names]
            await asyncio.get_running_loop().run_in_executor(executor, commit.close)
        return names

    names = asyncio.run(send())
    assert new(site, "a") == sorted(names)
    assert sum("J0x" in name for name in names) == 50
    assert list(waiting(f"{site}/journal")) == []


def test_a_reader_that_takes_the_first_name_before_the_last_is_given(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by synthetic traffic: a letter to several was answered 451, since the next name was made of the first."""
    names = [f"m{number}" for number in range(6)]
    for name in names:
        create_mailbox(box(site, name))
    give, taken = os.link, []

    def link(source: str, target: Any, **more: Any) -> None:
        give(source, target, **more)
        if not taken:
            taken.append(str(target).replace("/new/", "/cur/") + ":2,S")
            os.rename(target, taken[0])

    monkeypatch.setattr(os, "link", link)
    journal = opened(site)
    placement = put(journal, site, "to six", *names)
    assert placement.error is None
    assert os.path.exists(taken[0])
    assert [len(new(site, name)) for name in names] == [0, 1, 1, 1, 1, 1]
    journal.close()
