"""What decision 0011 claims: without links and without a lock, a mailbox in use is backed up whole.

Another process delivers, reads (new/ to cur/), marks, moves between folders and expunges, without a pause. Of every
letter it says when it was first there, and when it was about to be expunged. A letter that was there when the reading
began, and not expunged before it ended, is in the backup, once, with its own octets.
"""

import hashlib
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from storage.backup.mailbox_read import MailboxReader
from storage.backup.objects import Objects
from storage.clock import SystemClock
from storage.maildir import create_mailbox, folder_dir

FOLDERS = ("INBOX", "Archive", "Trash")


def octets_of(number):
    return f"Message-ID: <{number}@x>\r\n\r\n{'x' * (number % 700)}\r\n".encode()


class Restless:
    """The other process. Its sayings are lines in a file: `+ number time` and `- number time`."""

    def __init__(self, mailbox, log, seed):
        self.folders = [folder_dir(mailbox, name) for name in FOLDERS]
        self.log = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self.random = random.Random(seed)
        self.count = self.alive = 0

    def say(self, sign, number):
        self.alive += 1 if sign == b"+" else -1
        os.write(self.log, b"%b %d %d\n" % (sign, number, time.monotonic_ns()))

    def deliver(self):
        self.count += 1
        name = f"17{self.count:08}.M1P1Q{self.count}.mail,S={len(octets_of(self.count))}"
        Path(f"{self.folders[0]}/tmp/{name}").write_bytes(octets_of(self.count))
        os.rename(f"{self.folders[0]}/tmp/{name}", f"{self.folders[0]}/new/{name}")
        self.say(b"+", self.count)

    def some(self, sub="cur"):
        folder = self.random.choice(self.folders if sub == "cur" else self.folders[:1])
        names = os.listdir(f"{folder}/{sub}")
        return folder, self.random.sample(names, min(len(names), 5))

    def step(self):
        what = self.random.random()
        if what < 0.1:
            if self.alive < 500:
                self.deliver()
        elif what < 0.3:
            folder, names = self.some("new")
            for name in names:
                os.rename(f"{folder}/new/{name}", f"{folder}/cur/{name}:2,")
        elif what < 0.6:
            folder, names = self.some()
            for name in names:
                flags = "".join(sorted(self.random.sample("FRST", 2)))
                os.rename(f"{folder}/cur/{name}", f"{folder}/cur/{name.partition(':')[0]}:2,{flags}")
        elif what < 0.96:
            folder, names = self.some()
            for name in names:  # by another name, as a move through IMAP gives one
                self.count += 1
                target = f"{self.random.choice(self.folders)}/cur/18{self.count:08}.M1.{name.partition('.')[2]}"
                os.rename(f"{folder}/cur/{name}", target)
        else:
            folder, names = self.some()
            for name in names[:1]:
                number = int(Path(f"{folder}/cur/{name}").read_bytes().split(b"@")[0].rpartition(b"<")[2])
                self.say(b"-", number)
                os.unlink(f"{folder}/cur/{name}")

    def run(self):
        while True:
            self.step()


def sayings(log):
    came, went = {}, {}
    for line in Path(log).read_bytes().split(b"\n")[:-1]:
        sign, number, at = line.split()
        (came if sign == b"+" else went)[int(number)] = int(at)
    return came, went


@pytest.mark.parametrize("kind", ["copied", pytest.param("linked", marks=pytest.mark.slow)])
def test_every_letter_is_in_the_backup_or_was_expunged(tmp_path, kind):
    mailbox, log = str(tmp_path / "box"), str(tmp_path / "log")
    create_mailbox(mailbox)
    other = Restless(mailbox, log, 1)
    for _ in range(400):
        other.deliver()
    for _ in range(2000):
        other.step()
    pid = os.fork()
    if not pid:
        try:
            other.run()
        finally:
            os._exit(1)
    try:
        for turn in range(8):
            objects = Objects(str(tmp_path / f"objects{turn}"), link=kind == "linked")
            objects.create()
            began = time.monotonic_ns()
            manifest = MailboxReader(mailbox, objects, SystemClock()).read()
            ended = time.monotonic_ns()
            found = [row for _, row in manifest.letters()]
            ids = [row.message_id for row in found]
            assert len(ids) == len(set(ids)), "a letter is there twice"
            assert all(row.sha256 == hashlib.sha256(octets_of(int(row.message_id[1:-3]))).hexdigest() for row in found)
            came, went = sayings(log)
            must = {n for n, at in came.items() if at < began and went.get(n, ended + 1) > ended}
            shutil.rmtree(objects.folder)
            assert len(must) > 100 and not {f"<{n}@x>" for n in must} - set(ids), f"turn {turn}"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("link", [False, True])
def test_copies_are_no_doubles(tmp_path, link):
    """A copy made by IMAP is another name of the same file."""
    mailbox = str(tmp_path / "box")
    create_mailbox(mailbox)
    letter = Path(mailbox) / "cur" / "1700000000.M1P1.mail,S=30:2,S"
    letter.write_bytes(octets_of(1))
    os.link(letter, f"{folder_dir(mailbox, 'Archive')}/cur/1700000001.M1P1.mail,S=30:2,S")
    objects = Objects(str(tmp_path / "objects"), link=link)
    objects.create()
    for _ in range(2):
        assert len(list(MailboxReader(mailbox, objects, SystemClock()).read().letters())) == 2
