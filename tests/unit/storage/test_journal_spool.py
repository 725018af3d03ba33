"""Entries of the spool behind a journal: no sync of their own, whole after a reboot, not brought back once removed."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storage import journal as journal_module
from storage.clock import SystemClock
from storage.commit import Commit, Delivery
from storage.errors import Conflict, Corrupt, StoreError
from storage.journal import Journal, Placement
from storage.journal_replay import replay_all, waiting
from storage.journal_spool import settle_removed, tag_of_entry
from storage.letter import Letter
from storage.maildir import create_mailbox
from storage.settling import SPOOL, read_notes
from storage.spool import QueueEntry, QueueRecipient, Spool
from storage.spool_entry import Target


@pytest.fixture
def site(tmp_path: Path) -> str:
    create_mailbox(f"{tmp_path}/mail/d.vn/a")
    for folder in ("mail/.incoming", "journal", "queue"):
        (tmp_path / folder).mkdir()
    return str(tmp_path)


def spool_of(site: str) -> Spool:
    return Spool(f"{site}/queue", SystemClock())


def opened(site: str, boot: str = "one", segment_octets: int = 64 << 10) -> Journal:
    return Journal(
        f"{site}/journal", "0", mail_root=f"{site}/mail", tmp_dir=f"{site}/mail/.incoming", host="mx",
        clock=SystemClock(), boot=boot, segment_min_octets=segment_octets, spool=spool_of(site),
    )  # fmt: skip


def entry_of(entry_id: str, text: str = "x") -> QueueEntry:
    letter = Letter.from_octets([f"X: {text}\r\n\r\n".encode().ljust(900, b".")])
    to = (QueueRecipient("Dân@ngoài.vn"), QueueRecipient("b@ngoai.vn"))
    return QueueEntry(id=entry_id, sender="s@d.vn", recipients=to, letter=letter, more={"later": 1})


def put(journal: Journal, entry_id: str, *targets: Target) -> Placement:
    entry = entry_of(entry_id, entry_id)
    assert entry.letter is not None
    placement = Placement(entry.letter, targets, entry)
    journal.write([placement])
    return placement


def files(site: str) -> list[str]:
    return sorted(os.listdir(f"{site}/queue"))


def after_reboot(site: str, boot: str = "two") -> Any:
    return replay_all(f"{site}/journal", f"{site}/mail", f"{site}/mail/.incoming", boot, spool_of(site))


def abandon(journal: Journal) -> None:
    """The process is gone: its lock is free, its segments stay as they are."""
    journal._lock.release()


def octets(site: str, entry_id: str) -> bytes:
    return b"".join(spool_of(site).open_letter(entry_id).blocks())


def test_an_entry_is_acknowledged_with_one_sync_and_is_as_any_other(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(site)
    synced: list[int] = []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, synced.append)
    assert put(journal, "r1").error is None
    monkeypatch.undo()
    assert len(synced) == 1
    assert files(site) == ["r1.env"]
    entry = spool_of(site).load("r1")
    wanted = replace(entry_of("r1"), letter=None, size_octets=900, letter_at_octets=entry.letter_at_octets, more={})
    assert replace(entry, more={}) == wanted
    assert entry.more == {"later": 1, "journal": tag_of_entry(entry)}
    assert octets(site, "r1").startswith(b"X: r1")
    with spool_of(site).lock("r1"):
        pass
    journal.close()


def test_a_letter_for_here_and_outside_is_one_inode(site: str) -> None:
    journal = opened(site)
    placement = put(journal, "r1", Target(f"{site}/mail/d.vn/a"))
    path = Path(site, "mail/d.vn/a/new", placement.name)
    assert os.path.samefile(path, f"{site}/queue/r1.msg")
    abandon(journal)
    for name in (path, f"{site}/queue/r1.env"):
        os.unlink(name)
    os.truncate(f"{site}/queue/r1.msg", 0)
    assert after_reboot(site).remade == 2
    assert path.read_bytes() == octets(site, "r1") == b"".join(placement.letter.blocks())


def attempted(site: str, entry_id: str) -> QueueEntry:
    """The courier has recorded an attempt."""
    spool = spool_of(site)
    with spool.lock(entry_id) as lock:
        entry, _ = spool.open_locked(lock)
        changed = replace(entry, recipients=(QueueRecipient("b@ngoai.vn", state={"attempts": 1}),))
        spool.update(changed, lock)
    return changed


def test_what_a_reboot_took_of_an_entry_is_made_again(site: str) -> None:
    journal = opened(site)
    for name in ("gone", "cut", "line", "torn", "whole", "changed", "rotten", "lost"):
        put(journal, name)
    put(journal, "both", Target(f"{site}/mail/d.vn/a"))
    before = {name: Path(site, "queue", f"{name}.env").read_bytes() for name in ("cut", "line", "torn", "both")}
    changed = {name: attempted(site, name) for name in ("changed", "rotten", "lost")}
    for name in ("gone.env", "lost.msg", "both.msg"):
        os.unlink(f"{site}/queue/{name}")
    os.truncate(f"{site}/queue/cut.env", 600)
    os.truncate(f"{site}/queue/line.env", before["line"].index(b"\n") + 1)
    Path(site, "queue", "torn.env").write_bytes(before["torn"][:100] + bytes(len(before["torn"]) - 100))
    with open(f"{site}/queue/rotten.msg", "r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(bytes(50))
    inode = os.stat(f"{site}/queue/whole.env").st_ino
    abandon(journal)
    done = after_reboot(site)
    assert (done.records, done.remade, done.repaired) == (9, 2, 5)
    spool = spool_of(site)
    assert spool.list() == sorted(("gone", "cut", "line", "torn", "whole", "changed", "rotten", "lost", "both"))
    for name in spool.list():
        assert octets(site, name).startswith(f"X: {name}".encode())
        assert len(octets(site, name)) == 900 and bytes(2) not in octets(site, name)
        if name not in changed:
            assert len(spool.load(name).recipients) == 2
    assert Path(site, "queue", "torn.env").read_bytes() == before["torn"]
    assert Path(site, "queue", "both.env").read_bytes() == before["both"]
    assert {name: spool.load(name) for name in changed} == changed
    assert os.stat(f"{site}/queue/whole.env").st_ino == inode
    assert spool.sweep(older_s=-5) == 0
    assert after_reboot(site).records == 0


def test_a_letter_below_its_envelope_keeps_its_file_when_that_changes(site: str) -> None:
    journal = opened(site)
    put(journal, "r1")
    inode = os.stat(f"{site}/queue/r1.env").st_ino
    for _ in range(2):
        entry = attempted(site, "r1")
    assert files(site) == ["r1.env", "r1.msg"]
    assert os.stat(f"{site}/queue/r1.msg").st_ino == inode != os.stat(f"{site}/queue/r1.env").st_ino
    assert octets(site, "r1") == b"X: r1\r\n\r\n".ljust(900, b".")
    assert spool_of(site).load("r1") == entry
    spool_of(site).remove("r1")
    assert files(site) == []
    journal.close()


@pytest.mark.parametrize("step", ["link", "rename"])
def test_a_change_that_is_cut_off_leaves_the_entry_whole(site: str, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(site)
    put(journal, "r1")
    before = spool_of(site).load("r1")

    def fail(*unused: Any, **more: Any) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(StoreError):
        attempted(site, "r1")
    monkeypatch.undo()
    assert spool_of(site).load("r1") == before
    assert octets(site, "r1").startswith(b"X: r1")
    changed = attempted(site, "r1")
    assert spool_of(site).load("r1") == changed
    assert octets(site, "r1") == b"X: r1\r\n\r\n".ljust(900, b".")
    journal.close()


def test_a_letter_that_lost_octets_is_never_sent(site: str) -> None:
    journal = opened(site)
    put(journal, "r1")
    os.truncate(f"{site}/queue/r1.env", os.stat(f"{site}/queue/r1.env").st_size - 1)
    spool = spool_of(site)
    with spool.lock("r1") as lock, pytest.raises(Corrupt, match=r"899 octets of a letter of 900"):
        spool.open_locked(lock)
    journal.close()


def test_a_large_letter_below_its_envelope_is_read_from_the_file(site: str) -> None:
    journal = opened(site, segment_octets=1 << 20)
    letter = Letter.from_octets([b"X: r1\r\n\r\n", b"y" * 200_000])
    journal.write([Placement(letter, (), replace(entry_of("r1"), letter=letter))])
    spool = spool_of(site)
    with spool.lock("r1") as lock:
        entry, found = spool.open_locked(lock)
        spool.update(replace(entry, priority=3), lock)
    spool.remove("r1")
    assert b"".join(found.blocks()) == b"X: r1\r\n\r\n" + b"y" * 200_000
    journal.close()


def test_a_removed_entry_stays_removed_once_it_is_settled(site: str) -> None:
    journal = opened(site)
    put(journal, "sent")
    put(journal, "kept")
    spool = spool_of(site)
    tag = tag_of_entry(spool.load("sent"))
    spool.discard("sent")
    settle_removed(spool, f"{site}/journal", [(tag, "sent"), ("", "of the first form")])
    assert read_notes(f"{site}/journal", tag) == {(SPOOL, "sent")}
    abandon(journal)
    assert after_reboot(site).remade == 0
    assert files(site) == ["kept.env"]


def test_the_directory_is_synced_before_the_note(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a name could come back whose record no longer counts, and with it a letter without its octets."""
    journal = opened(site)
    put(journal, "sent")
    spool = spool_of(site)
    tag = tag_of_entry(spool.load("sent"))
    spool.discard("sent")
    order: list[str] = []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda fd: order.append(os.readlink(f"/proc/self/fd/{fd}")))
    settle_removed(spool, f"{site}/journal", [(tag, "sent")])
    monkeypatch.undo()
    assert order == [f"{site}/queue", f"{site}/journal/{tag}.settled"]
    journal.close()


def test_a_checkpoint_leaves_nothing_to_settle(site: str) -> None:
    journal = opened(site)
    put(journal, "r1")
    tag = tag_of_entry(spool_of(site).load("r1"))
    journal.checkpoint()
    settle_removed(spool_of(site), f"{site}/journal", [(tag, "r1")])
    assert not os.path.exists(f"{site}/journal/{tag}.settled")
    journal.close()


def test_an_id_that_is_taken_is_refused_and_left_alone(site: str) -> None:
    journal = opened(site)
    put(journal, "r1")
    assert isinstance(put(journal, "r1").error, Conflict)
    assert octets(site, "r1").startswith(b"X: r1")
    journal.close()


@pytest.mark.parametrize("failing", ["link", "fdatasync"])
def test_what_cannot_be_named_or_synced_is_not_promised(
    site: str, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(site)
    active = journal._active
    assert active is not None
    real = os.fdatasync

    def fail(*args: Any, **more: Any) -> None:
        if failing == "link" or args[0] == active.fd:
            raise OSError(errno.EIO, "no")
        real(*args)

    monkeypatch.setattr(os, failing, fail)
    placement = put(journal, "r1")
    monkeypatch.undo()
    assert isinstance(placement.error, StoreError)
    assert files(site) == []
    for thread in threading.enumerate():
        if thread.name == "journal burial":
            thread.join()
    abandon(journal)
    after_reboot(site)
    assert files(site) == []


def test_in_doubt_of_the_disk_each_entry_is_written_anew(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(site)
    for name in ("r1", "busy", "tried"):
        put(journal, name)
    put(journal, "both", Target(f"{site}/mail/d.vn/a"))
    attempted(site, "tried")

    def failing(fd: int) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(journal_module, "sync_file_system", failing)
    journal.checkpoint()
    monkeypatch.undo()
    before = {name: os.stat(f"{site}/queue/{name}").st_ino for name in files(site)}
    abandon(journal)
    spool = spool_of(site)
    with spool.lock("busy") as lock:
        assert after_reboot(site, "one").repaired == 5
        kept = os.stat(f"{site}/queue/busy.msg").st_ino
        spool.update(replace(spool.load("busy"), priority=1), lock)
    changed = {name for name, inode in before.items() if os.stat(f"{site}/queue/{name}").st_ino != inode}
    assert changed == {"r1.env", "busy.env", "tried.env", "tried.msg", "both.env", "both.msg"}
    assert os.stat(f"{site}/queue/busy.msg").st_ino == kept != before["busy.env"]
    assert spool.list() == ["both", "busy", "r1", "tried"]
    assert all(octets(site, name).startswith(f"X: {name}\r\n".encode()) for name in spool.list())
    assert list(waiting(f"{site}/journal")) == []


def test_the_door_journals_entries_that_fit(site: str) -> None:
    """Alone or beside mailboxes; a large one, and two at once, by the first form."""

    async def store() -> None:
        with ThreadPoolExecutor(4) as executor:
            commit = Commit(
                mail_root=f"{site}/mail", spool=spool_of(site), host="mx", clock=SystemClock(), executor=executor,
                tmp_dir=f"{site}/mail/.incoming", journals=[opened(site)],
            )  # fmt: skip
            both = entry_of("both")
            assert both.letter is not None
            large = replace(entry_of("large"), letter=Letter.from_octets([b"A: b\r\n\r\n", b"x" * 300_000]))
            stored = await asyncio.gather(
                commit.store([], [entry_of("alone")]),
                commit.store([Delivery(both.letter, (Target(f"{site}/mail/d.vn/a"),))], [both]),
                commit.store([], [large]),
                commit.store([], [entry_of("two"), entry_of("three")]),
            )
            assert [len(one.names) for one in stored] == [0, 1, 0, 0]
            await asyncio.get_running_loop().run_in_executor(executor, commit.close)

    asyncio.run(store())
    spool = spool_of(site)
    found = {name: bool(tag_of_entry(spool.load(name))) for name in spool.list()}
    assert found == {"alone": True, "both": True, "large": False, "two": False, "three": False}
