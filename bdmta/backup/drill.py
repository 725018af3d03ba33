"""The drill: a sample of the newest backup is restored to a scratch site, served, and read back by IMAP."""

from __future__ import annotations

import contextlib
import hashlib
import imaplib
import os
import random
import re
import select
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bdmta.backup.health import look_again
from bdmta.backup.record import DrillRecord, keep_record
from bdmta.backup.taking import open_repository
from bdmta.clock import Clock
from bdmta.directory.passwords import Passwords, generate, load_key
from bdmta.errors import BdmtaError
from bdmta.setup.create import Wish, create_site
from bdmta.site import Site
from storage.backup.check import mailbox_of
from storage.backup.manifest import FolderRow, LetterRow, Manifest
from storage.backup.place import Placer
from storage.backup.repository import SITE, Repository, Taken
from storage.directory import Directory
from storage.directory_rows import Mailbox
from storage.errors import StoreError
from storage.maildir import mailbox_dir
from storage.mutf7 import mutf7_encode

_READY_S = 60.0
_AT_ONCE_COUNT = 50
_IMAPS = 993
_SETTINGS = {
    r"protocols = .*": 'protocols = ["imaps"]', "schedule = .*": 'schedule = ""',
    "verify_schedule = .*": 'verify_schedule = ""', "drill_schedule = .*": 'drill_schedule = ""',
    r"servers = .*": "servers = []",
}  # fmt: skip


@dataclass(slots=True)
class Drill:
    """What was restored and read, and what was not as it was backed up."""

    backup_id: str
    mailboxes: list[str] = field(default_factory=list)
    letters: int = 0
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "backup": self.backup_id, "mailboxes": self.mailboxes, "letters": self.letters, "problems": self.problems,
        }  # fmt: skip


def run_drill(
    site: Site, clock: Clock, progress: Callable[[int, int], None] = lambda letters, octets: None,
    *, choice: random.Random | None = None,
) -> Drill:  # fmt: skip
    """Do the drill. The scratch site is on loopback, has passwords of its own, and is removed. Raises BdmtaError."""
    repository = open_repository(site)
    taken = repository.taken()
    if not taken:
        raise BdmtaError("there is no backup to try; `bdmta backup run` takes one")
    backup = taken[-1]
    sample = _sample(repository, backup, site.config.backup.drill_mailboxes, choice or random.Random())
    done = Drill(backup.id)
    scratch = tempfile.mkdtemp(prefix=".drill.", dir=site.mail_root)
    sockets = tempfile.mkdtemp(prefix="bdmta-drill.")
    try:
        trial, port = _make_site(os.path.join(scratch, "site"), sockets, site, clock)
        passwords = _restore(trial, repository, backup, sample, clock, done)
        with _served(trial):
            for file, manifest in sample.items():
                address = mailbox_of(file)
                _read_back(trial, port, address, passwords[address], manifest, done, progress)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(sockets, ignore_errors=True)
    return done


def recorded_drill(
    site: Site, clock: Clock, progress: Callable[[int, int], None] = lambda letters, octets: None
) -> Drill:  # fmt: skip
    """Do the drill, and keep what it came to, also when it could not be done. Raises BdmtaError, StoreError."""
    try:
        done = run_drill(site, clock, progress)
    except (BdmtaError, StoreError, OSError) as error:
        keep_record(site, DrillRecord(clock.time(), problems=[str(error)]))
        look_again(site, clock)
        raise
    record = DrillRecord(clock.time(), done.backup_id, len(done.mailboxes), done.letters, done.problems)
    keep_record(site, record)
    look_again(site, clock)
    return done


def _sample(repository: Repository, backup: Taken, count: int, choice: random.Random) -> dict[str, Manifest]:
    """Up to `count` mailboxes that have letters."""
    files = sorted(file for file in backup.manifests if file != SITE)
    choice.shuffle(files)
    found: dict[str, Manifest] = {}
    for file in files:
        manifest = repository.manifest(backup, file)
        if any(folder.letters for folder in manifest.folders):
            found[file] = manifest
        if len(found) == count:
            break
    return found


def _make_site(folder: str, sockets: str, site: Site, clock: Clock) -> tuple[Site, int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    wish = Wish(folder=folder, domains=site.config.mail.domains, base_port=port - _IMAPS, hostname="localhost")
    trial, _ = create_site(wish, clock)
    with open(trial.config_path, encoding="utf-8") as file:
        text = file.read()
    for pattern, line in {**_SETTINGS, "run_dir = .*": f'run_dir = "{sockets}"'}.items():
        text = re.sub(rf"(?m)^#? ?{pattern}$", line, text)
    with open(trial.config_path, "w", encoding="utf-8") as file:
        file.write(text)
    return Site.open(trial.config_path), port


def _restore(
    trial: Site, repository: Repository, backup: Taken, sample: dict[str, Manifest], clock: Clock, done: Drill
) -> dict[str, str]:  # fmt: skip
    """Put the mailboxes into the scratch site; their passwords."""
    wanted = [sha256 for manifest in sample.values() for sha256 in manifest.objects()]
    given: dict[str, str] = {}
    hashed = Passwords(load_key(trial.password_key))
    with repository.reading(backup, wanted) as objects, Directory.open(trial.directory_db, clock) as directory:
        placer = Placer(objects)
        for file, manifest in sample.items():
            address = mailbox_of(file)
            given[address] = generate()
            kept = hashed.hash_generated(given[address])
            path = mailbox_dir(trial.mail_root, address)
            shutil.rmtree(path, ignore_errors=True)  # postmaster's is there already
            placer.mailbox(manifest, path, os.path.join(trial.mail_root, ".restoring"))
            with directory.change("drill") as change:
                if directory.find_mailbox(address) is None:
                    change.add_mailbox(Mailbox(
                        address=address, kind="person", name="drill", password_hash=kept
                    ))  # fmt: skip
                else:
                    change.set_password(address, kept, must_change=False)
            done.mailboxes.append(address)
        directory.publish(trial.snapshot_path, postmaster=trial.config.postmaster)
        done.problems += placer.problems
    return given


@contextlib.contextmanager
def _served(trial: Site) -> Iterator[None]:
    command = [sys.executable, "-m", "bdmta", "-c", trial.config_path, "serve", "--workers", "0"]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said) as server,
    ):
        try:
            assert server.stdout is not None
            ready, _, _ = select.select([server.stdout], [], [], _READY_S)
            if not ready or server.stdout.readline().strip() != b"ready":
                said.seek(0)
                lines = said.read().decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
                raise BdmtaError(f"the scratch site does not start: {lines[-1]}")
            yield
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()


def _read_back(
    trial: Site, port: int, address: str, password: str, manifest: Manifest, done: Drill,
    progress: Callable[[int, int], None],
) -> None:  # fmt: skip
    context = ssl.create_default_context(cafile=os.path.join(trial.tls_dir, "ca.pem"))
    try:
        with imaplib.IMAP4_SSL("localhost", port, ssl_context=context, timeout=60) as client:
            client.login(address, password)
            for folder in manifest.folders:
                if folder.name:
                    _read_folder(client, address, folder, done, progress)
    except (imaplib.IMAP4.error, OSError) as error:
        done.problems.append(f"{address}: {error}")


def _read_folder(
    client: imaplib.IMAP4_SSL, address: str, folder: FolderRow, done: Drill, progress: Callable[[int, int], None]
) -> None:  # fmt: skip
    where = f"{address}, folder {folder.name}"
    name = "/".join(mutf7_encode(level) for level in folder.name.split("/"))
    status, answer = client.select(f'"{name}"', readonly=True)
    if status != "OK":
        done.problems.append(f"{where}: cannot be opened: {answer!r}")
        return
    told = client.response("UIDVALIDITY")[1][0]
    if folder.uidvalidity and told is not None and int(told) != folder.uidvalidity:
        done.problems.append(f"{where}: UIDVALIDITY is {int(told)}, was {folder.uidvalidity}")
    with_uid = {letter.uid: letter for letter in folder.letters if letter.uid is not None}
    without = {letter.sha256: letter for letter in folder.letters if letter.uid is None}
    uids = sorted(map(int, client.uid("SEARCH", "ALL")[1][0].split()))
    for at in range(0, len(uids), _AT_ONCE_COUNT):
        for uid, found in _fetched(client, uids[at : at + _AT_ONCE_COUNT]):
            letter = with_uid.pop(uid, None) or without.pop(hashlib.sha256(found[1]).hexdigest(), None)
            if letter is None:
                done.problems.append(f"{where}, UID {uid}: was not there")
                continue
            _compare(where, letter, found, done)
            done.letters += 1
            progress(1, 0)
    for letter in [*with_uid.values(), *without.values()]:
        done.problems.append(f"{where}, {letter.uid or letter.base}: is not there")


def _fetched(client: imaplib.IMAP4_SSL, uids: list[int]) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
    """UID to (what came before the literal, the letter)."""
    _, rows = client.uid("FETCH", ",".join(map(str, uids)), "(UID FLAGS BODY.PEEK[])")
    for row in rows:
        if isinstance(row, tuple) and (match := re.search(rb"UID (\d+)", row[0])):
            yield int(match[1]), (row[0], row[1])


def _compare(where: str, letter: LetterRow, found: tuple[bytes, bytes], done: Drill) -> None:
    named = f"{where}, UID {letter.uid or letter.base}"
    head, octets = found
    if hashlib.sha256(octets).hexdigest() != letter.sha256 and not _is_converted(octets, letter):
        done.problems.append(f"{named}: its octets differ")
    if (b"\\Seen" in head) != ("S" in letter.info.removeprefix(":2,")):
        done.problems.append(f"{named}: its flags differ")


def _is_converted(octets: bytes, letter: LetterRow) -> bool:
    """Whether the file has LF line ends (Dovecot's own), which IMAP shows as CRLF."""
    return hashlib.sha256(octets.replace(b"\r\n", b"\n")).hexdigest() == letter.sha256
