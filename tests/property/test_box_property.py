"""Two processes, deliveries and a foreign program on one Maildir: nothing is lost, no UID means two letters, all
agree in the end.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from storage.errors import NotFound
from storage.maildir import folder_dir
from tests.unit.storage.box_support import World, to_store

OTHER = "Công văn"
SESSIONS = st.integers(0, 2)
WHICH = st.integers(0, 1000)
FLAGS = st.integers(0, 31)


class Client:
    """What an IMAP client knows of a folder by what it was told only."""

    def __init__(self, mailbox: Any, folder: str) -> None:
        self.view = mailbox.open_view(folder)
        self.folder = folder
        self.uids = list(self.view.columns.uid)
        self.flags = dict(zip(self.uids, self.view.columns.flags, strict=True))

    def poll(self, *, expunge: bool) -> None:
        deltas = self.view.poll(expunge=expunge)
        for number, uid in zip(deltas.expunged, deltas.expunged_uids, strict=True):
            assert self.uids[number - 1] == uid
            del self.uids[number - 1]
            del self.flags[uid]
        columns = self.view.columns
        if deltas.exists is not None:
            assert deltas.exists > len(self.uids)
            for row in range(len(self.uids), deltas.exists):
                self.uids.append(columns.uid[row])
                self.flags[columns.uid[row]] = columns.flags[row]
        for row in deltas.flags:
            self.flags[columns.uid[row]] = columns.flags[row]
        assert self.uids == list(columns.uid) == sorted(set(self.uids))

    def adopt(self) -> None:
        """STORE answers with the flags; a client takes them from there."""
        for uid, flags in zip(self.view.columns.uid, self.view.columns.flags, strict=True):
            self.flags[uid] = flags

    def row(self, which: int) -> int | None:
        return which % len(self.uids) if self.uids else None


class Mailing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = tempfile.mkdtemp()
        self.world = World(self.root)
        self.expected: Counter[str] = Counter()
        self.meaning: dict[tuple[str, int, int], str] = {}
        self.highest: dict[str, int] = {}
        self.count = 0
        self.may_lose = "either"

    @initialize()
    def begin(self) -> None:
        self.mailboxes = [self.world.mailbox(), self.world.mailbox(inotify=False), self.world.mailbox()]
        self.mailboxes[0].create(OTHER)
        self.paths = {name: folder_dir(self.world.path, name) for name in ("INBOX", OTHER)}
        self.clients = [
            Client(self.mailboxes[0], "INBOX"),
            Client(self.mailboxes[1], "INBOX"),
            Client(self.mailboxes[2], OTHER),
        ]

    def fresh(self) -> str:
        self.count += 1
        text = f"n{self.count}"
        self.expected[text] += 1
        return text

    def files(self, folder: str, sub: str = "cur") -> list[str]:
        return sorted(os.listdir(f"{self.paths[folder]}/{sub}"))

    # -- others ------------------------------------------------------------------------------------------------------
    # -----------

    @rule(sub=st.sampled_from(["new", "new", "cur"]), count=st.integers(1, 3))
    def deliver(self, sub: str, count: int) -> None:
        for _ in range(count):
            self.world.deliver(self.fresh(), sub=sub)

    @rule(
        which=WHICH,
        info=st.sampled_from([":2,", ":2,S", ":2,FS", ":2,T", ":2,PS", ""]),
        folder=st.sampled_from(["INBOX", OTHER]),
    )
    def foreign_flags(self, which: int, info: str, folder: str) -> None:
        if names := self.files(folder):
            name = names[which % len(names)]
            directory = f"{self.paths[folder]}/cur"
            os.rename(f"{directory}/{name}", f"{directory}/{name.partition(':')[0]}{info}")

    @rule(which=WHICH)
    def foreign_takes_new(self, which: int) -> None:
        if names := self.files("INBOX", "new"):
            name = names[which % len(names)]
            os.rename(f"{self.world.path}/new/{name}", f"{self.world.path}/cur/{name}:2,S")

    @rule(which=WHICH)
    def foreign_deletes(self, which: int) -> None:
        if names := self.files("INBOX"):
            path = f"{self.world.path}/cur/{names[which % len(names)]}"
            self.expected[text_in(path)] -= 1
            os.unlink(path)

    @precondition(lambda self: self.may_lose != "uidlist")
    @rule()
    def index_goes(self) -> None:
        self.may_lose = "index"
        for tail in ("", "-wal", "-shm"):
            if os.path.exists(self.world.index + tail):
                os.unlink(self.world.index + tail)

    @precondition(lambda self: self.may_lose == "either")
    @rule()
    def uidlist_goes(self) -> None:
        """The list of UIDs is lost: made again from the memory of processes and the index, as long as those are
        there.
        """
        self.may_lose = "uidlist"
        path = f"{self.world.path}/dovecot-uidlist"
        if os.path.exists(path):
            os.unlink(path)

    # -- sessions
    # ---------------------------------------------------------------------------------------------------------------

    @rule(session=SESSIONS, expunge=st.booleans())
    def look(self, session: int, expunge: bool) -> None:
        client = self.clients[session]
        if client.view.box.is_dirty():
            client.view.box.refresh()
        client.poll(expunge=expunge)

    @rule(session=SESSIONS, which=WHICH, change=st.sampled_from("=+-"), flags=FLAGS, every=st.booleans())
    def store(self, session: int, which: int, change: str, flags: int, every: bool) -> None:
        client = self.clients[session]
        row = client.row(which)
        if row is None:
            return
        rows = range(len(client.uids)) if every else range(row, row + 1)
        done = client.view.store(rows, change, flags, ("$Nhãn".replace("ã", "a"),) if flags & 16 else ())
        assert set(done.rows) | set(done.missing) == set(rows)
        for row in done.rows:
            wanted = client.view.columns.flags[row]
            assert (wanted & flags & 31 == flags & 31) if change != "-" else not wanted & flags & 31
        client.adopt()

    @rule(session=SESSIONS)
    def expunge(self, session: int) -> None:
        client = self.clients[session]
        before = self.on_disk()
        deltas = client.view.expunge()
        for number, uid in zip(deltas.expunged, deltas.expunged_uids, strict=True):
            assert client.uids[number - 1] == uid
            del client.uids[number - 1]
            del client.flags[uid]
        for row in range(len(client.uids), len(client.view.columns)):
            client.uids.append(client.view.columns.uid[row])
        client.adopt()
        self.expected.subtract(before - self.on_disk())
        self.expected = +self.expected

    @rule(session=SESSIONS)
    def append(self, session: int) -> None:
        client = self.clients[session]
        text = self.fresh()
        placed = self.mailboxes[session].append(client.folder, to_store(text), 1, (), 1e9)
        self.note(client.folder, placed.uidvalidity, placed.uids[0], text)

    @rule(session=SESSIONS, which=WHICH, is_move=st.booleans())
    def place(self, session: int, which: int, is_move: bool) -> None:
        client = self.clients[session]
        row = client.row(which)
        target = OTHER if client.folder == "INBOX" else "INBOX"
        if row is None:
            return
        client.view.box.refresh()
        rows = range(row, min(row + 2, len(client.uids)))
        placed = client.view.move(rows, target) if is_move else client.view.copy(rows, target)
        validity = client.view.box.uidvalidity
        for source, uid in zip(placed.source, placed.uids, strict=True):
            text = self.meaning.get((client.folder, validity, source))
            if text is not None:
                self.note(target, placed.uidvalidity, uid, text)
        if not is_move:
            for uid in placed.uids:
                self.expected[self.text_of(self.mailboxes[session], target, uid)] += 1

    @rule(session=SESSIONS)
    def again(self, session: int) -> None:
        client = self.clients[session]
        client.view.close()
        self.clients[session] = Client(self.mailboxes[session], client.folder)

    # -- what must hold
    # ---------------------------------------------------------------------------------------------------------

    def text_of(self, mailbox: Any, folder: str, uid: int) -> str:
        with mailbox.held_box(folder) as box:
            return text_in_octets(bytes(box.octets(uid)))

    def note(self, folder: str, validity: int, uid: int, text: str) -> None:
        assert self.meaning.setdefault((folder, validity, uid), text) == text

    def on_disk(self) -> Counter[str]:
        return Counter(
            text_in(f"{path}/{sub}/{name}")
            for path in self.paths.values()
            for sub in ("cur", "new")
            for name in os.listdir(f"{path}/{sub}")
        )

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "paths"):
            assert self.on_disk() == +self.expected

    @invariant()
    def uids_mean_one_letter(self) -> None:
        for client in getattr(self, "clients", ()):
            box = client.view.box
            uids = box.columns.uid
            assert list(uids) == sorted(set(uids))
            assert not uids or uids[-1] < box.uidnext
            assert box.highestmodseq >= self.highest.get(id(box), 0)
            self.highest[id(box)] = box.highestmodseq
            for uid in uids:
                if (client.folder, box.uidvalidity, uid) not in self.meaning:
                    try:
                        self.note(client.folder, box.uidvalidity, uid, text_in_octets(bytes(box.octets(uid))))
                    except NotFound:
                        continue

    def teardown(self) -> None:
        if hasattr(self, "clients"):
            self.settle()
        self.world.close()
        shutil.rmtree(self.root)

    def settle(self) -> None:
        """Let all look twice, then they agree with the files and with one another."""
        for _ in range(2):
            for client in self.clients:
                client.view.box.refresh()
        for client in self.clients:
            client.poll(expunge=True)
            columns = client.view.columns
            assert client.flags == dict(zip(columns.uid, columns.flags, strict=True))
            texts = Counter(text_in_octets(bytes(client.view.box.octets(uid))) for uid in columns.uid)
            names = [f"{self.paths[client.folder]}/cur/{name}" for name in self.files(client.folder)]
            assert texts == Counter(map(text_in, names))
            assert not self.files(client.folder, "new")
            subjects = client.view.box.fields(columns, "subject")
            assert [text_in_octets(bytes(client.view.box.octets(uid))) for uid in columns.uid] == subjects
        one, two = self.clients[0].view, self.clients[1].view
        assert (one.columns.uid, one.columns.flags) == (two.columns.uid, two.columns.flags)
        assert one.box.uidvalidity == two.box.uidvalidity
        if self.may_lose != "index" and one.box.highestmodseq == two.box.highestmodseq:
            assert one.columns.modseq == two.columns.modseq


def text_in(path: str) -> str:
    with open(path, "rb") as file:
        return text_in_octets(file.read())


def text_in_octets(octets: bytes) -> str:
    return octets.partition(b"\r\n")[0].removeprefix(b"Subject: ").decode()


TestMailing = Mailing.TestCase
TestMailing.settings = settings(
    max_examples=30,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
