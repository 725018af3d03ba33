"""Reading what a site has beside its mailboxes: databases, queues, facts, configuration, keys."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat as stat_module
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Literal

from storage.backup.mailbox_read import keep_file
from storage.backup.manifest import FileRow, Manifest
from storage.backup.objects import Objects
from storage.backup.sealed import seal
from storage.errors import StoreError
from storage.files import write_all
from storage.ledger import fact_row
from storage.spool_file import has_letter_below

KeysMode = Literal["apart", "encrypted", "out"]
_PASSED_OVER = re.compile(r".*\.lock|.*\.sock|.*\.pid|.*\.tmp|.*-(wal|shm|journal)|\.unnamed\..*|\..*\.tmp")
_ENTRY = (".msg", ".done", ".env")
_READINGS = 3  # an entry changes its form once


@dataclass(frozen=True)
class Source:
    """Where a site is on disk, by names in the backup. `trees`: folders of files; `files`: single ones; `spools`:
    folders whose entries stay together.

    `databases` (paths) are read by SQLite's own backup. `left_out` (paths) and what lies below is passed over in trees.
    `keys` (paths): `apart` puts them into `keys_dir`, `encrypted` into the backup, by `passphrase`.
    """

    mail_root: str
    trees: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    spools: Mapping[str, str] = field(default_factory=dict)
    databases: tuple[str, ...] = ()
    facts_dir: str = ""
    ledger: str = ""
    left_out: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    keys_mode: KeysMode = "out"
    keys_dir: str = ""
    passphrase: bytes = b""


class SiteReader:
    """Reads a site's other files into `objects`. `problems` has what could not be read."""

    def __init__(self, source: Source, objects: Objects, before: Manifest | None = None) -> None:
        self._source = source
        self._objects = objects
        self._before = {row.path: row for row in before.files} if before else {}
        self.problems: list[str] = []
        self.key_files: dict[str, bytes] = {}

    def read_spools(self) -> list[FileRow]:
        """The queues. Before the mailboxes: what is delivered meanwhile is then in both, and never in neither."""
        rows: list[FileRow] = []
        for name, folder in self._source.spools.items():
            try:
                listed = os.listdir(folder)
            except FileNotFoundError:
                continue
            for stem in sorted(entry[:-4] for entry in listed if entry.endswith(".env") and entry[0] != "."):
                rows += self._entry(f"{folder}/{stem}", f"{name}/{stem}")
        return rows

    def _entry(self, path: str, name: str) -> list[FileRow]:
        """The files of one entry; none when it is gone meanwhile: an entry exists as long as its `.env` does.

        Read again when its letter came to be a file of its own between the two.
        """
        for _ in range(_READINGS):
            rows: dict[str, FileRow] = {}
            for suffix in _ENTRY:
                try:
                    rows[suffix] = self._file(path + suffix, name + suffix)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    self.problems.append(f"{path}{suffix}: {error.strerror or error}")
                    return []
            try:
                if ".env" in rows and (".msg" in rows or has_letter_below(f"{path}.env")):
                    return list(rows.values())
            except FileNotFoundError:
                break
        return []

    def read_rest(self) -> list[FileRow]:
        """Databases with the facts that they lack, then everything else. After the mailboxes."""
        facts = self._facts()
        rows: list[FileRow] = []
        for path in self._source.databases:
            if os.path.exists(path):
                rows.append(self._database(path, facts if path == self._source.ledger else {}))
        rows += facts.values()
        done = {row.path for row in rows}
        for path, name in self._tree_files():
            if name in done:
                continue
            try:
                if path in self._source.keys:
                    rows += self._key(path, name)
                else:
                    rows.append(self._file(path, name))
            except FileNotFoundError:
                continue
            except OSError as error:
                self.problems.append(f"{path}: {error.strerror or error}")
        return rows

    def _file(self, path: str, name: str) -> FileRow:
        """The file, read only when it is not as it was in the backup before."""
        known = self._before.get(name)
        if known is not None and not known.sealed:
            stat = os.stat(path, follow_symlinks=False)
            if (stat.st_mtime_ns, stat.st_size, stat.st_ino) == (known.at_ns, known.octets, known.inode):
                return known
        return keep_file(self._objects, path, name)

    def _key(self, path: str, name: str) -> list[FileRow]:
        with open(path, "rb") as file:
            octets = file.read(1 << 20)
        stat = os.stat(path)
        if self._source.keys_mode == "apart":
            self.key_files[name] = octets
        if self._source.keys_mode != "encrypted":
            return []
        known = self._before.get(name)
        if known and known.sealed and (known.at_ns, known.inode) == (stat.st_mtime_ns, stat.st_ino):
            return [known]
        part = self._objects.put(seal(octets, self._source.passphrase))
        mode = stat_module.S_IMODE(stat.st_mode)
        return [FileRow(name, mode, stat.st_mtime_ns, len(octets), (part,), stat.st_ino, sealed=True)]

    def _tree_files(self) -> Iterator[tuple[str, str]]:
        """Path and name of every file in the trees that matters, and of the single ones."""
        source = self._source
        yield from ((path, name) for name, path in source.files.items())
        for name, top in source.trees.items():
            for folder, folders, files in os.walk(top):
                folders[:] = sorted(one for one in folders if f"{folder}/{one}" not in source.left_out)
                for file in sorted(files):
                    path = f"{folder}/{file}"
                    if path in source.left_out or path in source.databases or _PASSED_OVER.fullmatch(file):
                        continue
                    if os.path.islink(path) or not os.path.isfile(path):
                        continue
                    yield path, f"{name}/{path[len(top) + 1 :]}"

    def _name(self, path: str) -> str:
        for name, top in self._source.trees.items():
            if path.startswith(top + "/"):
                return f"{name}/{path[len(top) + 1 :]}"
        raise StoreError(f"{path} is in none of the site's folders")

    def _database(self, path: str, facts: dict[str, FileRow]) -> FileRow:
        """A copy that is one state of the database, whoever writes it meanwhile; facts it has already go from `facts`.

        Raises StoreError.
        """
        with tempfile.TemporaryDirectory(prefix="bdmta-backup.") as folder:
            copy = f"{folder}/copy"
            try:
                with (
                    closing(sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, timeout=60)) as database,
                    closing(sqlite3.connect(copy)) as target,
                ):
                    database.backup(target, pages=4096, sleep=0.01)
                    target.execute("PRAGMA journal_mode = DELETE")
                    for name, row in list(facts.items()):
                        first = self._objects.read(row.parts[0]) if row.parts else b""
                        if _has_facts(target, name, self._source.facts_dir, first):
                            del facts[name]
            except sqlite3.Error as error:
                raise StoreError(f"{path}: cannot be backed up ({error})") from error
            row = keep_file(self._objects, copy, self._name(path))
            return replace(row, mode=0o600, at_ns=os.stat(path).st_mtime_ns, inode=0)

    def _facts(self) -> dict[str, FileRow]:
        """The fact files, by their names in the folder. Before the ledger: it may import them meanwhile."""
        rows: dict[str, FileRow] = {}
        try:
            names = sorted(os.listdir(self._source.facts_dir)) if self._source.facts_dir else []
        except FileNotFoundError:
            return rows
        for name in names:
            path = f"{self._source.facts_dir}/{name}"
            try:
                rows[name] = self._file(path, self._name(path))
            except FileNotFoundError:
                continue
        return rows


def _has_facts(ledger: sqlite3.Connection, name: str, folder: str, octets: bytes) -> bool:
    """Whether the copied ledger has all of a fact file, of which `octets` were read before it was copied.

    With a mark for the file, the import goes on from the mark. Without, as long as the file is there, nothing of it was
    imported. Once it is gone, the copy has all of it or nothing: its first fact tells.
    """
    if ledger.execute("SELECT 1 FROM files WHERE name = ?", (name,)).fetchone():
        return False
    if os.path.exists(f"{folder}/{name}"):
        return False
    first = next((row for line in octets.split(b"\n") if (row := fact_row(line)) is not None), None)
    if first is None:
        return True  # there is nothing in it to be had
    query = (
        "SELECT 1 FROM facts WHERE at = ? AND event = ? AND reference = ? AND message_id = ? AND sender = ?"
        " AND recipient = ? AND detail = ? LIMIT 1"
    )
    return ledger.execute(query, first).fetchone() is not None


def keep_keys(folder: str, files: dict[str, bytes]) -> None:
    """Write keys into a folder apart (mode 0700), each by its name in the backup; unchanged ones are left alone.

    Raises OSError.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for name, octets in files.items():
        path = f"{folder}/{name}"
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        try:
            with open(path, "rb") as file:
                if file.read() == octets:
                    continue
        except FileNotFoundError:
            pass
        fd = os.open(f"{path}.tmp", os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, [octets])
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(f"{path}.tmp", path)


def describe(source: Source) -> str:
    """What became of the keys, for the backup's record."""
    modes = {"apart": f"apart, in {source.keys_dir}", "encrypted": "encrypted, in the backup", "out": "left out"}
    return json.dumps(modes[source.keys_mode], ensure_ascii=False).strip('"')


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
