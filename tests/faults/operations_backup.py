"""Backups and restores under faults: earlier backups stay whole, and a restore that broke off is done again."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

from storage.backup.check import verify
from storage.backup.merge import merge
from storage.backup.place import Placer
from storage.backup.repository import FolderRepository
from storage.backup.site_read import Source
from storage.backup.take import newest, take
from storage.clock import SystemClock
from storage.maildir import create_mailbox
from tests.faults.operations import InBox, Say

FILE = "mail/dian.vn/u0.jsonl"


class BackedUp(InBox):
    """INBOX holds `old 1` and `old 2`, and a backup has them."""

    def prepare(self, root: Path) -> None:
        super().prepare(root)
        self.repository(root).create()
        take(self.repository(root), self.source(root), SystemClock(), workers=1)

    def repository(self, root: Path) -> FolderRepository:
        return FolderRepository(str(root / "repository"))

    def source(self, root: Path) -> Source:
        return Source(
            mail_root=str(root / "mail"), trees={}, spools={"queue": str(root / "queue")}, databases=(),
            keys=frozenset(), keys_mode="out", keys_dir="",
        )  # fmt: skip

    def broken(self, root: Path) -> list[str]:
        repository = self.repository(root)
        found = verify(repository, repository.taken(), SystemClock(), workers=1)
        return [problem for one in found.values() for problem in one.problems]


class Backup(BackedUp):
    """A second backup, after a letter more."""

    name = "backup"

    def prepare(self, root: Path) -> None:
        super().prepare(root)
        world = self.world(root)
        world.mailbox().append("Sent", self.letter("new"))
        world.close()

    def run(self, root: Path, say: Say) -> None:
        taken = take(self.repository(root), self.source(root), SystemClock(), workers=1)
        say(json.dumps([taken.id, taken.letters, taken.problems]))

    def check(self, root: Path, said: list[str]) -> list[str]:
        ids = {one.id: one for one in self.repository(root).taken()}
        complaints = self.broken(root)
        if not ids:
            complaints.append("the earlier backup is lost")
        for line in said:
            taken_id, letters, problems = json.loads(line)
            if taken_id not in ids:
                complaints.append("the backup that was reported is not there")
            if letters != 3 and not problems:
                complaints.append(f"a backup of {letters} letters of 3, and no word of it")
        again = take(self.repository(root), self.source(root), SystemClock(), workers=1)
        if again.letters != 3 or again.problems:
            complaints.append(f"the next backup has {again.letters} letters, {again.problems}")
        return complaints + self.broken(root)


class Restore(BackedUp):
    """Both letters come back into a folder of their own; when that broke off, it is asked for again."""

    name = "restore into a folder"

    def restore(self, root: Path) -> list[str]:
        repository = self.repository(root)
        backup = newest(repository)
        assert backup is not None
        (inbox,) = [one for one in repository.manifest(backup, FILE).folders if one.name == "INBOX"]
        world = self.world(root)
        with repository.reading(backup, [letter.sha256 for letter in inbox.letters]) as objects:
            placer = Placer(objects)
            merge(world.mailbox(), "Restored", inbox, inbox.letters, placer)
        world.close()
        return placer.problems

    def run(self, root: Path, say: Say) -> None:
        if not self.restore(root):
            say("restored")

    def check(self, root: Path, said: list[str]) -> list[str]:
        def there() -> Counter[str]:
            return self.found(root, 0)

        expected = Counter({"old 1": 2, "old 2": 2})
        complaints = [f"told that they are restored, and there are {there()}"] if said and there() != expected else []
        if there() - expected:
            complaints.append(f"letters are there more often than they should: {there()}")
        if problems := self.restore(root):
            complaints.append(f"asked again: {problems}")
        if there() != expected:
            complaints.append(f"asked again, and there are {there()}")
        return complaints + self.wrong(root, 0) + self.broken(root)


class RestoreMailbox(BackedUp):
    """The mailbox is gone, and comes back as it was."""

    name = "restore of a mailbox"

    def prepare(self, root: Path) -> None:
        super().prepare(root)
        shutil.rmtree(self.mailbox(root, 0))

    def restore(self, root: Path) -> list[str]:
        repository = self.repository(root)
        backup = newest(repository)
        assert backup is not None
        manifest = repository.manifest(backup, FILE)
        shutil.rmtree(root / "mail/.restoring", ignore_errors=True)
        with repository.reading(backup, list(manifest.objects())) as objects:
            placer = Placer(objects)
            whole = placer.mailbox(manifest, str(self.mailbox(root, 0)), str(root / "mail/.restoring"))
            for folder in manifest.folders:  # one that was cut off in the middle is not void: letter by letter, then
                if folder.letters and folder.name not in whole:
                    create_mailbox(str(self.mailbox(root, 0)))
                    world = self.world(root)
                    merge(world.mailbox(), folder.name, folder, folder.letters, placer)
                    world.close()
        return placer.problems

    def run(self, root: Path, say: Say) -> None:
        if not self.restore(root):
            say("restored")

    def check(self, root: Path, said: list[str]) -> list[str]:
        expected = Counter({"old 1": 1, "old 2": 1})
        complaints = []
        if said:
            if self.found(root, 0) != expected:
                complaints.append(f"told that it is restored, and there are {self.found(root, 0)}")
            elif (uids := self.look(root)["INBOX"]) != {1: "old 1", 2: "old 2"}:
                complaints.append(f"other UIDs than before: {uids}")
        if problems := self.restore(root):
            complaints.append(f"asked again: {problems}")
        if self.found(root, 0) != expected:
            complaints.append(f"asked again, and there are {self.found(root, 0)}")
        return complaints + self.wrong(root, 0)


OPERATIONS = (Backup(), Restore(), RestoreMailbox())
