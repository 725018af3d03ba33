"""The commit's second form under faults: a delivery by the journal, and what sessions do to letters that are young.

A restart replays as after a reboot, whatever ended the process: that is the harder case.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from storage.clock import SystemClock
from storage.errors import StoreError
from storage.journal import Journal, Placement
from storage.journal_replay import replay_all
from storage.journal_spool import settle_removed, tag_of_entry
from storage.letter import Letter
from storage.settling import Settling
from storage.spool import Spool
from storage.spool_entry import QueueEntry, QueueRecipient, Target
from tests.faults.operations import InBox, Operation, Queue, Say, letter_of


def journal_of(root: Path, spool: Spool | None = None) -> Journal:
    return Journal(
        str(root / "journal"), "0", mail_root=str(root / "mail"), tmp_dir=str(root / "mail/.incoming"), host="mx",
        clock=SystemClock(), boot="one", segment_min_octets=32 << 10, segment_max_octets=32 << 10, spool=spool,
    )  # fmt: skip


def deliver(operation: Operation, root: Path, journal: Journal, *letters: Letter) -> None:
    targets = tuple(Target(str(operation.mailbox(root, number))) for number in range(operation.boxes_count))
    placements = [Placement(letter, targets) for letter in letters]
    journal.write(placements)
    for placement in placements:
        if placement.error is not None:
            raise placement.error
        if not placement.name:
            raise StoreError("given back for the first form")


def replayed(root: Path) -> None:
    replay_all(str(root / "journal"), str(root / "mail"), str(root / "mail/.incoming"), "two")


class JournalDelivery(Operation):
    """Two letters to three boxes by one record each and one sync, a checkpoint, a third letter."""

    name = "delivery by the journal"
    boxes_count = 3

    def prepare(self, root: Path) -> None:
        super().prepare(root)
        (root / "journal").mkdir(exist_ok=True)

    def run(self, root: Path, say: Say) -> None:
        journal = journal_of(root)
        deliver(self, root, journal, letter_of("one"), letter_of("two", 300))
        say("one")
        say("two")
        journal.checkpoint()
        deliver(self, root, journal, letter_of("three", 5000))
        say("three")

    def recover(self, root: Path) -> None:
        replayed(root)

    def check(self, root: Path, said: list[str]) -> list[str]:
        complaints = []
        for number in range(self.boxes_count):
            counts = self.found(root, number)
            complaints += [f"box {number} has {text} {n} times" for text, n in counts.items() if n > 1]
            complaints += [f"box {number} has lost {text}" for text in said if not counts[text]]
            complaints += self.wrong(root, number)
        return complaints


class Young(InBox):
    """A session at work on letters whose records still count."""

    def prepare(self, root: Path) -> None:
        Operation.prepare(self, root)
        (root / "journal").mkdir(exist_ok=True)

    def run(self, root: Path, say: Say) -> None:
        journal = journal_of(root)
        deliver(self, root, journal, letter_of("old 1"), letter_of("old 2"))
        say("delivered")
        world = self.world(root)
        boxes = world.process()
        boxes._settling = Settling(str(root / "journal"), str(root / "mail"))
        view = boxes.mailbox(world.path, world.index).open_view("INBOX")
        self.work(view)
        say("done")
        world.close()

    def work(self, view: Any) -> None:
        raise NotImplementedError

    def recover(self, root: Path) -> None:
        replayed(root)

    def lost(self, counts: Counter[str], seen: dict[str, dict[int, str]], said: list[str]) -> list[str]:
        return [f"old {n} is lost" for n in (1, 2) if "delivered" in said and not counts[f"old {n}"]]


class YoungMove(Young):
    """IMAP MOVE of both."""

    name = "MOVE of young letters"

    def work(self, view: Any) -> None:
        view.move([0, 1], "Archive")

    def lost(self, counts: Counter[str], seen: dict[str, dict[int, str]], said: list[str]) -> list[str]:
        complaints = super().lost(counts, seen, said)
        if "done" in said and sorted(seen["Archive"].values()) != ["old 1", "old 2"]:
            complaints.append(f"Archive has not what it was told to have: {seen}")
        return complaints


class YoungExpunge(Young):
    """IMAP EXPUNGE of the first: the second stays, whatever happens."""

    name = "EXPUNGE of a young letter"

    def work(self, view: Any) -> None:
        view.remove([0])

    def lost(self, counts: Counter[str], seen: dict[str, dict[int, str]], said: list[str]) -> list[str]:
        return ["old 2 is lost"] if "delivered" in said and not counts["old 2"] else []


class JournalAppend(InBox):
    """IMAP APPEND to Sent by the journal, twice: the first letter makes the folder's list of UIDs by itself."""

    name = "APPEND by the journal"

    def prepare(self, root: Path) -> None:
        super().prepare(root)
        (root / "journal").mkdir(exist_ok=True)

    def run(self, root: Path, say: Say) -> None:
        journal = journal_of(root)

        def place_now(placement: Placement) -> bool:
            journal.write([placement])
            if placement.error is not None:
                raise placement.error
            return bool(placement.name)

        world = self.world(root)
        boxes = world.process()
        boxes._journal = place_now
        mailbox = boxes.mailbox(world.path, world.index)
        for text in ("new 1", "new 2", "new 3"):
            placed = mailbox.append("Sent", letter_of(text))
            say(f"{placed.uids[0]}={text}")
        world.close()

    def recover(self, root: Path) -> None:
        replayed(root)

    def lost(self, counts: Counter[str], seen: dict[str, dict[int, str]], said: list[str]) -> list[str]:
        complaints = [f"old {n} is lost" for n in (1, 2) if not counts[f"old {n}"]]
        for uid, _, text in (told.partition("=") for told in said):
            if seen["Sent"].get(int(uid)) != text:
                complaints.append(f"{text} is lost, or its UID is another's")
        return complaints


class JournalQueue(Queue):
    """A letter for outside in one file with its envelope: entered, tried in vain, sent and settled."""

    name = "queue hand-over by the journal"

    def prepare(self, root: Path) -> None:
        super().prepare(root)
        (root / "journal").mkdir(exist_ok=True)

    def run(self, root: Path, say: Say) -> None:
        spool = Spool(str(root / "queue"), SystemClock())
        journal = journal_of(root, spool)
        letter = letter_of("one")
        entry = QueueEntry(id="e1", sender="", recipients=(QueueRecipient("a@b.vn"),), letter=letter)
        placement = Placement(letter, (), entry)
        journal.write([placement])
        if placement.error is not None:
            raise placement.error
        if spool.list() != ["e1"]:
            raise StoreError("given back for the first form")
        say("queued")
        with spool.lock("e1") as lock:
            entry, _ = spool.open_locked(lock)
            spool.update(replace(entry, attempt=1), lock)
            say("tried")
        with spool.lock("e1"):
            say("sending")
            spool.discard("e1")
            settle_removed(spool, str(root / "journal"), [(tag_of_entry(entry), "e1")])
            say("sent")

    def recover(self, root: Path) -> None:
        spool = Spool(str(root / "queue"), SystemClock())
        replay_all(str(root / "journal"), str(root / "mail"), str(root / "mail/.incoming"), "two", spool)
        spool.sweep(older_s=-1.0)

    def check(self, root: Path, said: list[str]) -> list[str]:
        """Until its removal is settled an entry comes back as it came, without its attempts (decision 0029)."""
        if "sending" in said and "sent" not in said:
            said = ["queued", "sending"]
        return super().check(root, said)


JOURNALLED: tuple[Operation, ...] = (JournalQueue(), JournalDelivery(), JournalAppend(), YoungMove(), YoungExpunge())
