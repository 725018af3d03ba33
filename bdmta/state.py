"""What policies remember: a small SQLite file a policy, shared by the edges, lost without harm."""

from __future__ import annotations

import os
import sqlite3
import threading

from bdmta.clock import Clock

_MAX_ROWS = 1_000_000


class FileState:
    """The `State` of one policy. Opened at first use; a lock that is not had within 50 ms counts as "not known"."""

    def __init__(self, folder: str, name: str, clock: Clock) -> None:
        self._path = os.path.join(folder, f"policy-{name}.sqlite")
        self._clock = clock
        self._local = threading.local()

    def _open(self) -> sqlite3.Connection:
        known: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if known is None:
            known = sqlite3.connect(self._path, timeout=0.05, isolation_level=None)
            known.execute("PRAGMA journal_mode=WAL")
            known.execute("PRAGMA synchronous=OFF")
            known.execute("CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value TEXT, until REAL)")
            self._local.connection = known
        return known

    def get(self, key: str) -> str | None:
        """The value, or None when it is unknown, too old, or the file is busy."""
        try:
            row = self._open().execute("SELECT value, until FROM kept WHERE key = ?", (key,)).fetchone()
        except sqlite3.OperationalError:
            return None
        return row[0] if row is not None and row[1] > self._clock.time() else None

    def put(self, key: str, value: str, ttl_s: int) -> None:
        """Remember `value` for `ttl_s` seconds; old rows go when there are many."""
        now = self._clock.time()
        try:
            connection = self._open()
            connection.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", (key, value, now + ttl_s))
            (rows,) = connection.execute("SELECT max(rowid) FROM kept").fetchone()
            if rows > _MAX_ROWS:
                connection.execute("DELETE FROM kept WHERE until < ?", (now,))
        except sqlite3.OperationalError:
            return
