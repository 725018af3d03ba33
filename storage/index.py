"""The index of one mailbox: SQLite beside the Maildir, a cache only. Deleted or broken, it is made anew (contract 5).

It keeps, for each folder, the columns of the last scan as one row of blobs; the log of flag changes that makes MODSEQ
one order for all
processes (RFC 7162); and for each letter what `index_letters` holds. Nothing in it is the only copy of anything.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SCHEMA_VERSION = "3"
_BUSY_MS = 10_000
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE folder (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, uidvalidity INTEGER NOT NULL,
    highestmodseq INTEGER NOT NULL, log_floor INTEGER NOT NULL, first_recent INTEGER NOT NULL DEFAULT 1,
    uidnext INTEGER NOT NULL DEFAULT 1);
CREATE TABLE state (
    folder INTEGER PRIMARY KEY, modseq INTEGER NOT NULL, uidnext INTEGER NOT NULL, stamp TEXT NOT NULL, uidlist TEXT
    NOT NULL, counts TEXT NOT NULL,
    uid BLOB NOT NULL, flags BLOB NOT NULL, size BLOB NOT NULL, internaldate BLOB NOT NULL, modseqs BLOB NOT NULL,
    bases BLOB NOT NULL, infos BLOB NOT NULL, info_of BLOB NOT NULL);
CREATE TABLE change (
    folder INTEGER NOT NULL, modseq INTEGER NOT NULL, uids BLOB NOT NULL, flags BLOB NOT NULL, PRIMARY KEY (folder,
    modseq)) WITHOUT ROWID;
CREATE TABLE letter (id INTEGER PRIMARY KEY, envelope BLOB NOT NULL, body BLOB NOT NULL, bodystructure BLOB NOT NULL);
CREATE TABLE field (
    id INTEGER PRIMARY KEY, size INTEGER NOT NULL, header_octets INTEGER NOT NULL, subject TEXT NOT NULL, from_ TEXT
    NOT NULL, "to" TEXT NOT NULL,
    cc TEXT NOT NULL, bcc TEXT NOT NULL, base_subject TEXT NOT NULL, sort_from TEXT NOT NULL, sort_to TEXT NOT NULL,
    sort_cc TEXT NOT NULL,
    sent_at INTEGER, sent_day INTEGER, message_id TEXT NOT NULL, "references" TEXT NOT NULL, is_reply INTEGER NOT
    NULL, spans BLOB NOT NULL);
CREATE TABLE text (id INTEGER PRIMARY KEY, header BLOB, body BLOB);
"""


class Index:
    """One mailbox's index file.

    Opened when first used, closed when the process has too many open; safe between threads and processes.
    """

    def __init__(self, path: str, version: str) -> None:
        self.path = path
        self.version = f"{SCHEMA_VERSION}:{version}"
        self.generation = 0  # grows when what was known of rows is void: another file, a failed transaction
        self.lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._uses_count = 0

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for reading; holds this process's lock on the index.

        A broken file is dropped and the error raised once.
        """
        with self.lock:
            connection = self._open()
            self._uses_count += 1
            try:
                yield connection
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._drop()
                raise
            finally:
                self._uses_count -= 1

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection within one write transaction."""
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.commit()
            except BaseException:
                self.generation += 1  # numbers of rows that were made within it are void
                connection.rollback()
                raise

    @property
    def is_open(self) -> bool:
        """Whether a connection is held."""
        return self._connection is not None

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self.lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def close_unused(self) -> bool:
        """Close the connection unless somebody is using it just now; whether it is closed. Never waits."""
        if not self.lock.acquire(blocking=False):
            return False
        try:
            if self._uses_count:
                return False
            self.close()
            return True
        finally:
            self.lock.release()

    def _open(self) -> sqlite3.Connection:
        """Return the connection to the file that is there now: somebody may have deleted or replaced it."""
        if self._connection is not None:
            try:
                if os.stat(self.path).st_ino == self._inode:
                    return self._connection
            except FileNotFoundError:
                pass
            self.close()
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        except OSError as error:
            raise sqlite3.OperationalError(f"{self.path}: {error}") from error
        try:
            self._connection = self._connect()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self._drop()
            self._connection = self._connect()
        inode = os.stat(self.path).st_ino
        if inode != self._inode:
            self.generation += 1
            self._inode = inode
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=_BUSY_MS / 1000)
        try:
            connection.execute("PRAGMA synchronous=OFF")  # while it is made: a torn one is made anew
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA wal_autocheckpoint=8192")  # a checkpoint waits for the disk: seldom
            connection.execute("PRAGMA cache_size=-1024")
            connection.execute("PRAGMA mmap_size=268435456")
            connection.execute("PRAGMA temp_store=MEMORY")
            self._prepare(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables, or empty them when another renderer or schema wrote them."""
        if _version_of(connection) == self.version:
            return
        connection.execute("BEGIN IMMEDIATE")
        if _version_of(connection) != self.version:  # another process may have been faster
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall():
                connection.execute(f'DROP TABLE "{name}"')
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute("INSERT INTO meta VALUES ('version', ?)", (self.version,))
            self.generation += 1
        connection.execute("COMMIT")

    def _drop(self) -> None:
        self.close()
        for tail in ("", "-wal", "-shm"):
            try:
                os.unlink(self.path + tail)
            except FileNotFoundError:
                pass


def _version_of(connection: sqlite3.Connection) -> str | None:
    try:
        row = connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    return str(row[0]) if row else None
