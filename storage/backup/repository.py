"""A folder of backups, best on another disk: plain files, readable with ls and cat.

    objects/ab/ab12...            octets by their SHA-256 (a letter is one file)
    backups/<id>/backup.json      what the backup is; there last: a folder without it is of a run that did not end
    backups/<id>/site.jsonl       databases, queue, configuration
    backups/<id>/mail/<domain>/<local part>.jsonl    a mailbox; the same file as in the backup before, if unchanged
    verified/<id>.json            when everything of it was read back, and what was wrong

A crash at any instant leaves earlier backups whole: nothing that they name is ever written to.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Protocol

from storage.backup.manifest import Manifest, parse
from storage.backup.objects import Objects
from storage.errors import Conflict, Corrupt, Locked, NotFound, StoreError
from storage.files import fsync_dir, store_error, sync_file_system, write_durable

LAYOUT = 1
SITE = "site.jsonl"
_README = """Backups of bdmta. backups/<id>/ tells in JSON lines what each holds: for a mailbox, a line a letter.
The octets are in objects/, by their SHA-256: `cat objects/ab/ab12...`. `bdmta backup list|verify|restore` do the rest.
Remove backups with bdmta only: other backups name the same objects.
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup. Times are seconds since 1970. `manifests`: file within the backup to its SHA-256."""

    id: str
    taken_at: float
    ended_at: float
    letters: int
    octets: int
    mailboxes: int
    new_octets: int
    manifests: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    keys: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """When a backup was read back in full, in seconds since 1970, and what was wrong with it."""

    at: float
    problems: list[str] = field(default_factory=list)


class Repository(Protocol):
    """Where backups are. Every method blocks and raises StoreError."""

    place: str

    def taken(self) -> list[Taken]:
        """Every complete backup, oldest first."""

    def verified(self, backup_id: str) -> Verified | None:
        """When it was verified last."""

    def manifest(self, backup: Taken, file: str) -> Manifest:
        """One of its manifests. Raises NotFound, Corrupt."""

    def manifest_octets(self, backup: Taken, file: str) -> bytes:
        """The same, not parsed: for searching."""

    def reading(self, backup: Taken, wanted: Iterable[str]) -> AbstractContextManager[Objects]:
        """A context whose value reads objects (`Objects`): those `wanted`, by SHA-256, can be read in it."""


class FolderRepository:
    """The repository in folder `place`."""

    def __init__(self, place: str, *, link: bool = False, reserve_octets: int = 0) -> None:
        self.place = place
        self.link = link
        self.reserve_octets = reserve_octets
        self.objects = Objects(place, link=link, reserve_octets=reserve_octets)
        self._backups = f"{place}/backups"
        self._running = f"{place}/running"

    # -- reading

    def taken(self) -> list[Taken]:
        """Every complete backup, oldest first. Raises Corrupt for one that cannot be read."""
        try:
            names = sorted(os.listdir(self._backups))
        except FileNotFoundError:
            return []
        self._check_layout()
        return [self._load(name) for name in names if os.path.exists(f"{self._backups}/{name}/backup.json")]

    def _load(self, backup_id: str) -> Taken:
        path = f"{self._backups}/{backup_id}/backup.json"
        known = {one.name for one in fields(Taken)}
        try:
            with open(path, encoding="utf-8") as file:
                return Taken(**{key: value for key, value in json.load(file).items() if key in known})
        except (ValueError, TypeError, AttributeError) as error:
            raise Corrupt(f"{path} is no backup: {error}") from error

    def _check_layout(self) -> None:
        try:
            with open(f"{self.place}/repository.json", encoding="utf-8") as file:
                layout = int(json.load(file)["layout"])
        except FileNotFoundError:
            raise NotFound(f"{self.place} is no repository of backups: repository.json is missing") from None
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(f"{self.place}/repository.json cannot be read: {error}") from error
        if layout > LAYOUT:
            raise StoreError(
                f"{self.place}: written by a newer bdmta (layout {layout}, this one knows {LAYOUT}); install that"
                " version"
            )

    def verified(self, backup_id: str) -> Verified | None:
        """When it was verified last; None: never."""
        try:
            with open(f"{self.place}/verified/{backup_id}.json", encoding="utf-8") as file:
                row = json.load(file)
                return Verified(float(row["at"]), [str(one) for one in row["problems"]])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def manifest(self, backup: Taken, file: str) -> Manifest:
        """One of the backup's manifests. Raises NotFound, Corrupt."""
        return parse(self.manifest_octets(backup, file), f"{self._backups}/{backup.id}/{file}")

    def manifest_octets(self, backup: Taken, file: str) -> bytes:
        """The same before it is parsed, its SHA-256 checked. Raises NotFound, Corrupt."""
        path = f"{self._backups}/{backup.id}/{file}"
        wanted = backup.manifests.get(file)
        if wanted is None:
            raise NotFound(f"backup {backup.id} holds no {file}")
        try:
            with open(path, "rb") as opened:
                octets = opened.read()
        except FileNotFoundError:
            raise NotFound(f"{path} is missing") from None
        except OSError as error:
            raise store_error(error, f"cannot read {path}") from error
        if hashlib.sha256(octets).hexdigest() != wanted:
            raise Corrupt(f"{path} is not what was written: its SHA-256 differs")
        return octets

    @contextmanager
    def reading(self, backup: Taken, wanted: Iterable[str]) -> Iterator[Objects]:
        """Read objects while nothing is swept away."""
        with self._lock("objects.lock", fcntl.LOCK_SH, wait=True):
            yield self.objects

    # -- taking a backup

    def create(self) -> None:
        """Make the repository's folders, unless they are there. Raises StoreError."""
        try:
            for name in ("", "/backups", "/verified"):
                os.makedirs(f"{self.place}{name}", mode=0o700, exist_ok=True)
            if os.path.exists(f"{self.place}/repository.json"):
                self._check_layout()
                return
            if os.listdir(self._backups):
                raise Conflict(f"{self.place}/backups is not empty, and no repository of backups")
            self.objects.create()
            with open(f"{self.place}/README", "w", encoding="utf-8") as file:
                file.write(_README)
        except OSError as error:
            raise store_error(error, f"cannot make the repository {self.place}") from error
        write_durable(f"{self.place}/repository.json", json.dumps({"layout": LAYOUT}).encode() + b"\n")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold the repository for one run: never two at once. Raises Locked.

        What a run that fell has left is swept first, but for objects that are whole: this run will need them.
        """
        with self._lock("run.lock", fcntl.LOCK_EX, wait=False):
            if os.path.exists(self._running):
                self.sweep(keeps=self.objects.is_whole)
            write_durable(self._running, b"")
            try:
                yield
            except BaseException:
                self.sweep()  # give the room back; if that fails too, the next run does it
                os.unlink(self._running)
                raise
            os.unlink(self._running)

    def new_id(self, at: float) -> str:
        """An id of no backup: it sorts by time, and tells it (UTC)."""
        stamp = f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}"
        found, number = stamp, 1
        while os.path.exists(f"{self._backups}/{found}"):
            number += 1
            found = f"{stamp}-{number}"
        return found

    def write_manifest(self, backup_id: str, file: str, octets: bytes) -> str:
        """Put a manifest into a backup that is being taken; its SHA-256. Raises StoreError."""
        path = f"{self._backups}/{backup_id}/{file}"
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            with open(path, "wb") as opened:
                opened.write(octets)
        except OSError as error:
            raise store_error(error, f"cannot write {path}") from error
        return hashlib.sha256(octets).hexdigest()

    def reuse_manifest(self, before: Taken, backup_id: str, file: str) -> str:
        """The manifest of an earlier backup, in a new one too; its SHA-256. Raises StoreError."""
        source, path = f"{self._backups}/{before.id}/{file}", f"{self._backups}/{backup_id}/{file}"
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            try:
                os.link(source, path)
            except OSError:
                shutil.copyfile(source, path)  # a file system without links, or too many
        except OSError as error:
            raise store_error(error, f"cannot write {path}") from error
        return before.manifests[file]

    def commit(self, taken: Taken) -> None:
        """The backup exists, and everything it names is on disk, when this returns. Raises StoreError."""
        folder = f"{self._backups}/{taken.id}"
        try:
            fd = os.open(self.place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                sync_file_system(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise store_error(error, f"cannot sync {self.place}") from error
        write_durable(f"{folder}/backup.json", json.dumps(asdict(taken), ensure_ascii=False, indent=1).encode() + b"\n")
        fsync_dir(self._backups)
        for sha256 in set(os.listdir(self.objects.damaged)) - self.objects.damaged_ones():
            os.unlink(f"{self.objects.damaged}/{sha256}")  # it was put anew

    # -- keeping house

    def remove(self, backup_id: str) -> None:
        """Take a backup out. Its objects stay until `sweep`. Raises StoreError."""
        folder = f"{self._backups}/{backup_id}"
        try:
            os.unlink(f"{folder}/backup.json")
            fsync_dir(folder)
            shutil.rmtree(folder)
            if os.path.exists(f"{self.place}/verified/{backup_id}.json"):
                os.unlink(f"{self.place}/verified/{backup_id}.json")
        except OSError as error:
            raise store_error(error, f"cannot remove {folder}") from error

    def tidy(self) -> None:
        """Give back the room of removed backups. Raises Locked, StoreError."""
        with self.running():
            self.sweep()

    def sweep(self, keeps: Callable[[str], bool] = lambda sha256: False) -> int:
        """Remove what no backup names: of removed ones, and of runs that fell. The run's lock is held.

        Raises StoreError, and removes nothing when a manifest cannot be read: its objects would be unknown.
        """
        taken = self.taken()
        complete = {one.id for one in taken}
        with self._lock("objects.lock", fcntl.LOCK_EX, wait=True):
            try:
                for name in os.listdir(self._backups):
                    if name not in complete:
                        shutil.rmtree(f"{self._backups}/{name}")
                return self.objects.sweep(self._named(taken), keeps)
            except OSError as error:
                raise store_error(error, f"cannot tidy {self.place}") from error

    def _named(self, taken: list[Taken]) -> set[str]:
        named: set[str] = set()
        seen: set[str] = set()
        for backup in taken:
            for file, sha256 in backup.manifests.items():
                if sha256 not in seen:
                    seen.add(sha256)
                    named.update(self.manifest(backup, file).objects())
        return named

    def note_verified(self, backup_id: str, verified: Verified) -> None:
        """Keep when it was verified, and what was wrong."""
        row = json.dumps(asdict(verified), ensure_ascii=False, indent=1)
        write_durable(f"{self.place}/verified/{backup_id}.json", row.encode() + b"\n")

    @contextmanager
    def _lock(self, name: str, how: int, *, wait: bool) -> Iterator[None]:
        path = f"{self.place}/{name}"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise store_error(error, f"cannot open {path}") from error
        try:
            fcntl.flock(fd, how if wait else how | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Locked(f"{self.place}: a backup is being taken there; wait for it to end") from None
        finally:
            os.close(fd)
