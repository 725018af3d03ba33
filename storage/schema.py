"""Opening a database of ours: its layout number, its one writer, its settings."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlite_utils import Database

from storage.errors import Corrupt, Locked, StoreError

BUSY_TIMEOUT_S = 10.0

Layout = str | Callable[[sqlite3.Connection], None]
"""A step from one layout to the next: SQL, or what SQL cannot do."""


class WriterLock:
    """The right to write one database, held by one process at a time (contract 9); freed when the process dies."""

    def __init__(self, path: str) -> None:
        self.path = f"{path}.lock"
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise Locked(f"{path}: process {holder or 'unknown'} writes it now; ask that one, or wait") from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        """Give the right back; harmless when repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_writer(path: str, layouts: Sequence[Layout]) -> Database:
    """Open `path` for its one writer, in WAL, brought to the newest layout; the caller holds its WriterLock.

    `layouts[n]` turns layout n into n + 1; `PRAGMA user_version` holds the number. Each step is a
    transaction of its own. Raises StoreError for a layout newer than this program, Corrupt for what is no database.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # it holds password hashes
    conn = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("PRAGMA synchronous = FULL")
        conn.execute("PRAGMA foreign_keys = ON")
        _migrate(conn, path, layouts)
    except sqlite3.DatabaseError as error:
        conn.close()
        raise Corrupt(f"{path}: not a database that can be used ({error})") from error
    except StoreError:
        conn.close()
        raise
    return Database(conn, use_counts_table=False)


def open_reader(path: str, layout_count: int) -> Database:
    """Open `path` to read only, beside its writer. Raises StoreError when it is absent or of a newer layout."""
    try:
        conn = sqlite3.connect(
            f"file:{_quoted(path)}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False
        )
        check_layout(conn, path, layout_count)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: cannot be read ({error})") from error
    return Database(conn, use_counts_table=False)


def check_layout(conn: sqlite3.Connection, path: str, layout_count: int) -> int:
    """The layout number of the database; StoreError when it is newer than `layout_count`."""
    found = int(conn.execute("PRAGMA user_version").fetchone()[0])
    if found > layout_count:
        raise StoreError(
            f"{path}: written by a newer bdmta (layout {found}, this one knows {layout_count}); install that version"
        )
    return found


def _migrate(conn: sqlite3.Connection, path: str, layouts: Sequence[Layout]) -> None:
    found = check_layout(conn, path, len(layouts))
    for number in range(found, len(layouts)):
        step = layouts[number]
        if isinstance(step, str):
            conn.executescript(f"BEGIN IMMEDIATE;\n{step}\nPRAGMA user_version = {number + 1};\nCOMMIT;")
            continue
        conn.execute("BEGIN IMMEDIATE")
        try:
            step(conn)
            conn.execute(f"PRAGMA user_version = {number + 1}")
        except BaseException:
            conn.rollback()
            raise
        conn.commit()


@contextmanager
def transaction(database: Database) -> Iterator[sqlite3.Connection]:
    """One write transaction: all of the block or nothing of it. The write lock is taken at its start."""
    conn = database.conn
    conn.execute("BEGIN IMMEDIATE")
    try:
        yield conn
    except BaseException:
        conn.rollback()
        raise
    try:
        conn.commit()
    except BaseException:
        conn.rollback()
        raise


def snapshot_uri(path: str) -> str:
    """The SQLite address of a file that is replaced, never changed in place: no locks, no journal looked for."""
    return f"file:{_quoted(path)}?mode=ro&immutable=1"


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
