"""The directory: who has which address here. One writer; edges read a published snapshot of it (contract 9)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlite_utils import Database

from storage import audit as audit_log
from storage.clock import Clock
from storage.directory_agencies import Agencies
from storage.directory_change import Change
from storage.directory_names import holder
from storage.directory_publish import publish
from storage.directory_requests import Requests
from storage.directory_rows import Alias, AppPassword, Group, Mailbox, Retired
from storage.errors import NotFound
from storage.schema import WriterLock, open_reader, open_writer, transaction
from storage.schema_directory import DIRECTORY_LAYOUTS

_ROW_LIMIT = 1_000_000


class Directory:
    """An open directory. Reads return frozen rows in order of address; writes go through `change`."""

    def __init__(self, database: Database, clock: Clock, lock: WriterLock | None) -> None:
        self._database = database
        self._clock = clock
        self._lock = lock

    @classmethod
    def open(cls, path: str, clock: Clock, *, readonly: bool = False) -> Directory:
        """Open the directory at `path`, made when absent; by default as its one writer.

        Raises Locked when another process writes it, StoreError when its layout is newer than this program.
        """
        if readonly:
            return cls(open_reader(path, len(DIRECTORY_LAYOUTS)), clock, None)
        lock = WriterLock(path)
        try:
            return cls(open_writer(path, DIRECTORY_LAYOUTS), clock, lock)
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        """Close the database and give the writer's right back."""
        self._database.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def change(self, actor: str, grounds: str = "") -> Iterator[Change]:
        """One transaction: every change of the block, each with its line in the audit log, or none.

        `actor`: who; `grounds`: on what (a request, a decision), for the audit.

        The generation grows by one when anything was changed. Raises what the changes raise, after undoing all.
        """
        with transaction(self._database) as conn:
            change = Change(conn, actor, self._clock, grounds)
            yield change
            if change.count:
                conn.execute("UPDATE meta SET generation = generation + 1")

    def publish(self, path: str, *, postmaster: str) -> int:
        """Write the snapshot that edges read to `path`, replaced atomically; returns its generation.

        `postmaster`: the address that the role names of RFC 2142 lead to while nothing else holds them.
        """
        return publish(self._database, path, postmaster)

    @property
    def generation(self) -> int:
        """Grows with every change; a snapshot of the same number holds the same."""
        return int(self._one("SELECT generation FROM meta")["generation"])

    @property
    def agencies(self) -> Agencies:
        """The agencies, and who has which name beside them (Điều 5)."""
        return Agencies(self._database.conn)

    @property
    def requests(self) -> Requests:
        """What was asked for, and what became of it (Điều 7)."""
        return Requests(self._database.conn)

    def domains(self) -> tuple[str, ...]:
        """The local domains; the first is the primary (Điều 5.1)."""
        return tuple(row["name"] for row in self._rows("SELECT name FROM domains ORDER BY position"))

    def holder(self, address: str) -> str | None:
        """What holds `address`, in words ("the mailbox of …"), or None while it is free."""
        return holder(self._database.conn, address)

    def find_mailbox(self, address: str) -> Mailbox | None:
        """The mailbox at exactly this address, if there is one."""
        rows = self._rows("SELECT * FROM mailboxes WHERE address = ?", address)
        return _mailbox(rows[0]) if rows else None

    def mailbox(self, address: str) -> Mailbox:
        """The mailbox at exactly this address, or NotFound saying what is there instead."""
        found = self.find_mailbox(address)
        if found is None:
            other = self.holder(address)
            raise NotFound(f"{address}: no such mailbox" + (f"; it is {other}" if other else ""))
        return found

    def mailboxes(
        self, *, agency: str | None = None, kind: str | None = None, status: str | None = None
    ) -> list[Mailbox]:
        """All mailboxes, or those of one agency, kind or status."""
        wanted = {"agency": agency, "kind": kind, "status": status}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        return [
            _mailbox(row)
            for row in self._rows(f"SELECT * FROM mailboxes WHERE {where} ORDER BY address", *given.values())  # noqa: S608 - own names
        ]

    def aliases(self, target: str | None = None) -> list[Alias]:
        """All aliases, or those that lead straight to `target`."""
        sql = "SELECT * FROM aliases ORDER BY address"
        values: tuple[str, ...] = ()
        if target is not None:
            sql = "SELECT a.* FROM aliases a JOIN targets t USING (address) WHERE t.target = ? ORDER BY a.address"
            values = (target,)
        return [Alias(targets=self.targets(row["address"]), **row) for row in self._rows(sql, *values)]

    def groups(self) -> list[Group]:
        """All groups, with their direct members."""
        rows = self._rows("SELECT * FROM groups ORDER BY address")
        return [Group(members=self.targets(row["address"]), **row) for row in rows]

    def group(self, address: str) -> Group:
        """The group at this address, or NotFound."""
        rows = self._rows("SELECT * FROM groups WHERE address = ?", address)
        if not rows:
            raise NotFound(f"{address}: no such group")
        return Group(members=self.targets(address), **rows[0])

    def targets(self, address: str) -> tuple[str, ...]:
        """Where an alias leads, or who is directly in a group, in the order given."""
        rows = self._rows("SELECT target FROM targets WHERE address = ? ORDER BY position", address)
        return tuple(row["target"] for row in rows)

    def delegates(self, address: str) -> tuple[str, ...]:
        """Who may act for this agency mailbox, alias or group."""
        rows = self._rows("SELECT delegate FROM delegates WHERE address = ? ORDER BY delegate", address)
        return tuple(row["delegate"] for row in rows)

    def app_passwords(self, address: str) -> list[AppPassword]:
        """The application passwords of a mailbox, without their secrets."""
        rows = self._rows(
            "SELECT id, address, label, hint, created_at, scope, holder, last_used_at, last_used_from"
            " FROM app_passwords WHERE address = ? ORDER BY id",
            address,
        )
        return [AppPassword(**row) for row in rows]

    def acts_for(self, delegate: str) -> tuple[str, ...]:
        """The addresses (agency mailboxes, aliases, groups) that this mailbox may act for."""
        rows = self._rows("SELECT address FROM delegates WHERE delegate = ? ORDER BY address", delegate)
        return tuple(row["address"] for row in rows)

    def logins_seen(self) -> int:
        """The number of the last fact whose login was taken into the application passwords' last use; 0: none yet."""
        rows = self._rows("SELECT fact FROM logins_seen")
        return int(rows[0]["fact"]) if rows else 0

    def note_logins(self, fact: int, uses: Mapping[int, tuple[str, str]]) -> None:
        """Keep when (ISO 8601) and from where each application password, by its id, was used last. No act of anybody.

        `fact`: the ledger's number up to which this holds.
        """
        with transaction(self._database) as conn:
            conn.executemany(
                "UPDATE app_passwords SET last_used_at = ?, last_used_from = ? WHERE id = ?",
                [(at, where, number) for number, (at, where) in uses.items()],
            )
            conn.execute("INSERT OR REPLACE INTO logins_seen VALUES (1, ?)", (fact,))

    def retired(self) -> list[Retired]:
        """The addresses at rest."""
        return [Retired(**row) for row in self._rows("SELECT * FROM retired ORDER BY address")]

    def audit(self, *, subject: str | None = None, limit_count: int = 1000) -> list[audit_log.AuditRow]:
        """The newest acts first, of one subject or of all."""
        return audit_log.newest(self._database.conn, subject, limit_count)

    def every_audit_line(self) -> Iterator[dict[str, Any]]:
        """The audit log as it is kept, oldest first."""
        return audit_log.lines(self._database.conn)

    def audit_lines(self, after_id: int, limit_count: int) -> list[dict[str, Any]]:
        """The lines of the audit log beyond `after_id` as they are kept, oldest first."""
        return list(audit_log.lines(self._database.conn, after_id, limit_count))

    def audit_head(self) -> audit_log.Head:
        """The newest line of the audit log; its hash stands for all lines up to it."""
        return audit_log.head(self._database.conn)

    def backup(self, path: str) -> None:
        """A consistent copy of the database at `path`, which must not exist; taken without stopping the writer."""
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        copy = sqlite3.connect(path)
        try:
            self._database.conn.backup(copy)
        finally:
            copy.close()

    def _rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        return list(self._database.query(sql, values))

    def _one(self, sql: str) -> dict[str, Any]:
        return self._rows(sql)[0]


def _mailbox(row: dict[str, Any]) -> Mailbox:
    return Mailbox(**{**row, "must_change": bool(row["must_change"]), "published": bool(row["published"])})
