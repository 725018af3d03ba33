"""SIGKILL to the whole server at random instants under load: what was answered 250 is there, once, whole.

The sample of every run kills a few times. BDMTA_CRASH_LETTERS=2000 makes it go on until so many letters have been
answered 250; BDMTA_CRASH_SEED repeats the instants and letters of a run (not the scheduler's choices).
"""

from __future__ import annotations

import hashlib
import os
import random
import smtplib
import socket
import threading
import time
from collections import Counter

import pytest

from storage.clock import SystemClock
from storage.spool import Spool
from tests.site import SiteUnderTest
from tests.system.conftest import add_mailboxes
from tests.system.wire import here, office

pytestmark = pytest.mark.crash

LETTERS = int(os.environ.get("BDMTA_CRASH_LETTERS", "0"))
SAMPLE_KILLS = 4
BOXES = [f"u{number:03d}" for number in range(150)]
GROUPS = {"nhom30": BOXES[:30], "nhom150": BOXES}
OUTSIDE = "friend@elsewhere.example"
THREADS = 8


class Letter:
    """One letter: its octets follow from its name, and so do its recipients."""

    def __init__(self, name: str) -> None:
        self.name = name
        dice = random.Random(name)
        kind = dice.choice(["one", "one", "three", "three", "outside", "large", "nhom30", "nhom150"])
        self.to = [kind] if kind in GROUPS else dice.sample(BOXES, 1 if kind == "one" else 3)
        self.outside = kind == "outside"
        octets = 400_000 if kind == "large" else dice.randrange(200, 20_000)
        lines = "".join(f"{dice.getrandbits(256):064x}\r\n" for _ in range(octets // 66))
        self.octets = f"From: <a@elsewhere.example>\r\nX-Id: {name}\r\n\r\n{lines}the end\r\n".encode()

    @property
    def mailboxes(self) -> list[str]:
        return [box for name in self.to for box in GROUPS.get(name, [name])]

    @property
    def recipients(self) -> list[str]:
        return [here(name) for name in self.to] + [OUTSIDE] * self.outside


class Load:
    """Threads that send until the server is gone; `acknowledged` are the names of letters that were answered 250."""

    def __init__(self, site: SiteUnderTest, serial: int) -> None:
        self.acknowledged: list[str] = []
        self._site = site
        self._threads = [threading.Thread(target=self._run, args=(f"{serial}-{n}", n % 4)) for n in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _run(self, name: str, way: int) -> None:
        try:
            if way == 0:
                self._by_smtplib(name)
            else:
                self._by_socket(name, quits=way == 1)
        except (OSError, smtplib.SMTPException, EOFError):
            return

    def _by_smtplib(self, name: str) -> None:
        with smtplib.SMTP("127.0.0.1", self._site.port("smtp"), timeout=20) as client:
            for count in range(1_000_000):
                letter = Letter(f"{name}-{count}")
                assert client.sendmail("a@elsewhere.example", letter.recipients, letter.octets) == {}
                self.acknowledged.append(letter.name)

    def _by_socket(self, name: str, *, quits: bool) -> None:
        """Everything but the letter's last octets in one write, as a fast client does."""
        for count in range(1_000_000):
            letter = Letter(f"{name}-{count}")
            with socket.create_connection(("127.0.0.1", self._site.port("smtp")), 20) as sock:
                answers = sock.makefile("rb")
                commands = ["HELO client.example", "MAIL FROM:<a@elsewhere.example>"]
                commands += [f"RCPT TO:<{recipient}>" for recipient in letter.recipients] + ["DATA"]
                sock.sendall("".join(f"{line}\r\n" for line in commands).encode() + letter.octets + b".\r\n")
                codes = [_code(answers) for _ in range(len(commands) + 2)]
                assert codes[-2:] == [b"354", b"250"], codes
                self.acknowledged.append(letter.name)
                if quits:
                    sock.sendall(b"QUIT\r\n")
                    answers.readline()


def _code(answers) -> bytes:
    while True:
        line = answers.readline()
        if not line:
            raise EOFError
        if line[3:4] != b"-":
            return line[:3]


class Store:
    """What lies on disk: which letters each mailbox has, how often, and whether each file is whole."""

    def __init__(self, site: SiteUnderTest) -> None:
        self.copies: Counter[tuple[str, str]] = Counter()
        self.partial: list[str] = []
        known: dict[int, str | None] = {}
        for box in BOXES:
            for entry in os.scandir(site.mailbox(box) / "new"):
                inode = entry.inode()
                if inode not in known:
                    known[inode] = _name_if_whole(entry.path)
                name = known[inode]
                if name is None:
                    self.partial.append(entry.path)
                else:
                    self.copies[name, box] += 1
        # No letter may lie there. A sum of the quota that was killed may (storage.quota removes it an hour later).
        self.tmp = [
            p for box in BOXES for p in (site.mailbox(box) / "tmp").iterdir() if not p.name.startswith("maildirsize.")
        ]


def _name_if_whole(path: str) -> str | None:
    with open(path, "rb") as file:
        return _name_of(file.read())


def _name_of(kept: bytes) -> str | None:
    found = kept.partition(b"X-Id: ")[2].partition(b"\r\n")[0].decode()
    wanted = Letter(found).octets
    whole = kept[-len(wanted) :]
    return found if hashlib.sha256(whole).digest() == hashlib.sha256(wanted).digest() else None


def queued(site: SiteUnderTest) -> Counter[str]:
    """How often each letter waits in the spool for outside; entries without their letter are an error."""
    found: Counter[str] = Counter()
    spool = Spool(str(site.folder / "queue"), SystemClock())
    for entry_id in spool.list():
        assert [recipient.address for recipient in spool.load(entry_id).recipients] == [OUTSIDE]
        name = _name_of(b"".join(spool.open_letter(entry_id).blocks()))
        assert name is not None, entry_id
        found[name] += 1
    return found


def test_what_was_acknowledged_is_there_once_and_whole(own_site, capsys):
    seed = int(os.environ.get("BDMTA_CRASH_SEED", time.time_ns() % 1_000_000))
    dice = random.Random(seed)
    site = own_site(
        {
            "dns": {"servers": "[]"},
            "limits": {"relay_networks": '["127.0.0.0/8"]', "sessions_per_address": "1000"},
        }
    )
    site.start()
    add_mailboxes(site, BOXES)
    for name, members in GROUPS.items():
        office(site, "group_add", address=here(name), name="", members=[here(box) for box in members])
    assert site.stop() == 0
    acknowledged: list[str] = []
    kills = 0
    while len(acknowledged) < LETTERS if LETTERS else kills < SAMPLE_KILLS:
        site.start(workers=(0, 2)[kills % 2])
        load = Load(site, kills)
        time.sleep(dice.uniform(0.02, 1.2))  # the instant is what is tested; nothing is waited for
        site.kill()
        load.join()
        kills += 1
        acknowledged += load.acknowledged
        store = Store(site)
        assert store.partial == [], f"seed {seed}: partial letters in new/"
    site.start(workers=2)
    site.wait_for(lambda: not list((site.folder / "queue").glob("x-*.env")), 30)
    assert site.stop() == 0
    _check(site, acknowledged, seed)
    with capsys.disabled():
        print(f"\n{kills} kills, {len(acknowledged)} letters acknowledged, seed {seed}", end=" ")


def _check(site: SiteUnderTest, acknowledged: list[str], seed: int) -> None:
    assert acknowledged
    store = Store(site)
    assert store.partial == []
    assert store.tmp == []
    missing = [(n, box) for n in acknowledged for box in Letter(n).mailboxes if store.copies[n, box] != 1]
    assert missing == [], f"seed {seed}: lost or doubled"
    doubled = [key for key, count in store.copies.items() if count > 1]
    assert doubled == [], f"seed {seed}: doubled, though not acknowledged"
    stray = [(name, box) for name, box in store.copies if box not in Letter(name).mailboxes]
    assert stray == []
    waiting = queued(site)
    assert [n for n in acknowledged if waiting[n] != Letter(n).outside] == [], f"seed {seed}: queue"
    # What a killed process was about to rename, or to remove after its entry, is swept when it is an hour old.
    kept = [path for path in (site.folder / "queue").iterdir() if not path.name.startswith(".")]
    assert {path.suffix for path in kept} <= {".env", ".msg", ".at", ".done"}
    assert [path for path in kept if path.name.startswith("x-") and path.suffix == ".env"] == []
    assert os.listdir(site.folder / "mail" / ".incoming") == []
