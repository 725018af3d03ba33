"""Backups in a restic repository: encrypted, anywhere restic can write (a folder, SFTP, S3).

A backup is staged as in a folder repository, its objects hard links to the letters themselves, on the mailboxes' file
system; restic then reads the stage. Restoring, it gives the stage's files back, and the rest is as with a folder.
The stage keeps the newest backup only: what has not changed since is neither read nor sent again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields

from storage.backup.check import contents_of, damaged_of, mailbox_of
from storage.backup.manifest import Manifest, parse
from storage.backup.objects import Objects
from storage.backup.repository import FolderRepository, Taken, Verified
from storage.backup.site_read import Source
from storage.backup.take import Progress, take
from storage.clock import Clock
from storage.errors import NotFound, StoreError

_TAG = "bdmta"
_INCLUDES_MAX = 500
_TIMEOUT_S = 6 * 3600
_PROBLEMS_MAX = 1000
_ERRORS = re.compile(r"There were \d+ errors")
"""Some files could not be restored, the others were: whoever reads them finds out which."""


class ResticRepository:
    """The restic repository `place`, with its stage in folder `stage`. Needs the program restic (Debian: restic)."""

    def __init__(
        self, place: str, *, password_file: str, stage: str, environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (), reserve_octets: int = 0, program: str = "restic",
    ) -> None:  # fmt: skip
        self.place = place
        self._password_file = password_file
        self._environment = dict(environment or {})
        self._options = [word for option in options for word in ("--option", option)]
        self._program = program
        self._stage = FolderRepository(stage, link=True, reserve_octets=reserve_octets)
        self._snapshots: dict[str, str] = {}
        self._roots: dict[str, str] = {}  # where the stage was when the backup was taken: another machine's, perhaps

    # -- reading

    def taken(self) -> list[Taken]:
        """Every backup, oldest first. Raises StoreError."""
        found: list[Taken] = []
        self._snapshots = {}
        if not self._exists():
            return found
        known = {one.name for one in fields(Taken)}
        for row in json.loads(self._run("snapshots", "--json", "--tag", _TAG) or b"[]") or ():
            about = next((tag for tag in row.get("tags") or () if tag.startswith("id=")), "")
            if not about:
                continue
            backup_id = about.removeprefix("id=")
            self._snapshots[backup_id] = row["id"]
            self._roots[backup_id] = os.path.dirname(next(path for path in row["paths"] if path.endswith("/objects")))
            record = self._cached(backup_id, f"backups/{backup_id}/backup.json")
            values = json.loads(record)
            found.append(Taken(**{key: value for key, value in values.items() if key in known}))
        return sorted(found, key=lambda one: one.id)

    def _exists(self) -> bool:
        """Whether the repository has been made. Raises StoreError when that cannot be told."""
        done = self._call("cat", "config")
        if done.returncode == 0:
            return True
        said = done.stderr.decode("utf-8", "replace")
        if "does not exist" in said or "Is there a repository" in said or "no such file" in said.lower():
            return False
        raise StoreError(f"restic: {_last_line(said)}")

    def verified(self, backup_id: str) -> Verified | None:
        """When it was verified last; None: never. Kept beside the stage."""
        return self._stage.verified(backup_id)

    def manifest(self, backup: Taken, file: str) -> Manifest:
        """One of the backup's manifests. Raises NotFound, Corrupt."""
        return parse(self.manifest_octets(backup, file), f"{self.place}: {backup.id}/{file}")

    def manifest_octets(self, backup: Taken, file: str) -> bytes:
        """The same before it is parsed. Raises NotFound, StoreError."""
        if file not in backup.manifests:
            raise NotFound(f"backup {backup.id} holds no {file}")
        return self._cached(backup.id, f"backups/{backup.id}/{file}")

    def _cached(self, backup_id: str, path: str) -> bytes:
        """A small file of a backup, from the stage while it is the newest, else fetched once and kept."""
        for kept in (f"{self._stage.place}/{path}", f"{self._stage.place}/fetched/{path}"):
            try:
                with open(kept, "rb") as file:
                    return file.read()
            except FileNotFoundError:
                continue
        folder = f"{self._stage.place}/fetched/backups/{backup_id}"
        with tempfile.TemporaryDirectory(prefix="fetch.", dir=self._made(f"{self._stage.place}/fetched")) as aside:
            self._restore(backup_id, aside, [f"backups/{backup_id}"])
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
            os.rename(f"{aside}{self._roots[backup_id]}/backups/{backup_id}", folder)
        with open(f"{self._stage.place}/fetched/{path}", "rb") as file:
            return file.read()

    @contextmanager
    def reading(self, backup: Taken, wanted: Iterable[str]) -> Iterator[Objects]:
        """Fetch the `wanted` objects into a scratch folder beside the stage; read them there."""
        self._need_snapshots()
        with tempfile.TemporaryDirectory(prefix="reading.", dir=self._made(self._stage.place)) as aside:
            names = sorted(set(wanted))
            if len(names) > _INCLUDES_MAX * 20:
                self._restore(backup.id, aside, ["objects"])
            else:
                for at in range(0, len(names), _INCLUDES_MAX):
                    block = names[at : at + _INCLUDES_MAX]
                    self._restore(backup.id, aside, [f"objects/{name[:2]}/{name}" for name in block])
            yield Objects(f"{aside}{self._roots[backup.id]}")

    # -- writing

    def take(
        self, source: Source, clock: Clock, *, workers: int, version: str, progress: Progress
    ) -> Taken:  # fmt: skip
        """Stage a backup and have restic keep it. Raises Locked, NoSpace, StoreError."""
        if not self._exists():
            self._run("init")
        taken = take(self._stage, source, clock, workers=workers, version=version, progress=progress)
        try:
            # The links that staging makes change an inode's ctime, not its octets.
            self._run(
                "backup", "--quiet", "--ignore-ctime", "--tag", f"{_TAG},id={taken.id}",
                f"{self._stage.place}/objects", f"{self._stage.place}/backups/{taken.id}",
            )  # fmt: skip
        except StoreError:
            self._stage.remove(taken.id)
            raise
        for before in self._stage.taken()[:-1]:
            self._stage.remove(before.id)
        with self._stage.running():
            self._stage.sweep()
        return taken

    def remove(self, backup_id: str) -> None:
        """Take a backup out; its room comes back with `tidy`. Raises StoreError."""
        self._need_snapshots()
        self._run("forget", self._snapshots[backup_id])

    def tidy(self) -> None:
        """Give back the room of removed backups. Raises StoreError."""
        self._run("prune", "--quiet")

    def verify(
        self, backups: Sequence[Taken], clock: Clock, *, workers: int,
        progress: Callable[[int, int], None],
    ) -> dict[str, Verified]:  # fmt: skip
        """Have restic read all of its data; if anything is wrong, find out which letters, by restoring each backup.

        Raises StoreError.
        """
        checked = self._call("check", "--read-data")
        is_good = checked.returncode == 0
        found: dict[str, Verified] = {}
        for number, backup in enumerate(backups, 1):
            problems = [] if is_good else self._damaged(backup)
            if not is_good and not problems:
                problems = [f"restic: {_last_line(checked.stderr.decode('utf-8', 'replace'))}"]
            found[backup.id] = Verified(clock.time(), problems[:_PROBLEMS_MAX])
            self._stage.create()
            self._stage.note_verified(backup.id, found[backup.id])
            progress(number, len(backups))
        return found

    def _damaged(self, backup: Taken) -> list[str]:
        """Restore everything of a backup to a scratch folder, and name what is not as it was."""
        contents = contents_of(self, [backup])
        with tempfile.TemporaryDirectory(prefix="verify.", dir=self._made(self._stage.place)) as aside:
            self._call("restore", self._snapshots[backup.id], "--target", aside)
            top = f"{aside}{self._roots[backup.id]}"
            damaged = damaged_of(top, sorted(contents.places))
            lists = [file for file, sha256 in sorted(backup.manifests.items())
                     if _sha256(f"{top}/backups/{backup.id}/{file}") != sha256]  # fmt: skip
        problems = contents.problems[backup.id] + [place for one in damaged for place in contents.places[one]]
        return problems + [f"{mailbox_of(file) or 'the site'}: its list of letters and files differs" for file in lists]

    # -- the program

    def _need_snapshots(self) -> None:
        if not self._snapshots:
            self.taken()

    def _restore(self, backup_id: str, target: str, paths: Sequence[str]) -> None:
        self._need_snapshots()
        snapshot = self._snapshots.get(backup_id)
        if snapshot is None:
            raise NotFound(f"{backup_id}: no such backup in {self.place}")
        includes = [word for path in paths for word in ("--include", f"{self._roots[backup_id]}/{path}")]
        done = self._call("restore", snapshot, "--target", target, *includes)
        said = _last_line(done.stderr.decode("utf-8", "replace"))
        if done.returncode and not _ERRORS.search(said):
            raise StoreError(f"restic restore: {said}")

    def _made(self, folder: str) -> str:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return folder

    def _run(self, *words: str) -> bytes:
        done = self._call(*words)
        if done.returncode:
            raise StoreError(f"restic {words[0]}: {_last_line(done.stderr.decode('utf-8', 'replace'))}")
        return done.stdout

    def _call(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": os.environ.get("HOME", "/nonexistent"),
            **self._environment,
        }  # fmt: skip
        command = [
            self._program, "--repo", self.place, "--password-file", self._password_file,
            "--cache-dir", f"{self._stage.place}/restic-cache", *self._options, *words,
        ]  # fmt: skip
        try:
            return subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=_TIMEOUT_S, check=False
            )
        except FileNotFoundError:
            raise StoreError(f"{self._program} is not installed (Debian: apt install restic)") from None
        except subprocess.TimeoutExpired:
            raise StoreError(f"restic {words[0]}: no end after {_TIMEOUT_S} s") from None


def _sha256(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next(
        (line for line in reversed(lines) if "atal" in line), lines[-1] if lines else "it failed, and said nothing"
    )


def read_environment(path: str) -> dict[str, str]:
    """NAME=value lines of a file; empty ones and those that begin with # are passed over. Raises OSError."""
    values: dict[str, str] = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, sign, value = line.strip().partition("=")
            if sign and not name.startswith("#"):
                values[name.strip()] = value.strip()
    return values
