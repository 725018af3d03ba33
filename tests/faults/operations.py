"""What is tried under faults: each operation of the store with what must hold afterwards, whatever happened in it.

`prepare` makes the site, `run` is the operation (it calls `say` when it has acknowledged something), `recover` is what a restart
does, and `check` names whatever was acknowledged and is lost, is there twice, or is half there.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from storage.clock import SystemClock
from storage.commit import Commit, Delivery, Target
from storage.errors import StoreError
from storage.letter import Letter
from storage.maildir import create_mailbox
from storage.quota import Quota
from storage.spool import QueueEntry, QueueRecipient, Spool
from storage.verify import verify_mailbox
from tests.unit.storage.box_support import World

Say = Callable[[str], None]
RESERVE_OCTETS = 0
END = b"end\r\n"


def letter_of(text: str, octets: int = 3000) -> Letter:
    head = f"Subject: {text}\r\n\r\n".encode()
    return Letter.from_octets([head, b"x" * (octets - len(head) - len(END) - 2), b"\r\n", END])


def subject(path: Path) -> str:
    return path.read_bytes().partition(b"\r\n")[0].decode().removeprefix("Subject: ")


class Operation:
    """The common part: boxes, a spool, and the look at every letter."""

    name = ""
    boxes_count = 1
    every = 1  # try each `every`-th call

    def mailbox(self, root: Path, number: int) -> Path:
        return root / "mail" / "dian.vn" / f"u{number}"

    def prepare(self, root: Path) -> None:
        for number in range(self.boxes_count):
            self.mailbox(root, number).parent.mkdir(parents=True, exist_ok=True)
            create_mailbox(str(self.mailbox(root, number)))
        for folder in ("mail/.incoming", "queue", "index"):
            (root / folder).mkdir(exist_ok=True)
        os.sync()

    def store(self, root: Path, executor: ThreadPoolExecutor) -> tuple[Commit, Spool]:
        clock = SystemClock()
        spool = Spool(str(root / "queue"), clock)
        commit = Commit(
            mail_root=str(root / "mail"), spool=spool, host="mx", clock=clock, executor=executor,
            quota=Quota(clock, executor), reserve_octets=RESERVE_OCTETS, tmp_dir=str(root / "mail/.incoming"),
        )  # fmt: skip
        return commit, spool

    def run(self, root: Path, say: Say) -> None:
        raise NotImplementedError

    def recover(self, root: Path) -> None:
        with ThreadPoolExecutor(1) as executor:
            commit, spool = self.store(root, executor)
            commit.resume()
            spool.sweep(older_s=-1.0)

    def check(self, root: Path, said: list[str]) -> list[str]:
        raise NotImplementedError

    def found(self, root: Path, number: int) -> Counter[str]:
        """The subjects of a box's letters; raises AssertionError where one is half there."""
        letters: Counter[str] = Counter()
        for path in self.mailbox(root, number).rglob("*"):
            if path.parent.name in ("new", "cur") and path.is_file():
                octets = path.read_bytes()
                assert octets.endswith(END), f"half a letter: {path.name}, {len(octets)} octets"
                assert f",S={len(octets)}" in path.name, f"a name that lies: {path.name}, {len(octets)} octets"
                letters[subject(path)] += 1
        return letters

    def wrong(self, root: Path, number: int) -> list[str]:
        """What `bdmta verify-store` says. A letter that comes back with a new UID (its removal was not synced) is no harm."""
        found = [p for p in verify_mailbox(str(self.mailbox(root, number))) if p.kind not in ("leftover", "quota")]
        return [p.text for p in found if not p.text.endswith("the letter has a UID already")]


class Deliver(Operation):
    """A letter to three boxes and to outside, as at the end of DATA."""

    name = "delivery"
    boxes_count = 3
    octets = 3000

    def run(self, root: Path, say: Say) -> None:
        with ThreadPoolExecutor(1) as executor:
            commit, _ = self.store(root, executor)
            letter = letter_of("one", self.octets)
            entries = [QueueEntry(id="e1", sender="", recipients=(QueueRecipient("a@b.vn"),), letter=letter)]
            targets = tuple(Target(str(self.mailbox(root, n))) for n in range(self.boxes_count))
            commit.store_sync([Delivery(letter, targets)], entries)
            say("250")

    def check(self, root: Path, said: list[str]) -> list[str]:
        complaints = []
        for number in range(self.boxes_count):
            count = self.found(root, number)["one"]
            if count > 1 or (said and count == 0):
                complaints.append(f"box {number} has it {count} times")
            complaints += self.wrong(root, number)
        spool = Spool(str(root / "queue"), SystemClock())
        if said and spool.list() != ["e1"]:
            complaints.append("the letter to outside is lost")
        for entry_id in spool.list():
            octets = b"".join(bytes(block) for block in spool.open_letter(entry_id).blocks())
            if not octets.endswith(END):
                complaints.append("half a letter to outside")
        return complaints


class DeliverLarge(Deliver):
    """A letter of 300 KB to one box."""

    name = "delivery of 300 KB"
    boxes_count = 1
    octets = 300_000


class DeliverGroup(Operation):
    """A letter to a group of 104: acknowledged by its entry, then expanded."""

    name = "delivery to a group"
    boxes_count = 104
    every = 61  # they are alike, and each is dear

    def run(self, root: Path, say: Say) -> None:
        with ThreadPoolExecutor(1) as executor:
            commit, _ = self.store(root, executor)
            targets = tuple(Target(str(self.mailbox(root, n))) for n in range(self.boxes_count))
            _, large = commit._store([Delivery(letter_of("one"), targets)], [])
            say("250")
            for lock, entry in large:
                commit._expand(lock, entry, is_resumed=False)
            say("expanded")

    def check(self, root: Path, said: list[str]) -> list[str]:
        counts = {number: self.found(root, number)["one"] for number in range(self.boxes_count)}
        wrong = sorted(number for number, count in counts.items() if count > 1 or (said and count == 0))
        return [f"boxes {wrong[:5]} have it {[counts[n] for n in wrong[:5]]} times"] if wrong else []


class InBox(Operation):
    """Sessions of a box: INBOX holds `old 1` and `old 2`."""

    def prepare(self, root: Path) -> None:
        super().prepare(root)
        world = self.world(root)
        mailbox = world.mailbox()
        for number in (1, 2):
            mailbox.append("INBOX", letter_of(f"old {number}"))
        world.close()
        os.sync()

    @staticmethod
    def letter(text: str) -> Letter:
        return letter_of(text)

    def world(self, root: Path) -> Any:
        world = World.__new__(World)
        world.path, world.index, world.processes = str(self.mailbox(root, 0)), str(root / "index/box.db"), []
        return world

    def look(self, root: Path) -> dict[str, dict[int, str]]:
        """Folder by folder the letters by UID, as a session after the restart sees them."""
        world = self.world(root)
        try:
            mailbox = world.mailbox()
            seen = {}
            for folder in ("INBOX", "Sent", "Archive"):
                view = mailbox.open_view(folder)
                octets = view.box.octets_of(view.columns.uid)
                seen[folder] = {
                    uid: bytes(found or b"").partition(b"\r\n")[0].decode().removeprefix("Subject: ")
                    for uid, found in zip(view.columns.uid, octets, strict=True)
                }
                view.close()
            return seen
        finally:
            world.close()

    def check(self, root: Path, said: list[str]) -> list[str]:
        counts = self.found(root, 0)
        complaints = [f"{text} is there {counts[text]} times" for text in counts if counts[text] > 1]
        seen = self.look(root)
        if sum(map(len, seen.values())) != sum(counts.values()):
            complaints.append(f"a session sees {sum(map(len, seen.values()))} of {sum(counts.values())} letters")
        return complaints + self.lost(counts, seen, said) + self.wrong(root, 0)

    def lost(self, counts: Counter[str], seen: dict[str, dict[int, str]], said: list[str]) -> list[str]:
        raise NotImplementedError


class Append(InBox):
    """IMAP APPEND to Sent."""

    name = "APPEND"

    def run(self, root: Path, say: Say) -> None:
        world = self.world(root)
        mailbox = world.mailbox()
        placed = mailbox.append("Sent", letter_of("new"))
        say(str(placed.uids[0]))
        world.close()

    def lost(self, counts: Counter[str], seen: dict[str, dict[int, str]], said: list[str]) -> list[str]:
        complaints = [f"old {n} is lost" for n in (1, 2) if not counts[f"old {n}"]]
        if said and seen["Sent"].get(int(said[0])) != "new":
            complaints.append("the letter is lost, or its UID is another's")
        return complaints


class Move(InBox):
    """IMAP MOVE of both letters to Archive."""

    name = "MOVE"

    def run(self, root: Path, say: Say) -> None:
        world = self.world(root)
        view = world.mailbox().open_view("INBOX")
        placed = view.move([0, 1], "Archive")
        say(" ".join(map(str, placed.uids)))
        world.close()

    def lost(self, counts: Counter[str], seen: dict[str, dict[int, str]], said: list[str]) -> list[str]:
        complaints = [f"old {n} is lost" for n in (1, 2) if not counts[f"old {n}"]]
        if said and sorted(seen["Archive"].get(int(uid), "") for uid in said[0].split()) != ["old 1", "old 2"]:
            complaints.append(f"Archive has not what it was told to have: {seen}")
        return complaints


class Expunge(InBox):
    """IMAP STORE \\Deleted and EXPUNGE of the first letter."""

    name = "EXPUNGE"

    def run(self, root: Path, say: Say) -> None:
        world = self.world(root)
        view = world.mailbox().open_view("INBOX")
        view.remove([0])
        say("gone")
        world.close()

    def lost(self, counts: Counter[str], seen: dict[str, dict[int, str]], said: list[str]) -> list[str]:
        return [] if counts["old 2"] else ["old 2 is lost"]


class Queue(Operation):
    """The queue's life of a letter: entered, tried in vain, sent."""

    name = "queue hand-over"

    def run(self, root: Path, say: Say) -> None:
        spool = Spool(str(root / "queue"), SystemClock())
        entry = QueueEntry(id="e1", sender="", recipients=(QueueRecipient("a@b.vn"),), letter=letter_of("one"))
        spool.put_sync(entry)
        say("queued")
        with spool.lock("e1") as lock:
            spool.update(replace(spool.load("e1"), attempt=1), lock)
            say("tried")
        with spool.lock("e1"):
            spool.remove("e1")
            say("sent")

    def check(self, root: Path, said: list[str]) -> list[str]:
        spool = Spool(str(root / "queue"), SystemClock())
        ids = spool.list()
        if not ids:
            # Taken out before anybody was told that it is: the remote has it, so it may be gone.
            return ["the entry is lost"] if said == ["queued"] else []
        complaints = []
        entry = spool.load("e1")
        octets = b"".join(bytes(block) for block in spool.open_letter("e1").blocks())
        if not octets.endswith(END):
            complaints.append("half a letter")
        if "tried" in said and entry.attempt != 1:
            complaints.append("the attempt was forgotten")
        if "sent" in said:
            complaints.append("a letter that was sent is in the queue again")
        return complaints


class Unsynced(Operation):
    """A store that acknowledges before anything is synced: what a fault in ours would look like."""

    name = "a store that does not sync"

    def run(self, root: Path, say: Say) -> None:
        letter = letter_of("one")
        path = self.mailbox(root, 0) / "new" / f"1.M1P1.mx,S={letter.size_octets},W={letter.size_octets}"
        (self.mailbox(root, 0) / "tmp" / "one").write_bytes(b"".join(bytes(block) for block in letter.blocks()))
        os.rename(self.mailbox(root, 0) / "tmp" / "one", path)
        say("250")

    def check(self, root: Path, said: list[str]) -> list[str]:
        return ["lost"] if said and not self.found(root, 0)["one"] else []


OPERATIONS: tuple[Operation, ...] = (
    Deliver(), DeliverLarge(), DeliverGroup(), Append(), Move(), Expunge(), Queue(),
)  # fmt: skip
PLANTED = (Unsynced(),)
EXPECTED_ERRORS = (StoreError, OSError)
