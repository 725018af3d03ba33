"""APPEND by the journal: one sync, a record that vouches for letter, flags, date and UID, and what a reboot leaves."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.box import Mailboxes
from storage.box_types import DRAFT, FLAGGED, SEEN
from storage.clock import SystemClock
from storage.errors import NotFound, StoreError
from storage.journal import LETTER_MAX_OCTETS, Journal, Placement
from storage.journal_replay import replay_all, waiting
from storage.journal_segment import Listed, read_records
from storage.letter import Letter
from storage.maildir import create_mailbox
from storage.settling import Settling
from storage.uidlist import UidList
from storage.uidlist_lock import LOCK_NAME
from storage.uidlist_mend import mend_uidlist
from tests.unit.storage.box_support import RULES, Inline, to_store


class Site:
    """A mailbox, a journal, and a process that reads."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.box = f"{root}/mail/d.vn/a"
        create_mailbox(self.box)
        for folder in ("mail/.incoming", "journal"):
            os.makedirs(f"{root}/{folder}")
        self.journal = Journal(
            f"{root}/journal", "0", mail_root=f"{root}/mail", tmp_dir=f"{root}/mail/.incoming", host="mx",
            clock=SystemClock(), boot="one", segment_min_octets=64 << 10, segment_max_octets=64 << 10,
        )  # fmt: skip
        self.boxes = Mailboxes(
            rules=RULES, clock=SystemClock(), host="test", executor=Inline(), journal=self.place_now,
            settling=Settling(f"{root}/journal", f"{root}/mail"),
        )  # fmt: skip
        self.mailbox = self.boxes.mailbox(self.box, f"{root}/index/a.db")
        self.mailbox.append("Sent", to_store("the first makes the list"))
        self.journal.checkpoint()

    def place_now(self, placement: Placement) -> bool:
        self.journal.write([placement])
        if placement.error is not None:
            raise placement.error
        return bool(placement.name)

    def append(self, text: str, **more: Any) -> int:
        placed = self.mailbox.append("Sent", to_store(text), more.pop("flags", SEEN), **more)
        uid: int = placed.uids[0]
        return uid

    def records(self) -> list[Any]:
        return [record for found in waiting(f"{self.root}/journal") for record in read_records(found.path)]

    def names(self) -> list[str]:
        return sorted(os.listdir(f"{self.box}/.Sent/cur"))

    def list(self) -> str:
        return Path(self.box, ".Sent", "dovecot-uidlist").read_text()

    def reboot(self, boot: str = "two") -> Any:
        """The process is gone: its lock is free, its segments stay as they are."""
        self.journal._lock.release()
        return replay_all(f"{self.root}/journal", f"{self.root}/mail", f"{self.root}/mail/.incoming", boot)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(str(tmp_path))
    yield made
    made.boxes.close()
    made.journal.close()


def test_one_sync_makes_an_appended_letter_durable(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)

        def call(fd: int, real: Any = real) -> None:
            synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))
            real(fd)

        monkeypatch.setattr(os, name, call)
    uid = site.append("hello", internaldate_s=1_000_000_000.0)
    assert len(synced) == 1 and synced[0] in ("0.a", "0.b")
    (record,) = site.records()
    uidvalidity = site.mailbox.status("Sent").uidvalidity
    assert record.listed == Listed(":2,S", uid, uidvalidity, 1_000_000_000)
    assert record.targets == (("d.vn/a", "Sent"),) and record.octets.startswith(b"Subject: hello\r\n")
    assert site.list().splitlines()[-1] == f"{uid} :{record.name}"
    assert f"{record.name}:2,S" in site.names()
    view = site.mailbox.open_view("Sent")
    assert (view.columns.uid[-1], view.columns.internaldate[-1]) == (uid, 1_000_000_000)


def test_what_a_reboot_took_of_an_appended_letter_is_made_again(site: Site) -> None:
    kept = site.append("kept")
    before = site.list()
    uids = [site.append(text, flags=DRAFT | FLAGGED, internaldate_s=86_400.0) for text in ("lost", "cut", "plain")]
    lost, cut, plain = (record.name for record in site.records()[1:])
    os.unlink(f"{site.box}/.Sent/cur/{lost}:2,DF")
    os.truncate(f"{site.box}/.Sent/cur/{cut}:2,DF", 0)
    os.utime(f"{site.box}/.Sent/cur/{plain}:2,DF")
    Path(site.box, ".Sent", "dovecot-uidlist").write_text(before + f"{uids[0]} :{lost}\n{uids[1]} :\0\0\0")
    done = site.reboot()
    assert (done.records, done.remade, done.repaired, done.lists_mended) == (4, 1, 1, 1)
    for name in (lost, cut, plain):
        file = Path(site.box, ".Sent", "cur", f"{name}:2,DF")
        assert file.read_bytes().startswith(b"Subject: ") and file.stat().st_mtime == 86_400
    list_ = UidList(f"{site.box}/.Sent")
    news = list_.read()
    assert news is not None and dict(news.entries[1:]) == dict(
        zip([kept, *uids], [site.list().splitlines()[2].partition(":")[2], lost, cut, plain], strict=True)
    )
    assert list_.known.next_uid == uids[-1] + 1


def test_a_uid_that_was_told_is_given_to_no_other_though_its_letter_went(site: Site) -> None:
    before = site.list()
    uid = site.append("gone")
    view = site.mailbox.open_view("Sent")
    view.store([len(view.columns) - 1], "+", 8)
    view.expunge()
    Path(site.box, ".Sent", "dovecot-uidlist").write_text(before)
    done = site.reboot()
    assert (done.remade, done.lists_mended) == (0, 1)
    assert UidList(f"{site.box}/.Sent").assign(lambda: 7, lambda news, next_uid: ["x"]) == [(uid + 1, "x")]


def test_the_same_octets_appended_twice_are_two_letters(site: Site) -> None:
    """Unlike letters that are delivered, of which each has its own Received."""
    uid = site.append("draft")
    view = site.mailbox.open_view("Sent")
    view.copy([len(view.columns) - 1], "Drafts")  # by a name without the journal's mark
    site.journal.checkpoint()
    site.append("draft")
    (record,) = site.records()
    os.unlink(f"{site.box}/.Sent/cur/{record.name}:2,S")
    assert site.reboot().remade == 1
    assert uid == 2 and len(site.names()) == 3


def test_a_folder_that_was_begun_anew_is_not_the_one_that_was_told_of(site: Site) -> None:
    site.append("one")
    site.mailbox.renumber("Sent", {})
    before = site.list()
    assert site.reboot().lists_mended == 0
    assert site.list() == before


def test_when_the_journal_fails_nothing_is_promised(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fdatasync

    def failing(fd: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").endswith((".a", ".b")):
            raise OSError(errno.EIO, "no")
        real(fd)

    before = site.names()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", failing)
        with pytest.raises(StoreError):
            site.append("lost")
    assert site.names() == before
    assert not os.path.exists(f"{site.box}/.Sent/{LOCK_NAME}")
    assert site.append("next") == 2
    assert list(site.mailbox.open_view("Sent").columns.uid) == [1, 2]


@pytest.mark.parametrize("why", ["no room", "large", "no list", "given up"])
def test_what_the_journal_does_not_take_is_synced_by_itself(site: Site, why: str, tmp_path: Path) -> None:
    size = LETTER_MAX_OCTETS + 1 if why == "large" else 60_000
    if why == "no room":
        site.append("fills it", flags=SEEN)
        site.mailbox.append("Sent", Letter.from_octets([b"Subject: big\r\n\r\n".ljust(50_000, b"x")]))
    elif why == "no list":
        os.unlink(f"{site.box}/.Sent/dovecot-uidlist")
    elif why == "given up":
        site.journal.close()
    count = len(site.records())
    letter = Letter.from_octets([b"Subject: x\r\n\r\n".ljust(size, b"y")])
    placed = site.mailbox.append("Sent", letter, FLAGGED, (), 5.0)
    assert len(site.records()) == count
    view = site.mailbox.open_view("Sent")
    row = list(view.columns.uid).index(placed.uids[0])
    assert (view.columns.size[row], view.columns.internaldate[row], view.columns.flags[row]) == (size, 5, FLAGGED)


@pytest.mark.parametrize("when", ["write", "_name"])  # before the record, and behind it
def test_a_letter_for_a_folder_that_goes_just_then_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    real = getattr(site.journal, when)

    def renamed_first(*given: Any) -> Any:
        os.rename(f"{site.box}/.Sent", f"{site.box}/.Gone")
        return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(site.journal, when, renamed_first)
        with pytest.raises(NotFound):
            site.append("too late")
    os.rename(f"{site.box}/.Gone", f"{site.box}/.Sent")
    assert len(site.names()) == 1 and len(site.records()) == 1
    assert site.reboot().remade == 0  # its record is noted as void
    assert len(site.names()) == 1


# -- mending


def folder(tmp_path: Path, text: str | None) -> str:
    if text is not None:
        (tmp_path / "dovecot-uidlist").write_text(text)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("there", "mended"),
    [
        ("3 V9 N1 Gab\n4 :d\n5 :e\n", None),
        ("3 V9 N1 Gab\n4 :d\n", "3 V9 N6 Gab\n4 :d\n5 :e\n"),
        ("3 V9 N1 Gab\n2 W7 :b\n4 :d\n7 :g\n", "3 V9 N8 Gab\n2 W7 :b\n4 :d\n5 :e\n7 :g\n"),
        ("3 V9 N9 Gab\n4 :d\n5 :e\n6 :f", "3 V9 N9 Gab\n4 :d\n5 :e\n"),
        ("3 V9 N1 Gab\n4 :d\n5 \0\0\0\0", "3 V9 N6 Gab\n4 :d\n5 :e\n"),
        ("3 V9 N1 Gab\n4 :d\0\0\n\0\0\0:e\n", "3 V9 N6 Gab\n4 :d\n5 :e\n"),
        ("3 V8 N1 Gab\n4 :d\n", None),
    ],
)
def test_lines_that_were_told_stand_in_the_list_again(tmp_path: Path, there: str, mended: str | None) -> None:
    where = folder(tmp_path, there)
    assert mend_uidlist(where, 9, {4: "d", 5: "e"}) is (mended is not None)
    assert (tmp_path / "dovecot-uidlist").read_text() == (mended or there)


def test_of_two_letters_with_one_uid_the_later_has_it(tmp_path: Path) -> None:
    """The earlier is of a process that was killed before it could tell anybody."""
    where = folder(tmp_path, "3 V9 N1 Gab\n4 :200.M5P1.x\n5 :100.M5P1.x\n")
    assert mend_uidlist(where, 9, {4: "200.M4P1.x", 5: "100.M6P1.x"})
    assert (tmp_path / "dovecot-uidlist").read_text() == "3 V9 N6 Gab\n4 :200.M5P1.x\n5 :100.M6P1.x\n"


@pytest.mark.parametrize("there", [None, "", "\0\0\0"])
def test_a_list_that_is_lost_is_made_of_what_was_told(tmp_path: Path, there: str | None) -> None:
    assert mend_uidlist(folder(tmp_path, there), 9, {4: "d"})
    list_ = UidList(str(tmp_path))
    assert list_.read() is not None and (list_.known.uidvalidity, list_.known.next_uid) == (9, 5)


def test_in_doubt_of_the_disk_a_list_is_written_anew(tmp_path: Path) -> None:
    where = folder(tmp_path, "3 V9 N1 Gab\n4 :d\n")
    before = os.stat(f"{where}/dovecot-uidlist").st_ino
    assert mend_uidlist(where, 9, {4: "d"}, is_doubtful=True, is_alone=False)
    assert os.stat(f"{where}/dovecot-uidlist").st_ino != before
    assert not mend_uidlist(f"{where}/nowhere", 9, {4: "d"})
