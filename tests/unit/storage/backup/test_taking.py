"""Backups of files that are in use: nothing missed, nothing kept twice, earlier ones whole whatever happens."""

import hashlib
import json
import os
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bdmta.testing import FakeClock
from storage.backup.check import verify
from storage.backup.mailbox_read import MailboxReader
from storage.backup.manifest import FolderRow, LetterRow, Manifest, parse, render
from storage.backup.objects import Objects
from storage.backup.repository import SITE, FolderRepository
from storage.backup.site_read import SiteReader, Source
from storage.backup.take import take
from storage.clock import SystemClock
from storage.errors import Corrupt, Locked, NoSpace, NotFound, StoreError
from storage.maildir import create_mailbox, folder_dir

CLOCK = SystemClock()


def letter(mailbox: Path, number: int, folder: str = "INBOX", *, flags: str = "S", text: str = "") -> str:
    octets = f"From: A <a{number}@x.example>\r\nMessage-ID: <{number}@x>\r\n\r\n{text or 'x' * number}\r\n".encode()
    base = f"17000000{number:02}.M{number}P1Q{number}.mail,S={len(octets)},W={len(octets)}"
    path = Path(folder_dir(str(mailbox), folder)) / "cur" / f"{base}:2,{flags}"
    path.write_bytes(octets)
    os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    return base


@pytest.fixture
def mailbox(tmp_path):
    path = tmp_path / "mail" / "so.example" / "minhnv"
    create_mailbox(str(path))
    bases = [letter(path, number) for number in range(1, 6)]
    lines = "".join(f"{uid} :{base}\n" for uid, base in enumerate(bases, 11))
    (path / "dovecot-uidlist").write_text(f"3 V1700000001 N16 G{'a' * 32}\n{lines}")
    (path / "dovecot-keywords").write_text("0 $Important\n")
    return path


@pytest.fixture
def world(tmp_path, mailbox):
    data = tmp_path / "data"
    (data / "db").mkdir(parents=True)
    with sqlite3.connect(data / "db" / "directory.sqlite") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (1)")
    queue = tmp_path / "queue"
    queue.mkdir()
    (queue / "a.msg").write_bytes(b"letter")
    (queue / "a.env").write_bytes(b"{}")
    (queue / "b.msg").write_bytes(b"no envelope: never acknowledged")
    (data / "db" / "srs.key").write_bytes(b"secret")
    source = Source(
        mail_root=str(tmp_path / "mail"), trees={"data": str(data)}, spools={"queue": str(queue)},
        databases=(str(data / "db" / "directory.sqlite"),), keys=frozenset({str(data / "db" / "srs.key")}),
        keys_mode="apart", keys_dir=str(tmp_path / "keys"),
    )  # fmt: skip
    return FolderRepository(str(tmp_path / "repository")), source


def manifest_of(repository, taken, who="minhnv"):
    return repository.manifest(taken, f"mail/so.example/{who}.jsonl")


def test_a_manifest_says_what_the_letters_were(world):
    repository, source = world
    taken = take(repository, source, CLOCK, workers=1)
    manifest = manifest_of(repository, taken)
    inbox = manifest.folders[0]
    assert (inbox.name, inbox.uidvalidity, inbox.uidnext, inbox.keywords) == ("INBOX", 1700000001, 16, ("$Important",))
    assert [row.uid for row in inbox.letters] == [11, 12, 13, 14, 15]
    first = inbox.letters[0]
    assert (first.info, first.at_ns, first.message_id, first.sender) == (
        ":2,S", 1_700_000_001 * 10**9, "<1@x>", "a1@x.example",
    )  # fmt: skip
    assert hashlib.sha256(repository.objects.read(first.sha256)).hexdigest() == first.sha256
    assert {file.path for file in manifest.files} >= {"dovecot-uidlist", "dovecot-keywords", "subscriptions"}
    assert taken.letters == 5 and taken.mailboxes == 1
    assert repository.taken() == [taken]


def test_databases_queues_and_keys(world, tmp_path):
    repository, source = world
    taken = take(repository, source, CLOCK, workers=1)
    site = {row.path: row for row in repository.manifest(taken, SITE).files}
    assert set(site) == {"data/db/directory.sqlite", "queue/a.msg", "queue/a.env"}
    copy = tmp_path / "copy"
    copy.write_bytes(b"".join(map(repository.objects.read, site["data/db/directory.sqlite"].parts)))
    assert sqlite3.connect(copy).execute("SELECT x FROM t").fetchall() == [(1,)]
    assert (tmp_path / "keys" / "data" / "db" / "srs.key").read_bytes() == b"secret"
    assert (tmp_path / "keys" / "data" / "db" / "srs.key").stat().st_mode & 0o077 == 0
    kept = b"".join(path.read_bytes() for path in (tmp_path / "repository").rglob("*") if path.is_file())
    assert b"secret" not in kept


def settled(mailbox):
    """The same mailbox, as if it had been left alone for an hour."""
    for path in mailbox.rglob("*"):
        if path.is_dir():
            os.utime(path, (1_700_000_000, 1_700_000_000))


def test_an_unchanged_mailbox_costs_no_reading(world, mailbox, monkeypatch):
    repository, source = world
    settled(mailbox)
    first = take(repository, source, CLOCK, workers=1)
    monkeypatch.setattr(MailboxReader, "read", lambda self: pytest.fail("it was read"))
    second = take(repository, source, CLOCK, workers=1)
    assert second.manifests == first.manifests and second.new_octets == 0


def test_only_what_is_new_is_kept(world, mailbox):
    repository, source = world
    settled(mailbox)
    first = take(repository, source, CLOCK, workers=1)
    again = take(repository, source, CLOCK, workers=1)
    assert again.id != first.id and again.manifests == first.manifests
    letter(mailbox, 9)
    third = take(repository, source, CLOCK, workers=1)
    size = next(row.octets for row in manifest_of(repository, third).folders[0].letters if row.message_id == "<9@x>")
    assert third.new_octets == size and third.letters == 6
    assert [row.uid for row in manifest_of(repository, third).folders[0].letters][-1] is None


def test_workers_do_the_same(world, tmp_path):
    repository, source = world
    for who in ("khaintm", "longtq"):
        create_mailbox(str(tmp_path / "mail" / "so.example" / who))
        letter(tmp_path / "mail" / "so.example" / who, 3)
    taken = take(repository, source, CLOCK, workers=2)
    assert (taken.letters, taken.mailboxes) == (7, 3)
    assert not verify(repository, [taken], CLOCK, workers=2)[taken.id].problems


def test_letters_are_found_wherever_they_move_meanwhile(mailbox, tmp_path):
    """A client marks and moves without pause; every letter is in the backup, whole, exactly once."""
    objects = Objects(str(tmp_path / "o"))
    objects.create()
    for number in range(10, 40):
        letter(mailbox, number)
    wanted = {f"<{number}@x>" for number in (*range(1, 6), *range(10, 40))}
    stop = threading.Event()
    archive = Path(folder_dir(str(mailbox), "Archive")) / "cur"

    def restless():
        turn = 0
        while not stop.is_set():
            turn += 1
            for name in os.listdir(mailbox / "cur")[:3]:
                os.rename(mailbox / "cur" / name, mailbox / "cur" / f"{name.partition(':')[0]}:2,{'FRST'[turn % 4]}")
            for name in os.listdir(mailbox / "cur")[:1]:
                os.rename(mailbox / "cur" / name, archive / f"{turn}+{name.rpartition('+')[2]}")
            for name in os.listdir(archive)[:1] if turn % 2 else ():
                os.rename(archive / name, mailbox / "cur" / f"{turn}b+{name.rpartition('+')[2]}")
            stop.wait(0.001)

    thread = threading.Thread(target=restless)
    thread.start()
    try:
        for _ in range(6):
            manifest = MailboxReader(str(mailbox), objects, CLOCK).read()
            found = [row.message_id for _, row in manifest.letters()]
            assert wanted <= set(found)
    finally:
        stop.set()
        thread.join()


def test_a_letter_that_cannot_be_read_does_not_stop_the_rest(world, mailbox):
    repository, source = world
    os.symlink("/etc/passwd", mailbox / "cur" / "1700000099.M1P1Q1.mail,S=5:2,")
    taken = take(repository, source, CLOCK, workers=1)
    assert taken.letters == 5
    assert len(taken.problems) == 1 and "1700000099" in taken.problems[0]


def test_a_crash_leaves_earlier_backups_whole_and_is_swept(world, mailbox, monkeypatch):
    repository, source = world
    first = take(repository, source, CLOCK, workers=1)
    letter(mailbox, 30)
    monkeypatch.setattr(FolderRepository, "commit", lambda *a: os._exit(9))
    pid = os.fork()
    if not pid:
        try:
            take(repository, source, CLOCK, workers=1)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    monkeypatch.undo()
    torn = hashlib.sha256(b"torn").hexdigest()
    Path(repository.objects.path(torn)).write_bytes(b"to")  # the last object of a power cut
    assert repository.taken() == [first]
    assert not verify(repository, [first], CLOCK, workers=1)[first.id].problems
    second = take(repository, source, CLOCK, workers=1)
    assert second.letters == 6 and not Path(repository.objects.path(torn)).exists()
    assert len(os.listdir(Path(repository.place) / "backups")) == 2
    assert not verify(repository, [first, second], CLOCK, workers=1)[second.id].problems


def test_a_full_disk_is_an_error_and_gives_the_room_back(world, monkeypatch):
    repository, source = world
    first = take(repository, source, CLOCK, workers=1)
    before = set(repository.objects.every())
    full = FolderRepository(repository.place, reserve_octets=1 << 62)
    letter(Path(source.mail_root) / "so.example" / "minhnv", 50, text="something new")
    with pytest.raises(NoSpace, match="kept in reserve"):
        take(full, source, CLOCK, workers=1)
    assert set(repository.objects.every()) == before
    assert repository.taken() == [first] and not os.path.exists(f"{repository.place}/running")


def test_never_two_at_once(world):
    repository, source = world
    repository.create()
    with repository.running(), pytest.raises(Locked, match="a backup is being taken there"):
        take(FolderRepository(repository.place), source, CLOCK, workers=1)


def test_removing_and_sweeping(world, mailbox):
    repository, source = world
    first = take(repository, source, CLOCK, workers=1)
    gone = next((mailbox / "cur").iterdir())
    gone.unlink()
    second = take(repository, source, CLOCK, workers=1)
    count = len(list(repository.objects.every()))
    repository.remove(first.id)
    repository.tidy()
    assert len(list(repository.objects.every())) < count
    assert not verify(repository, [second], CLOCK, workers=1)[second.id].problems


def test_a_flipped_byte_is_named_and_mended_by_the_next_backup(world, mailbox):
    repository, source = world
    settled(mailbox)
    taken = take(repository, source, CLOCK, workers=1)
    row = manifest_of(repository, taken).folders[0].letters[2]
    path = Path(repository.objects.path(row.sha256))
    octets = bytearray(path.read_bytes())
    octets[-4] ^= 1
    path.chmod(0o600)
    path.write_bytes(octets)
    (problem,) = verify(repository, [taken], CLOCK, workers=1)[taken.id].problems
    assert problem == "minhnv@so.example, folder INBOX, UID 13, Message-ID <3@x>: differs or is missing"
    again = take(repository, source, CLOCK, workers=1)
    assert not verify(repository, [taken, again], CLOCK, workers=1)[taken.id].problems
    assert repository.objects.damaged_ones() == set()


def test_a_changed_manifest_is_named(world):
    repository, source = world
    taken = take(repository, source, CLOCK, workers=1)
    path = Path(repository.place) / "backups" / taken.id / "mail" / "so.example" / "minhnv.jsonl"
    path.write_bytes(path.read_bytes().replace(b"INBOX", b"INBIX"))
    with pytest.raises(Corrupt, match="SHA-256 differs"):
        manifest_of(repository, taken)
    assert "minhnv@so.example" in verify(repository, [taken], CLOCK, workers=1)[taken.id].problems[0]


def test_a_repository_of_a_newer_bdmta_is_refused(world):
    repository, source = world
    take(repository, source, CLOCK, workers=1)
    (Path(repository.place) / "repository.json").write_text(json.dumps({"layout": 99}))
    with pytest.raises(StoreError, match="newer bdmta"):
        repository.taken()


def test_a_folder_of_something_else_is_refused(tmp_path, world):
    _, source = world
    (tmp_path / "other" / "backups" / "x").mkdir(parents=True)
    with pytest.raises(StoreError, match="no repository of backups"):
        take(FolderRepository(str(tmp_path / "other")), source, CLOCK, workers=1)


def test_manifests_survive_odd_names():
    row = LetterRow("1.x,S=1", ":2,", "cur", 1, 5, 1, "ab" * 32, "<ô\udc80@x>", "")
    manifest = Manifest([FolderRow("Công văn", ".C&APQ-ng v&AQM-n", 1, 2, ("$a", ""), None, [row])])
    assert parse(render(manifest), "x") == manifest
    for junk in (b"{}", b"[1]", b'{"letter": "x"}', b"\xff{"):
        with pytest.raises(Corrupt):
            parse(junk, "x")


def test_ids_sort_by_time(tmp_path):
    repository = FolderRepository(str(tmp_path / "r"))
    repository.create()
    at = FakeClock(datetime(2026, 11, 28, 17, 0, tzinfo=UTC)).time()
    assert repository.new_id(at) == "20261128T170000Z"
    (tmp_path / "r" / "backups" / "20261128T170000Z").mkdir()
    assert repository.new_id(at) == "20261128T170000Z-2"


def test_what_is_missing_is_said(tmp_path):
    repository = FolderRepository(str(tmp_path / "none"))
    assert repository.taken() == []
    with pytest.raises(NotFound):
        Objects(str(tmp_path)).read("ab" * 32)


def test_an_entry_in_one_file_is_taken_whole_though_it_changes_its_form_meanwhile(world, tmp_path, monkeypatch):
    repository, source = world
    queue = tmp_path / "queue"
    (queue / "c.env").write_bytes(b"{}\nthe letter")
    (queue / "d.env").write_bytes(b"{}\n")
    real, changes = SiteReader._file, []

    def file(self, path, name):
        if path.endswith("c.done") and not changes:  # the letter was looked for, and the envelope not yet read
            changes.append(path)
            os.link(queue / "c.env", queue / "c.msg")
            (queue / "aside").write_bytes(b'{"letter_at_octets": 3}\n')
            os.rename(queue / "aside", queue / "c.env")
        return real(self, path, name)

    taken = take(repository, source, CLOCK, workers=1)
    assert {row.path for row in repository.manifest(taken, SITE).files} >= {"queue/c.env"}
    monkeypatch.setattr(SiteReader, "_file", file)
    taken = take(repository, source, CLOCK, workers=1)
    assert changes
    names = {row.path for row in repository.manifest(taken, SITE).files if row.path.startswith("queue/")}
    assert names == {"queue/a.env", "queue/a.msg", "queue/c.env", "queue/c.msg"}
