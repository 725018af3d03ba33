"""The ledger: every fact of every process, in one database that the office writes (contract 9)."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

from storage.facts import LINE_OCTETS_MAX, SUFFIX
from storage.schema import WriterLock, open_reader, open_writer, transaction
from storage.schema_ledger import LEDGER_LAYOUTS

_BLOCK_OCTETS = 4 * 1024 * 1024  # read, and committed, at once
_PARTY_COUNT_MAX = 200


@dataclass(frozen=True, slots=True)
class Imported:
    """What one import did: facts taken, lines passed over (torn or damaged), files done with."""

    facts: int = 0
    damaged: int = 0
    files: int = 0

    def __add__(self, other: Imported) -> Imported:
        return Imported(self.facts + other.facts, self.damaged + other.damaged, self.files + other.files)


class Ledger:
    """An open ledger."""

    def __init__(self, database: Database, lock: WriterLock | None) -> None:
        self._database = database
        self._lock = lock

    @classmethod
    def open(cls, path: str, *, readonly: bool = False) -> Ledger:
        """Open the ledger at `path`, made when absent; as its one writer unless `readonly`. Raises Locked."""
        if readonly:
            return cls(open_reader(path, len(LEDGER_LAYOUTS)), None)
        lock = WriterLock(path)
        try:
            return cls(open_writer(path, LEDGER_LAYOUTS), lock)
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        """Close the database and give the writer's right back."""
        self._database.close()
        if self._lock is not None:
            self._lock.release()

    def import_files(self, folder: str) -> Imported:
        """Take in what the fact files of `folder` have gained, each fact exactly once; remove the complete ones.

        The offset in a file and its rows are one transaction; a file goes only after its last row is durable.
        """
        total = Imported()
        present = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX)) if os.path.isdir(folder) else []
        for name in present:
            total += self._import_file(os.path.join(folder, name), name)
        marks = {row["name"] for row in self._database.query("SELECT name FROM files")}
        if stale := marks.difference(present):
            with transaction(self._database) as conn:
                conn.executemany("DELETE FROM files WHERE name = ?", [(name,) for name in stale])
        return total

    def _import_file(self, path: str, name: str) -> Imported:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return Imported()
        try:
            is_complete = _is_complete(fd)  # asked before reading: afterwards would miss what came between
            done = Imported()
            while (step := self._import_block(fd, name, is_complete)) is not None:
                done += step
            if is_complete:
                os.unlink(path)
                done += Imported(files=1)
            return done
        finally:
            os.close(fd)

    def _import_block(self, fd: int, name: str, is_complete: bool) -> Imported | None:
        """Take in the next lines of a file; None when there are none."""
        mark = self._database.conn.execute("SELECT offset FROM files WHERE name = ?", (name,)).fetchone()
        offset = int(mark[0]) if mark else 0
        block = os.pread(fd, _BLOCK_OCTETS, offset)
        end = block.rfind(b"\n") + 1
        if not end and len(block) < _BLOCK_OCTETS and not is_complete:
            return None  # a line that is still being written
        if not block:
            return None
        lines = block[:end].split(b"\n") if end else [block]  # no line end at all: torn, and nothing will follow
        taken, damaged = _parse(lines)
        with transaction(self._database) as conn:
            _insert(conn, taken)
            conn.execute("INSERT OR REPLACE INTO files VALUES (?, ?)", (name, offset + (end or len(block))))
        return Imported(len(taken), damaged)

    def trace(self, text: str, *, limit_count: int = 1000) -> list[dict[str, Any]]:
        """The facts about a Message-ID, an address or a reference, oldest first (of too many, the newest).

        With a Message-ID or a reference come all facts of the same reception. Each: at (seconds since 1970), event,
        reference, message_id, sender, recipient, detail.
        """
        ids: list[int] = []
        for form in dict.fromkeys((text, f"<{text.strip('<>')}>")):
            ids += self._ids(
                "SELECT b.id FROM facts a JOIN facts b ON b.reference = a.reference"
                " WHERE a.message_id = ? AND a.message_id <> '' AND b.reference <> ''"
                " UNION SELECT id FROM facts WHERE message_id = ? AND message_id <> ''"
                " ORDER BY 1 DESC LIMIT ?",
                (form, form, limit_count),
            )
        ids += self._ids(
            "SELECT id FROM facts WHERE reference = ? AND reference <> '' ORDER BY id DESC LIMIT ?", (text, limit_count)
        )
        ids += self._ids(
            "SELECT fact FROM parties WHERE address = ? ORDER BY fact DESC LIMIT ?", (address_key(text), limit_count)
        )
        newest = sorted(set(ids), reverse=True)[:limit_count]
        marks = ", ".join(map(str, newest))
        rows = self._database.query(f"SELECT * FROM facts WHERE id IN ({marks}) ORDER BY at, id")  # noqa: S608 - numbers
        return [{**row, "detail": json.loads(row["detail"])} for row in rows]

    def events(self, event: str, since_at: float, until_at: float) -> Iterable[dict[str, Any]]:
        """The facts of one event in a span of time, oldest first."""
        rows = self._database.query(
            "SELECT * FROM facts WHERE at >= ? AND at < ? AND event = ? ORDER BY at, id", (since_at, until_at, event)
        )
        return ({**row, "detail": json.loads(row["detail"])} for row in rows)

    def logins(self, address: str, *, limit_count: int = 20) -> list[dict[str, Any]]:
        """The newest logins to a mailbox, the newest first: at, event, detail (protocol, ip, device, holder)."""
        rows = self._database.query(
            "SELECT f.at, f.event, f.detail FROM parties p JOIN facts f ON f.id = p.fact"
            " WHERE p.address = ? AND f.event IN ('login', 'login-smtp', 'login-web') ORDER BY p.fact DESC LIMIT ?",
            (address_key(address), limit_count),
        )
        return [{**row, "detail": json.loads(row["detail"])} for row in rows]

    def app_uses(self, after: int) -> tuple[int, dict[int, tuple[float, str]]]:
        """The newest fact's number, and of each application password that logged in after fact `after`, by its id: when
        last, and from where (protocol and address).
        """
        newest = int(self._database.conn.execute("SELECT coalesce(max(id), 0) FROM facts").fetchone()[0])
        rows = self._database.conn.execute(
            "SELECT at, json_extract(detail, '$.app'), json_extract(detail, '$.protocol'), json_extract(detail, '$.ip')"
            " FROM facts WHERE id > ? AND id <= ? AND event IN ('login', 'login-smtp', 'login-web') ORDER BY id",
            (after, newest),
        )
        return newest, {int(app): (at, f"{protocol} {ip}") for at, app, protocol, ip in rows if isinstance(app, int)}

    def count(self) -> int:
        """How many facts there are."""
        return int(self._database.conn.execute("SELECT count(*) FROM facts").fetchone()[0])

    def first_at(self) -> float | None:
        """When the oldest fact was (seconds since 1970); None while there is none."""
        row = self._database.conn.execute("SELECT min(at) FROM facts").fetchone()
        return None if row[0] is None else float(row[0])

    def forget_before(self, at: float) -> int:
        """Remove facts older than `at` (seconds since 1970); how many those were."""
        with transaction(self._database) as conn:
            return conn.execute("DELETE FROM facts WHERE at < ?", (at,)).rowcount

    def _ids(self, sql: str, values: tuple[Any, ...]) -> list[int]:
        return [int(row[0]) for row in self._database.conn.execute(sql, values)]


def _is_complete(fd: int) -> bool:
    """Nobody holds the file to write it: its process is gone, or has gone on to the next."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _parse(lines: list[bytes]) -> tuple[list[tuple[Any, ...]], int]:
    taken: list[tuple[Any, ...]] = []
    damaged = 0
    for line in lines:
        if not line:
            continue
        row = fact_row(line)
        if row is None:
            damaged += 1
        else:
            taken.append(row)
    return taken, damaged


def fact_row(line: bytes) -> tuple[Any, ...] | None:
    """The columns of a fact by its line: at, event, reference, message_id, sender, recipient, detail; None: damaged."""
    if len(line) > LINE_OCTETS_MAX:
        return None
    try:
        fact = json.loads(line)
        texts = [str(fact.get(name) or "") for name in ("event", "reference", "message_id", "sender", "recipient")]
        detail = json.dumps(fact.get("detail") or {}, ensure_ascii=False)
        row = (float(fact["at"]), *texts, detail)
        "".join((*texts, detail)).encode()  # a lone surrogate cannot be kept
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return row if texts[0] else None


def _insert(conn: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    first = int(conn.execute("SELECT coalesce(max(id), 0) + 1 FROM facts").fetchone()[0])
    conn.executemany(
        "INSERT INTO facts (id, at, event, reference, message_id, sender, recipient, detail)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ((number, *row) for number, row in enumerate(rows, first)),
    )
    conn.executemany(
        "INSERT OR IGNORE INTO parties VALUES (?, ?)",
        ((party, number) for number, row in enumerate(rows, first) for party in _parties(row[4], row[5])),
    )


def _parties(sender: str, recipient: str) -> set[str]:
    return {address_key(text) for text in (sender, *recipient.split(",")[:_PARTY_COUNT_MAX]) if text}


def address_key(text: str) -> str:
    """An address as parties are compared."""
    return text.casefold() if text.isascii() else unicodedata.normalize("NFC", text).casefold()
