"""A mailbox under another address, and one that becomes part of another; within a transaction of the directory.

Nobody loses an address (Điều 5.4): the old one stays as an alias. Groups and aliases that led to it lead on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Protocol

from storage import directory_names as names
from storage.errors import Conflict, NotFound


class _Note(Protocol):
    def __call__(
        self, action: str, subject: str, *, before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
    ) -> None: ...  # fmt: skip


class Moves:
    """Moving addresses. Raises Conflict, NotFound; then the whole transaction is undone."""

    def __init__(self, conn: sqlite3.Connection, at: str, note: _Note) -> None:
        self._conn = conn
        self._at = at
        self._note = note

    def rename(self, old: str, new: str, *, until: str = "") -> None:
        """Give the mailbox `old` the address `new`; `old` becomes its alias, until `until` (ISO 8601; empty: stays)."""
        self._require(old)
        names.claim(self._conn, new, "mailbox", self._at)
        columns = [row[1] for row in self._conn.execute("PRAGMA table_info(mailboxes)") if row[1] != "address"]
        listed = ", ".join(columns)
        self._conn.execute(
            f"INSERT INTO mailboxes (address, {listed}) SELECT ?, {listed} FROM mailboxes WHERE address = ?",  # noqa: S608 - own names
            (new, old),
        )
        self._conn.execute("UPDATE app_passwords SET address = ? WHERE address = ?", (new, old))
        self._conn.execute("UPDATE app_passwords SET holder = ? WHERE holder = ?", (new, old))
        self._hand_on(old, new, until)
        self._note("mailbox.rename", old, after={"address": new, "alias_until": until})

    def fold(self, old: str, into: str, *, until: str = "") -> None:
        """Make the mailbox `old` an alias of the mailbox `into`, until `until`; its letters are the caller's."""
        self._require(old)
        self._require(into)
        self._conn.execute("DELETE FROM app_passwords WHERE address = ? OR holder = ?", (old, old))
        self._hand_on(old, into, until)
        self._note("mailbox.fold", old, after={"into": into, "alias_until": until})

    def ended_aliases(self) -> list[str]:
        """The aliases whose time is over."""
        rows = self._conn.execute("SELECT address FROM aliases WHERE until <> '' AND until <= ?", (self._at,))
        return [str(row[0]) for row in rows]

    def _hand_on(self, old: str, new: str, until: str) -> None:
        conn = self._conn
        for table, column in (("delegates", "address"), ("delegates", "delegate"), ("targets", "target")):
            conn.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {column} = ?", (new, old))  # noqa: S608 - own names
            conn.execute(f"DELETE FROM {table} WHERE {column} = ?", (old,))  # noqa: S608 - own names
        conn.execute("DELETE FROM delegates WHERE address = delegate")
        conn.execute("UPDATE groups SET owner = ? WHERE owner = ?", (new, old))
        conn.execute("DELETE FROM mailboxes WHERE address = ?", (old,))
        conn.execute("UPDATE names SET kind = 'alias' WHERE address = ?", (old,))
        conn.execute("INSERT INTO aliases (address, created_at, until) VALUES (?, ?, ?)", (old, self._at, until))
        conn.execute("DELETE FROM targets WHERE address = ?", (old,))
        names.require_targets(conn, old, [new])
        conn.execute("INSERT INTO targets (address, target, position) VALUES (?, ?, 0)", (old, new))

    def _require(self, address: str) -> None:
        row = self._conn.execute("SELECT status FROM mailboxes WHERE address = ?", (address,)).fetchone()
        if row is None:
            held = names.holder(self._conn, address)
            raise NotFound(f"{address}: no such mailbox" + (f"; it is {held}" if held else ""))
        if row[0] == "closed":
            raise Conflict(f"{address}: is closed; `bdmta mailbox resume {address}` opens it again")
