"""Loss of power at any call, under any order in which a file system may write: after the replay each acknowledged
letter is there exactly once for each recipient, none is partial, none is resurrected (contract 1); and each UID that
was told still is its letter's (contract 4), with the flags that came with it.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from storage.box import Mailboxes
from storage.box_types import DELETED, FLAGGED, SEEN
from storage.clock import SystemClock
from storage.errors import Corrupt, NotFound
from storage.journal import Journal, Placement
from storage.journal_replay import replay_all
from storage.journal_spool import settle_removed, tag_of_entry
from storage.letter import Letter
from storage.maildir import create_mailbox, folder_dir, folder_dirs
from storage.settling import Settling
from storage.spool import Spool
from storage.spool_entry import QueueEntry, QueueRecipient, Target
from storage.uidlist import UidList
from tests.crash.powercut import Disk, Recorder, build
from tests.unit.storage.box_support import RULES, Inline

pytestmark = pytest.mark.crash

BOXES = ("a", "b", "c")
EXAMPLES = int(os.environ.get("BDMTA_POWERCUT_EXAMPLES", "25"))
# What is synced is told by the model and not by a disk: memory is as good, and quicker.
FOLDER = os.environ.get("BDMTA_POWERCUT_DIR", "/dev/shm" if os.path.isdir("/dev/shm") else None)
STATES = int(os.environ.get("BDMTA_POWERCUT_STATES", "3"))


@dataclass
class Expected:
    """What must be there: (letter, mailbox) -> copies. `loose`: in the middle of a change, or changed by a program
    that syncs nothing: any number that it went through."""

    copies: Counter[tuple[int, str]] = field(default_factory=Counter)
    loose: dict[tuple[int, str], set[int]] = field(default_factory=dict)
    expunged: set[tuple[int, str]] = field(default_factory=set)
    queue: dict[str, set[int | None]] = field(default_factory=dict)
    """Entries of the spool: the attempts that may be on record; None: it may be gone."""
    told: dict[tuple[str, str, int], int] = field(default_factory=dict)  # (mailbox, folder, UID) of a letter
    highest: dict[tuple[str, str], int] = field(default_factory=dict)  # the last UID told of a folder
    appended: set[tuple[str, str, int]] = field(default_factory=set)  # those of `told` that came flagged

    def copy(self) -> Expected:
        return Expected(
            Counter(self.copies), dict(self.loose), set(self.expunged), dict(self.queue), dict(self.told),
            dict(self.highest), set(self.appended),
        )  # fmt: skip

    def become(self, key: tuple[int, str], count: int) -> None:
        """More copies than there were: those that went may still be where they were, beside them."""
        more = count - self.copies[key]
        if more > 0 and key in self.loose:
            self.loose[key] |= {one + more for one in self.loose[key]}
        if more > 0:
            self.expunged.discard(key)
        self.copies[key] = count

    def tell(self, box: str, folder: str, uid: int, number: int) -> None:
        self.told[box, folder, uid] = number
        self.highest[box, folder] = max(uid, self.highest.get((box, folder), 0))

    def forget(self, box: str, folder: str, uids: list[int]) -> None:
        for uid in uids:
            self.told.pop((box, folder, uid), None)
            self.appended.discard((box, folder, uid))


class PowerCut(RuleBasedStateMachine):
    """A site of three mailboxes with a journal of small segments; every rule is recorded, and cut off at some calls."""

    @initialize(seed=st.integers(0, 1 << 30))
    def begin(self, seed: int) -> None:
        self.top = tempfile.mkdtemp(prefix="powercut.", dir=FOLDER)
        self.root = f"{self.top}/site"
        self.dice = random.Random(seed)
        self.serial = itertools.count(1)
        for box in BOXES:
            create_mailbox(self.mailbox(box))
        os.makedirs(f"{self.root}/mail/.incoming")
        os.makedirs(f"{self.root}/journal")
        os.makedirs(f"{self.root}/queue")
        self.spool = Spool(f"{self.root}/queue", SystemClock())
        self.queued: dict[str, bytes] = {}
        self.bodies: dict[bytes, int] = {}
        self.strayed: set[tuple[int, str]] = set()  # letters that another program has moved
        self.expected = Expected()
        self.snapshots: list[tuple[Disk, Expected]] = []
        self.doing: dict[tuple[int, str], set[int]] = {}
        self.recorder = Recorder(self.root, self.on_call)
        self.calls = 0
        self.journal: Any = None
        with self.recorder.recording():
            self.journal = self.open_journal(self.root, "one")
        self.boxes = Mailboxes(
            rules=RULES, clock=SystemClock(), host="test", executor=Inline(),
            settling=Settling(f"{self.root}/journal", f"{self.root}/mail"), journal=self.place_now,
        )  # fmt: skip

    def place_now(self, placement: Placement) -> bool:
        """As `JournalLine.place_now`, without its threads."""
        self.journal.write([placement])
        if placement.error is not None:
            raise placement.error
        return bool(placement.name)

    def open_journal(self, root: str, boot: str) -> Journal:
        return Journal(
            f"{root}/journal", "0", mail_root=f"{root}/mail", tmp_dir=f"{root}/mail/.incoming", host="mx",
            clock=SystemClock(), boot=boot, segment_min_octets=24 << 10, segment_max_octets=48 << 10,
            spool=Spool(f"{root}/queue", SystemClock()),
        )  # fmt: skip

    def mailbox(self, box: str, root: str = "") -> str:
        return f"{root or self.root}/mail/test.vn/{box}"

    def on_call(self) -> None:
        """Before some of the calls the power is cut."""
        self.calls += 1
        if self.journal is not None and self.dice.random() < 0.08 and len(self.snapshots) < 8:
            expected = self.expected.copy()
            for key, counts in self.doing.items():
                loose = expected.loose.get(key, set())
                more = max(counts) - expected.copies[key]
                expected.loose[key] = loose | {one + more for one in loose} | counts
                expected.expunged -= {key} if more > 0 else set()
            self.snapshots.append((self.recorder.disk.snapshot(), expected))

    # -- what happens on a server

    @rule(sizes=st.lists(st.integers(60, 9000), min_size=1, max_size=4), data=st.data())
    def deliver(self, sizes: list[int], data: st.DataObject) -> None:
        batch = []
        for size in sizes:
            number = next(self.serial)
            octets = f"Subject: {number}\r\n\r\n".encode().ljust(size, b"x")
            self.bodies[octets] = number
            boxes = data.draw(st.lists(st.sampled_from(BOXES), min_size=1, max_size=3, unique=True))
            folder = data.draw(st.sampled_from(["INBOX", "INBOX", "Junk"]))
            letter = Letter.from_octets([octets[:10], octets[10:]])
            targets = tuple(Target(self.mailbox(box), folder) for box in boxes)
            batch.append((number, boxes, Placement(letter, targets)))
        self.doing = {(number, box): {0, 1} for number, boxes, _ in batch for box in boxes}
        with self.recorder.recording():
            self.journal.write([placement for _, _, placement in batch])
        for number, boxes, placement in batch:
            assert placement.error is None
            for box in boxes if placement.name else ():
                self.expected.copies[number, box] = 1
        self.done()

    @rule(size=st.integers(60, 9000), boxes=st.lists(st.sampled_from(BOXES), max_size=2, unique=True))
    def queue(self, size: int, boxes: list[str]) -> None:
        """A letter for outside, and perhaps for mailboxes here too."""
        number = next(self.serial)
        octets = f"Subject: {number}\r\n\r\n".encode().ljust(size, b"x")
        self.bodies[octets] = number
        entry_id = f"e{number}"
        self.queued[entry_id] = octets
        letter = Letter.from_octets([octets])
        entry = QueueEntry(id=entry_id, sender="s@a.vn", recipients=(QueueRecipient("x@b.vn"),), letter=letter)
        placement = Placement(letter, tuple(Target(self.mailbox(box), "INBOX") for box in boxes), entry)
        self.doing = {(number, box): {0, 1} for box in boxes}
        self.expected.queue[entry_id] = {None, 0}
        with self.recorder.recording():
            self.journal.write([placement])
        assert placement.error is None
        self.expected.queue[entry_id] = {0} if placement.name else {None}
        for box in boxes if placement.name else ():
            self.expected.copies[number, box] = 1
        self.done()

    @rule(place=st.integers(0, 99), what=st.sampled_from(["tried", "sent", "sent"]))
    def courier(self, place: int, what: str) -> None:
        """An attempt is recorded; or the entry is removed, and settled behind its back: until then a loss of power brings
        it back as it came, without its attempts.
        """
        there = [entry_id for entry_id, states in self.expected.queue.items() if None not in states]
        if not there:
            return
        entry_id = there[place % len(there)]
        (attempts,) = self.expected.queue[entry_id]
        assert attempts is not None
        with self.recorder.recording(), self.spool.lock(entry_id) as lock:
            entry = self.spool.load_locked(lock)
            if what == "tried":
                self.expected.queue[entry_id] = {attempts, attempts + 1}
                state = {"attempts": attempts + 1}
                self.spool.update(replace(entry, recipients=(QueueRecipient("x@b.vn", state=state),)), lock)
                self.expected.queue[entry_id] = {attempts + 1}
            else:
                self.expected.queue[entry_id] = {attempts, None, 0}
                self.spool.discard(entry_id)
                settle_removed(self.spool, f"{self.root}/journal", [(tag_of_entry(entry), entry_id)])
                self.expected.queue[entry_id] = {None}
        self.done()

    @rule(size=st.integers(60, 9000), box=st.sampled_from(BOXES), again=st.booleans(),
          folder=st.sampled_from(["INBOX", "Sent", "Drafts"]))  # fmt: skip
    def append(self, size: int, box: str, again: bool, folder: str) -> None:
        """A client stores a letter; the same one twice, perhaps."""
        mine = [octets for octets in self.bodies if octets.startswith(b"Subject: 0")]
        octets = mine[-1] if again and mine else f"Subject: 0{next(self.serial)}\r\n\r\n".encode().ljust(size, b"y")
        number = self.bodies.setdefault(octets, next(self.serial))
        count = self.expected.copies[number, box]
        self.doing = {(number, box): {count, count + 1}}
        mailbox = self.boxes.mailbox(self.mailbox(box), f"{self.top}/index/{box}.db")
        folder = folder if mailbox.exists(folder) else "Later"
        with self.recorder.recording():
            letter = Letter.from_octets([octets[:20], octets[20:]])
            placed = mailbox.append(folder, letter, FLAGGED | SEEN, ())
        self.expected.become((number, box), count + 1)
        self.expected.tell(box, folder, placed.uids[0], number)
        self.expected.appended.add((box, folder, placed.uids[0]))
        self.done()

    @rule(box=st.sampled_from(BOXES), old=st.sampled_from(["Drafts", "Later"]))
    def rename(self, box: str, old: str) -> None:
        """A folder gets another name, and back."""
        new = "Later" if old == "Drafts" else "Drafts"
        mailbox = self.boxes.mailbox(self.mailbox(box), f"{self.top}/index/{box}.db")
        if not mailbox.exists(old) or mailbox.exists(new):
            return
        moved = {uid: n for (of, folder, uid), n in self.expected.told.items() if (of, folder) == (box, old)}
        for uid, number in moved.items():  # while it happens they are here or there
            self.expected.forget(box, old, [uid])
        with self.recorder.recording():
            mailbox.rename(old, new)
        for uid, number in moved.items():
            self.expected.tell(box, new, uid, number)
        self.done()

    @rule()
    def checkpoint(self) -> None:
        with self.recorder.recording():
            self.journal.checkpoint()
        self.done()

    @rule(place=st.integers(0, 99), which=st.integers(0, 5),
          what=st.sampled_from(["look", "flag", "expunge", "expunge", "move", "move", "copy"]))  # fmt: skip
    def imap(self, place: int, which: int, what: str) -> None:
        held = [
            (box, folder)
            for box in BOXES
            for folder in ("INBOX", "Junk", "Archive", "Sent", "Drafts", "Later")
            if self.holds(box, folder)
        ]
        if not held:
            return
        box, folder = held[place % len(held)]
        mailbox = self.boxes.mailbox(self.mailbox(box), f"{self.top}/index/{box}.db")
        with self.recorder.recording():
            view = mailbox.open_view(folder)
            try:
                count = len(view.columns)
                uids = list(view.columns.uid)
                for uid, octets in zip(uids, view.box.octets_of(view.columns.uid), strict=True):
                    self.expected.tell(box, folder, uid, self.bodies[bytes(octets)])
                rows = range(min(which, count - 1), min(which + 2, count))
                if what != "look":
                    self.change(view, rows, what, box)
            finally:
                view.close()
        self.done()
        self.check(self.recorder.disk, self.expected, STATES)

    def holds(self, box: str, folder: str) -> bool:
        path = folder_dir(self.mailbox(box), folder)
        return any(os.listdir(f"{path}/{sub}") for sub in ("new", "cur") if os.path.isdir(f"{path}/{sub}"))

    def change(self, view: Any, rows: range, what: str, box: str) -> None:
        numbers = [self.bodies[bytes(octets)] for octets in view.box.octets_of([view.columns.uid[row] for row in rows])]
        target = "Trash" if view.box.name != "Trash" else "Archive"
        before = {(number, box): self.expected.copies[number, box] for number in numbers}
        step = {"flag": 0, "move": 0, "expunge": -1, "copy": 1}[what]
        steps = {(number, box): step * times for number, times in Counter(numbers).items()}
        self.doing = {key: _between(count, count + steps[key]) for key, count in before.items()}
        if what in ("move", "expunge"):
            self.expected.forget(box, view.box.name, [view.columns.uid[row] for row in rows])
        if what == "flag":
            view.store(rows, "+", SEEN)
        elif what == "expunge":
            view.store(rows, "+", DELETED)
            view.expunge()
        elif what == "move":
            view.move(rows, target)
        else:
            view.copy(rows, target)
        for key, count in before.items():
            self.expected.become(key, count + steps[key])
            if what == "expunge":
                # Its unlink is not synced, in the first form neither: it may still be where it was.
                self.expected.loose[key] = self.expected.loose.get(key, set()) | _between(count, count + steps[key])
                if count + steps[key] == 0:
                    self.expected.expunged.add(key)

    @rule(box=st.sampled_from(BOXES), which=st.integers(0, 5), to=st.sampled_from(["cur", ".Junk/cur", ".Own/cur"]))
    def foreign_move(self, box: str, which: int, to: str) -> None:
        """`mv`, or Dovecot moving new to cur: nothing is synced, and nobody tells us."""
        where = self.mailbox(box)
        names = sorted(os.listdir(f"{where}/new"))
        if not names:
            return
        name = names[which % len(names)]
        os.makedirs(f"{where}/{to}", exist_ok=True)
        if to.startswith(".Own"):
            own = f"9.own{next(self.serial)}.dovecot,{name.partition(',')[2]}:2,"
        else:
            own = f"{name}:2,S"
        self.strayed.add((self.bodies[Path(where, "new", name).read_bytes()], box))
        with self.recorder.recording():
            os.rename(f"{where}/new/{name}", f"{where}/{to}/{own}")
        self.done()

    def done(self) -> None:
        self.doing = {}
        snapshots, self.snapshots = self.snapshots, []
        for disk, expected in snapshots:
            self.check(disk, expected, 1)

    # -- what must hold

    @rule()
    def power_cut(self) -> None:
        self.check(self.recorder.disk, self.expected, STATES)

    def check(self, disk: Disk, expected: Expected, states: int) -> None:
        for number in range(states):
            self.check_one(disk, expected, power_cut=number > 0 or states == 1)

    def check_one(self, disk: Disk, expected: Expected, *, power_cut: bool) -> None:
        new_root = f"{self.top}/after"
        shutil.copytree(self.root, new_root, ignore=_files)
        try:
            self.check_state(new_root, disk.after(self.dice, power_cut=power_cut), expected, power_cut=power_cut)
        finally:
            shutil.rmtree(new_root)

    def check_state(self, root: str, state: Any, expected: Expected, *, power_cut: bool) -> None:
        build(state, self.root, root)
        before, queue_before = self.found(root), self.found_queue(root)
        boot = "two" if power_cut else "one"
        spool = Spool(f"{root}/queue", SystemClock())
        replay_all(f"{root}/journal", f"{root}/mail", f"{root}/mail/.incoming", boot, spool)
        after, queue_after = self.found(root), self.found_queue(root)
        for entry_id, states in expected.queue.items():
            assert queue_after.get(entry_id) in states, (entry_id, queue_after.get(entry_id), states)
        assert after[None, ""] == 0, "a partial letter"
        for key in {*expected.copies, *expected.loose}:
            allowed = {expected.copies[key]} | expected.loose.get(key, set())
            assert after[key] in allowed, (key, after[key], allowed)
        if not power_cut:
            assert (before, queue_before) == (after, queue_after), "nothing was lost, so nothing is to be changed"
        self.check_uids(root, expected)
        for key in expected.expunged:
            assert after[key] <= before[key], f"{key} is resurrected"
        self.open_journal(root, boot).close()
        again = replay_all(f"{root}/journal", f"{root}/mail", f"{root}/mail/.incoming", "three", spool)
        assert again.records == 0
        assert (self.found(root), self.found_queue(root)) == (after, queue_after)

    def found_queue(self, root: str) -> dict[str, int]:
        """Attempts by entry. An envelope without a letter is none: the courier passes over it, and it is swept."""
        spool = Spool(f"{root}/queue", SystemClock())
        found = {}
        for entry_id in spool.list():
            try:
                octets = b"".join(spool.open_letter(entry_id).blocks())
                entry = spool.load(entry_id)
            except (NotFound, Corrupt):
                continue
            if octets == self.queued[entry_id]:
                found[entry_id] = entry.recipients[0].state.get("attempts", 0)
            else:
                found[entry_id] = -1
        return found

    def check_uids(self, root: str, expected: Expected) -> None:
        for (box, folder), highest in expected.highest.items():
            path = folder_dir(self.mailbox(box, root), folder)
            uids = UidList(path)
            if not os.path.isdir(path) or (news := uids.read()) is None:
                assert not any(key[:2] == (box, folder) for key in expected.told), (box, folder)
                continue
            assert uids.known.next_uid > highest, (box, folder)
            listed = dict(news.entries)
            for (of, where, uid), number in expected.told.items():
                if (of, where) == (box, folder):
                    file = self.file_of(path, listed[uid])
                    if file is None:  # back where it came, for nobody synced the `mv`
                        assert (number, box) in self.strayed
                        continue
                    assert self.bodies[file.read_bytes()] == number
                    assert (of, where, uid) not in expected.appended or "F" in file.name.partition(":2,")[2]

    @staticmethod
    def file_of(path: str, base: str) -> Path | None:
        files = [file for sub in ("new", "cur") for file in Path(path).glob(f"{sub}/*")]
        found = [file for file in files if file.name.partition(":")[0] == base]
        assert len(found) <= 1
        return found[0] if found else None

    def found(self, root: str) -> Counter[tuple[int | None, str]]:
        """Copies by letter and mailbox; what is no letter is counted under None."""
        counted: Counter[tuple[int | None, str]] = Counter()
        for box in BOXES:
            for folder in folder_dirs(self.mailbox(box, root)):
                for sub in ("new", "cur"):
                    path = Path(folder, sub)
                    for file in path.iterdir() if path.is_dir() else ():
                        number = self.bodies.get(file.read_bytes())
                        counted[(number, box) if number is not None else (None, "")] += 1
        return counted

    def teardown(self) -> None:
        if not hasattr(self, "top"):
            return
        try:
            self.power_cut()
        finally:
            self.boxes.close()
            self.journal.close()
            self.recorder.close()
            shutil.rmtree(self.top, ignore_errors=True)


def _between(one: int, other: int) -> set[int]:
    return set(range(min(one, other), max(one, other) + 1))


def _files(path: str, names: list[str]) -> list[str]:
    return [name for name in names if os.path.isfile(f"{path}/{name}")]


def test_whatever_was_not_synced_is_brought_back() -> None:
    run_state_machine_as_test(
        PowerCut,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.parametrize("seed", range(6))
def test_letters_of_a_folder_that_is_renamed_keep_their_uids(seed: int) -> None:
    machine = PowerCut()
    try:
        machine.begin(seed)
        for size in (100, 700, 5000):
            machine.append(size, "a", False, "Drafts")
        machine.rename("a", "Drafts")
        for _ in range(5):
            machine.power_cut()
    finally:
        machine.teardown()
