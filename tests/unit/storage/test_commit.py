from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bdmta.testing.clock import FakeClock
from storage.commit import Commit, Delivery, Target
from storage.errors import Conflict, NoSpace, NotFound, StoreError
from storage.files import FreeSpace
from storage.incoming import Incoming
from storage.letter import Letter
from storage.maildir import create_mailbox, mailbox_dir
from storage.quota import Limit, Quota
from storage.spool import QueueEntry, QueueRecipient, Spool


class Site:
    def __init__(self, root: Path, executor: ThreadPoolExecutor) -> None:
        self.mail = str(root / "mail")
        self.queue = str(root / "queue")
        os.mkdir(self.mail)
        os.mkdir(self.queue)
        self.clock = FakeClock()
        self.executor = executor
        self.spool = Spool(self.queue, self.clock)
        self.quota = Quota(self.clock)
        self.told: list[tuple[str, int]] = []
        self.commit = self.open()

    def open(self, reserve_octets: int = 0) -> Commit:
        return Commit(
            mail_root=self.mail, spool=self.spool, host="mx.dian.vn", clock=self.clock, executor=self.executor,
            reserve_octets=reserve_octets, quota=self.quota, on_crossings=self.told.extend,
        )  # fmt: skip

    def box(self, name: str) -> str:
        path = mailbox_dir(self.mail, f"{name}@dian.vn")
        for sub in ("cur", "new", "tmp"):
            os.makedirs(f"{path}/{sub}", exist_ok=True)
        return path

    def new(self, box: str) -> list[str]:
        return os.listdir(f"{box}/new")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ThreadPoolExecutor(2) as executor:
        yield Site(tmp_path, executor)


LETTER = b"From: a@b.vn\r\n\r\nhello\r\n"


def entry(letter: Letter, name: str = "e1") -> QueueEntry:
    return QueueEntry(id=name, sender="", recipients=(QueueRecipient("x@y.vn"),), letter=letter)


def test_one_inode_in_every_mailbox_and_in_the_spool(site: Site) -> None:
    boxes = [site.box(f"u{n}") for n in range(7)]
    letter = Letter.from_octets([LETTER[:5], memoryview(LETTER)[5:]])
    stored = site.commit.store_sync([Delivery(letter, tuple(map(Target, boxes)))], [entry(letter)])
    (name,) = stored.names
    found = {os.stat(f"{box}/new/{name}").st_ino for box in boxes} | {os.stat(f"{site.queue}/e1.msg").st_ino}
    assert len(found) == 1
    assert Path(boxes[0], "new", name).read_bytes() == LETTER
    assert name.endswith(f".mx.dian.vn,S={len(LETTER)},W={len(LETTER)}")
    assert os.stat(f"{boxes[0]}/new/{name}").st_mode & 0o777 == 0o600


def test_nothing_is_left_when_one_mailbox_is_missing(site: Site) -> None:
    boxes = [site.box("a"), site.box("b"), f"{site.mail}/dian.vn/nobody"]
    letter = Letter.from_octets([LETTER])
    with pytest.raises(NotFound, match="nobody"):
        site.commit.store_sync([Delivery(letter, tuple(map(Target, boxes)))], [entry(letter)])
    assert site.new(boxes[0]) == site.new(boxes[1]) == os.listdir(site.queue) == []
    assert not os.path.exists(boxes[2])


def test_an_entry_whose_name_is_taken_refuses_the_letter_and_keeps_the_first(site: Site) -> None:
    first, second = Letter.from_octets([b"one\r\n"]), Letter.from_octets([b"two\r\n"])
    site.commit.store_sync([], [entry(first)])
    with pytest.raises(Conflict):
        site.commit.store_sync([Delivery(second, (Target(site.box("a")),))], [entry(second)])
    assert b"".join(site.spool.open_letter("e1").blocks()) == b"one\r\n"
    assert site.spool.list() == ["e1"]
    assert site.new(site.box("a")) == []


def test_a_folder_that_its_owner_removed_is_made_again(site: Site) -> None:
    box = site.box("a")
    stored = site.commit.store_sync([Delivery(Letter.from_octets([LETTER]), (Target(box, "Junk"),))])
    assert os.listdir(f"{box}/.Junk/new") == list(stored.names)
    assert os.path.exists(f"{box}/.Junk/maildirfolder")


def test_a_replaced_mailbox_gets_the_next_letter(site: Site) -> None:
    box = site.box("a")
    delivery = Delivery(Letter.from_octets([LETTER]), (Target(box),))
    site.commit.store_sync([delivery])
    os.rename(box, f"{box}-old")
    with pytest.raises(NotFound):
        site.commit.store_sync([delivery])
    site.box("a")
    site.commit.store_sync([delivery])
    assert len(site.new(box)) == 1
    assert len(site.new(f"{box}-old")) == 1
    shutil.rmtree(box)
    site.box("a")
    site.commit.store_sync([delivery])
    assert len(site.new(box)) == 1


@pytest.mark.slow
def test_an_inode_without_room_for_names_is_copied(site: Site, tmp_path: Path) -> None:
    async def arrive() -> Letter:
        incoming = Incoming(site.mail, site.executor, memory_octets=4)
        await incoming.write(LETTER)
        letter = incoming.letter()
        incoming.close()
        return letter

    letter = asyncio.run(arrive())
    held = letter.file(site.mail)
    many = tmp_path / "many"
    many.mkdir()
    try:
        for number in range(64_999):
            held.link(f"{many}/{number}")
    except OSError:
        pytest.skip("this file system has another limit")
    boxes = [site.box(f"u{n}") for n in range(3)]
    (name,) = site.commit.store_sync([Delivery(letter, tuple(map(Target, boxes)))]).names
    inodes = [os.stat(f"{box}/new/{name}").st_ino for box in boxes]
    if inodes[0] == inodes[1]:
        pytest.skip("this file system has another limit")
    assert inodes[1] == inodes[2]
    assert all(Path(box, "new", name).read_bytes() == LETTER for box in boxes)


def test_below_the_reserve_nothing_is_written(site: Site) -> None:
    box = site.box("a")
    with pytest.raises(NoSpace):
        site.open(reserve_octets=1 << 60).store_sync([Delivery(Letter.from_octets([LETTER]), (Target(box),))])
    assert site.new(box) == []


def test_free_space_is_asked_once_a_second_and_counts_what_was_taken(tmp_path: Path) -> None:
    clock = FakeClock()
    found = os.statvfs(tmp_path)
    free = found.f_bavail * found.f_frsize
    space = FreeSpace(str(tmp_path), 0, clock)
    space.take(free // 2)
    with pytest.raises(NoSpace):
        space.take(free * 3 // 4)
    clock.advance(1.0)
    space.take(free * 3 // 4)


def test_large_deliveries_are_acknowledged_first_and_then_served(site: Site) -> None:
    boxes = [site.box(f"u{n}") for n in range(120)]

    async def run() -> tuple[str, ...]:
        delivery = Delivery(Letter.from_octets([LETTER]), tuple(Target(b, limit=Limit(25, 0)) for b in boxes))
        stored = await site.commit.store([delivery])
        assert len(stored.expanding) == 1
        await site.commit.drain()
        return stored.names

    (name,) = asyncio.run(run())
    assert len({os.stat(f"{box}/new/{name}").st_ino for box in boxes}) == 1
    assert os.listdir(site.queue) == []
    assert all(site.quota.usage(box).letters == 1 for box in boxes)
    assert sorted(site.told) == sorted((box, 80) for box in boxes)


def test_targets_that_fail_wait_in_the_spool_and_nobody_gets_two(site: Site) -> None:
    boxes = [site.box(f"u{n}") for n in range(120)]
    gone = [boxes[3], boxes[77]]
    for box in gone:
        shutil.rmtree(box)
    site.commit.store_sync([Delivery(Letter.from_octets([LETTER]), tuple(map(Target, boxes)))])
    (waiting,) = site.spool.list("expand")
    assert [t.mailbox for t in site.spool.load(waiting).targets] == gone
    assert site.spool.load(waiting).size_octets == len(LETTER)
    create_mailbox(gone[0])
    assert site.commit.resume() == 1
    assert [t.mailbox for t in site.spool.load(waiting).targets] == gone[1:]
    create_mailbox(gone[1])
    site.commit.resume()
    assert site.spool.list("expand") == []
    assert all(len(site.new(box)) == 1 for box in boxes)


def test_a_letter_already_read_is_not_delivered_again_on_resume(site: Site) -> None:
    boxes = [site.box(f"u{n}") for n in range(101)]
    delivery = Delivery(Letter.from_octets([LETTER]), tuple(map(Target, boxes)))
    stored, ((lock, _),) = site.commit._store([delivery], ())
    lock.release()
    (name,) = stored.names
    os.link(f"{site.queue}/{lock.id}.msg", f"{boxes[4]}/cur/{name}:2,S")
    assert site.commit.resume() == 1
    assert site.new(boxes[4]) == []
    assert site.new(boxes[5]) == [name]


def test_spooled_letters_are_edited_without_being_loaded(site: Site) -> None:
    box = site.box("a")
    body = b"Bcc: secret\r\nTo: b\r\n\r\n" + bytes(range(256)) * 4000

    async def run() -> None:
        incoming = Incoming(site.mail, site.executor, memory_octets=1000)
        for start in range(0, len(body), 7000):
            await incoming.write(body[start : start + 7000])
        assert incoming.is_spooled
        assert incoming.view()[:] == body
        edited = incoming.letter(b"Received: x\r\n", [(13, len(body))])
        whole = incoming.letter()
        incoming.close()
        incoming.close()
        (first,) = (await site.commit.store([Delivery(edited, (Target(box),))])).names
        (second,) = (await site.commit.store([Delivery(whole, (Target(box),))])).names
        assert Path(box, "new", first).read_bytes() == b"Received: x\r\n" + body[13:]
        assert Path(box, "new", second).read_bytes() == body
        assert b"".join(edited.blocks(999)) == b"Received: x\r\n" + body[13:]

    asyncio.run(run())
    assert set(os.listdir(site.mail)) == {"dian.vn"}


def test_small_letters_need_no_file(site: Site) -> None:
    async def run() -> None:
        incoming = Incoming("/nonexistent", site.executor)
        await incoming.write(b"abc")
        await incoming.write(b"def")
        assert incoming.view() == b"abcdef"
        assert b"".join(incoming.letter(b"x", [(1, 2), (4, 6)]).blocks()) == b"xbef"
        with pytest.raises(StoreError):
            await incoming.write(b"late")

    asyncio.run(run())


def test_a_cancelled_session_cannot_pull_the_file_from_under_the_store(site: Site) -> None:
    async def arrive() -> Letter:
        incoming = Incoming(site.mail, site.executor, memory_octets=4)
        await incoming.write(LETTER)
        letter = incoming.letter(b"X: y\r\n")
        incoming.close()
        return letter

    letter = asyncio.run(arrive())
    others = [os.open("/dev/zero", os.O_RDONLY) for _ in range(8)]  # would take the number of a closed descriptor
    try:
        assert b"".join(letter.blocks()) == b"X: y\r\n" + LETTER
    finally:
        for fd in others:
            os.close(fd)


def test_without_unnamed_files_letters_pass_through_a_named_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("storage.files").files._has_unnamed, site.mail, False)
    box = site.box("a")
    (name,) = site.commit.store_sync([Delivery(Letter.from_octets([LETTER]), (Target(box),))]).names
    assert Path(box, "new", name).read_bytes() == LETTER
    assert os.listdir(site.mail) == ["dian.vn"]
