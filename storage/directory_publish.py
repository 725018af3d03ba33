"""The snapshot: the part of the directory that edges need, in a file that is replaced and never changed."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import defaultdict

from sqlite_utils import Database

from storage.schema_directory import SNAPSHOT_LAYOUT, SNAPSHOT_ROWS, SNAPSHOT_TABLES

_FOLLOW_COUNT = 10_000  # addresses looked at for one alias; far above what people make


def publish(database: Database, path: str, postmaster: str) -> int:
    """Write the snapshot and put it in place of `path` atomically, durable; returns its generation.

    Readers that have the old one open keep it whole until they open the new one.
    """
    fresh = f"{path}.{os.getpid()}.tmp"
    if os.path.exists(fresh):
        os.unlink(fresh)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # it holds password hashes
    try:
        generation = _write(database.conn, fresh, postmaster)
        _sync(fresh)
        os.replace(fresh, path)
    except BaseException:
        if os.path.exists(fresh):
            os.unlink(fresh)
        raise
    _sync(os.path.dirname(path) or ".")
    return generation


def _write(conn: sqlite3.Connection, fresh: str, postmaster: str) -> int:
    conn.execute("ATTACH DATABASE ? AS snapshot", (fresh,))
    try:
        conn.execute("PRAGMA snapshot.journal_mode = OFF")
        conn.execute("PRAGMA snapshot.synchronous = OFF")
        conn.execute("BEGIN")
        try:
            generation = _fill(conn, postmaster)
        except BaseException:
            conn.rollback()
            raise
        conn.commit()
    finally:
        conn.execute("DETACH DATABASE snapshot")
    return generation


def _fill(conn: sqlite3.Connection, postmaster: str) -> int:
    for statement in SNAPSHOT_TABLES.split(";"):
        if statement.strip():
            conn.execute(statement)
    generation = int(conn.execute("SELECT generation FROM main.meta").fetchone()[0])
    conn.execute("INSERT INTO snapshot.meta VALUES (?, ?)", (generation, postmaster))
    for statement in SNAPSHOT_ROWS:
        conn.execute(statement)
    conn.executemany(
        "INSERT INTO snapshot.senders VALUES (?, ?)",
        ((address, json.dumps(sorted(others))) for address, others in sorted(_senders(conn).items())),
    )
    conn.execute(f"PRAGMA snapshot.user_version = {SNAPSHOT_LAYOUT}")
    return generation


def _senders(conn: sqlite3.Connection) -> dict[str, set[str]]:
    """For each mailbox, the addresses beside its own that it may send as.

    An alias that leads to this mailbox alone; what it is a delegate of, with the aliases of that; a group it owns.
    An alias of several people is nobody's own: it takes a delegate.
    """
    ways: dict[str, list[str]] = defaultdict(list)
    for address, target in conn.execute(
        "SELECT address, target FROM main.targets WHERE address IN (SELECT address FROM main.aliases)"
    ):
        ways[address].append(target)
    own: dict[str, set[str]] = defaultdict(set)
    for alias in ways:
        end, steps = alias, 0
        while len(ways.get(end, ())) == 1 and steps < _FOLLOW_COUNT:
            end, steps = ways[end][0], steps + 1
        if end not in ways:
            own[end].add(alias)
    mailboxes = {row[0] for row in conn.execute("SELECT address FROM main.mailboxes WHERE status <> 'closed'")}
    may = {address: set(own[address]) for address in own if address in mailboxes}
    granted = (
        "SELECT delegate, address FROM main.delegates"
        " UNION SELECT owner, address FROM main.groups WHERE owner IS NOT NULL"
    )
    for delegate, address in conn.execute(granted):
        if delegate in mailboxes:
            may.setdefault(delegate, set()).update({address}, own.get(address, ()))
    return may


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
