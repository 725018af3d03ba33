"""What can be done to the directory. Each act leaves a row in the audit log; the caller's block is the transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from storage import audit
from storage import directory_names as names
from storage.clock import Clock
from storage.directory_agencies import AgencyChange, refuse_agency_name
from storage.directory_moving import Moves
from storage.directory_requests import RequestChange
from storage.directory_rows import KINDS, SCOPES, Mailbox, Status
from storage.errors import Conflict, Invalid, NotFound

TARGET_COUNT_MAX = 20_000
APP_PASSWORD_COUNT_MAX = 50
_SETTABLE = ("name", "agency", "kind", "quota_octets", "quota_letters", "rank", "must_change", "published")


class Change:
    """The changes of one transaction. Raises Conflict, NotFound, Invalid; then the whole transaction is undone."""

    def __init__(self, conn: sqlite3.Connection, actor: str, clock: Clock, grounds: str = "") -> None:
        self._conn = conn
        self._actor = actor
        self._grounds = grounds
        self._clock = clock
        self._at = clock.now().isoformat(timespec="seconds")
        self._head = audit.head(conn)
        self.count = 0  # changes so far
        self.agencies = AgencyChange(conn, self._at, self._note)
        self.requests = RequestChange(conn, self._at, actor, self._note)
        self.moves = Moves(conn, self._at, self._note)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """What the block changed is undone when it raises; the changes before it stay in the transaction."""
        count, head = self.count, self._head
        self._conn.execute("SAVEPOINT attempt")
        try:
            yield
        except BaseException:
            self._conn.execute("ROLLBACK TO attempt")
            self.count, self._head = count, head
            raise
        finally:
            self._conn.execute("RELEASE attempt")

    def set_domains(self, domains: Sequence[str]) -> None:
        """Make `domains` the local ones, the first the primary. Conflict when one that goes still has addresses."""
        known = names.domain_names(self._conn)
        if known == list(domains):
            return
        for gone in set(known) - set(domains):
            held = self._conn.execute("SELECT count(*) FROM names WHERE address LIKE ?", (f"%@{gone}",)).fetchone()[0]
            if held:
                raise Conflict(f"{gone}: still has {held} addresses; keep the domain, or close and remove them first")
        self._conn.execute("DELETE FROM domains")
        self._conn.executemany("INSERT INTO domains VALUES (?, ?)", ((name, n) for n, name in enumerate(domains)))
        self._note("domains.set", ",".join(domains), before={"domains": known}, after={"domains": list(domains)})

    def add_mailbox(self, mailbox: Mailbox, *, postmaster: str | None = None) -> Mailbox:
        """Add a mailbox; its times are set here. A role name of RFC 2142 is refused to a person."""
        _check_fields(mailbox)
        if mailbox.kind == "person" and mailbox.address != postmaster:
            names.refuse_role_name(mailbox.address, postmaster)
        made = replace(mailbox, created_at=self._at, status_at=self._at, password_at=self._at)
        if mailbox.kind == "person":
            refuse_agency_name(self._conn, made.address)
        names.claim(self._conn, made.address, "mailbox", self._at)
        flags = {"must_change": int(made.must_change), "published": int(made.published)}
        self._insert("mailboxes", {**asdict(made), **flags})
        after = {name: getattr(made, name) for name in ("name", "kind", "agency", "status", "published")}
        self._note("mailbox.add", made.address, after=after)
        return made

    def set_mailbox(self, address: str, **fields: Any) -> None:
        """Change fields of a mailbox: name, agency, kind, quota_octets, quota_letters, rank, must_change, published."""
        row = self._mailbox_row(address)
        if not fields:
            return
        if unknown := set(fields) - set(_SETTABLE):
            raise Invalid(f"{address}: {', '.join(sorted(unknown))} cannot be set")
        _check_fields(replace(_bare(row), **fields))
        settings = ", ".join(f"{name} = ?" for name in fields)
        self._conn.execute(f"UPDATE mailboxes SET {settings} WHERE address = ?", (*fields.values(), address))  # noqa: S608 - own names
        self._note("mailbox.set", address, before={name: row[name] for name in fields}, after=fields)

    def set_password(self, address: str, password_hash: str, *, must_change: bool) -> None:
        """Give a mailbox another password."""
        row = self._open_row(address)
        self._conn.execute(
            "UPDATE mailboxes SET password_hash = ?, must_change = ?, password_at = ? WHERE address = ?",
            (password_hash, int(must_change), self._at, address),
        )
        was = {"has_password": row["password_hash"] is not None, "must_change": bool(row["must_change"])}
        self._note(
            "mailbox.password", address, before=was, after={"has_password": True, "must_change": bool(must_change)}
        )

    def renew_hash(self, address: str, was: str, renewed: str) -> bool:
        """Put the same password under a better hash, if it has not been changed meanwhile; says whether it was done."""
        found = self._conn.execute(
            "UPDATE mailboxes SET password_hash = ? WHERE address = ? AND password_hash = ?", (renewed, address, was)
        )
        if found.rowcount:
            self._note("mailbox.renew-hash", address)
        return bool(found.rowcount)

    def set_status(self, address: str, status: Status, *, reason: str = "") -> None:
        """Suspend, resume or close. A closed mailbox keeps its address and its letters; nobody else gets either."""
        row = self._mailbox_row(address)
        if row["status"] == status:
            raise Conflict(f"{address}: is {status} already, since {row['status_at'][:10]}")
        before: dict[str, object] = {"status": row["status"]}
        if status == "closed":
            before |= self._withdrawn("address = ? OR holder = ?", (address, address))
            acted_for = "SELECT address FROM delegates WHERE delegate = ? ORDER BY address"
            if found := [one for (one,) in self._conn.execute(acted_for, (address,))]:
                before["acted_for"] = found
            self._conn.execute("DELETE FROM delegates WHERE delegate = ?", (address,))
        self._conn.execute(
            "UPDATE mailboxes SET status = ?, status_at = ? WHERE address = ?", (status, self._at, address)
        )
        self._note(
            f"mailbox.{status}", address, before=before, after={"status": status}, grounds=reason or self._grounds
        )

    def _withdrawn(self, where: str, values: tuple[str, ...]) -> dict[str, object]:
        """Withdraw application passwords; what the audit log keeps of them."""
        found = self._conn.execute(f"SELECT address, label FROM app_passwords WHERE {where} ORDER BY id", values)  # noqa: S608 - own text
        gone = [f"{address}: {label}" for address, label in found]
        self._conn.execute(f"DELETE FROM app_passwords WHERE {where}", values)  # noqa: S608 - own text
        return {"devices": gone[:100]} if gone else {}

    def add_alias(self, address: str, targets: Sequence[str], *, until: str = "") -> None:
        """Make `address` lead to `targets`. Loops are refused, and targets here that name nothing.

        `until`: when its time is over (ISO 8601 in UTC); empty: it stays.
        """
        if not targets:
            raise Invalid(f"{address}: an alias needs at least one target")
        names.claim(self._conn, address, "alias", self._at)
        self._insert("aliases", {"address": address, "created_at": self._at, "until": until})
        self._add_targets(address, targets)
        self._note("alias.add", address, after={"targets": list(targets)[:20], "count": len(targets)})

    def remove_alias(self, address: str, *, rest_days: int) -> None:
        """Remove an alias; its address then rests for `rest_days` and is given to nobody."""
        self._remove("alias", "aliases", address, rest_days)

    def add_group(self, address: str, name: str, members: Sequence[str] = (), owner: str | None = None) -> None:
        """Make a group. Its members may be groups; loops are refused."""
        _check_text(address, "name", name)
        refuse_agency_name(self._conn, address)
        names.claim(self._conn, address, "group", self._at)
        if owner is not None:
            self._open_row(owner)
        self._insert("groups", {"address": address, "name": name, "owner": owner, "created_at": self._at})
        self._add_targets(address, members)
        self._note("group.add", address, after={"name": name, "owner": owner, "count": len(members)})

    def remove_group(self, address: str, *, rest_days: int) -> None:
        """Remove a group; its address then rests for `rest_days`."""
        self._remove("group", "groups", address, rest_days)

    def change_members(self, address: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Add and remove members of a group; a member that is there already, or is not, is NotFound or Conflict."""
        self._require(address, "group")
        for member in remove:
            if not self._conn.execute(
                "DELETE FROM targets WHERE address = ? AND target = ?", (address, member)
            ).rowcount:
                raise NotFound(f"{member}: is no member of {address}; see `bdmta group members {address}`")
        self._add_targets(address, add)
        if add or remove:
            self._note(
                "group.members", address, before={"removed": list(remove)[:20], "count": len(remove)},
                after={"added": list(add)[:20], "count": len(add)},
            )  # fmt: skip

    def add_delegate(self, address: str, delegate: str) -> None:
        """Let `delegate` act for the agency's mailbox, alias or group at `address`."""
        kind = names.kind_of(self._conn, address)
        if kind == "mailbox" and self._mailbox_row(address)["kind"] == "person":
            raise Conflict(f"{address}: a person's mailbox; nobody acts for a person (Điều 17.2)")
        if kind not in ("mailbox", "alias", "group"):
            raise NotFound(f"{address}: no mailbox, alias or group has this address")
        self._open_row(delegate)
        try:
            self._insert("delegates", {"address": address, "delegate": delegate})
        except sqlite3.IntegrityError:
            raise Conflict(f"{delegate}: may act for {address} already") from None
        self._note("delegate.add", address, after={"delegate": delegate})

    def remove_delegate(self, address: str, delegate: str) -> None:
        """Take that right back."""
        found = self._conn.execute("DELETE FROM delegates WHERE address = ? AND delegate = ?", (address, delegate))
        if not found.rowcount:
            raise NotFound(f"{delegate}: does not act for {address}; nothing to remove")
        gone = self._withdrawn("address = ? AND holder = ?", (address, delegate))
        self._note("delegate.remove", address, before={"delegate": delegate, **gone})

    def add_app_password(
        self, address: str, label: str, secret_hash: str, hint: str, *, scope: Sequence[str] = (), holder: str = ""
    ) -> None:
        """Give a mailbox one more password, for the device that `label` names and the person that `holder` names.

        A holder that is an address is a mailbox here; what is closed or suspended there opens nothing here.
        """
        _check_text(address, "label", label)
        _check_text(address, "holder", holder)
        if wrong := sorted(set(scope) - set(SCOPES)):
            raise Invalid(f"{address}: {wrong[0]!r} is no scope; known are {', '.join(SCOPES)}")
        if "@" in holder:
            self._open_row(holder)
        self._open_row(address)
        kept_scope = "" if set(scope) >= set(SCOPES) else ",".join(one for one in SCOPES if one in scope)
        held = self._conn.execute("SELECT label FROM app_passwords WHERE address = ?", (address,)).fetchall()
        if (label,) in held:
            raise Conflict(f"{address}: has an application password called {label!r} already; remove it first")
        if len(held) >= APP_PASSWORD_COUNT_MAX:
            raise Conflict(f"{address}: has {len(held)} application passwords; remove one first")
        self._insert(
            "app_passwords",
            {
                "address": address, "label": label, "secret_hash": secret_hash, "hint": hint, "created_at": self._at,
                "scope": kept_scope, "holder": holder,
            },
        )  # fmt: skip
        self._note("app-password.add", address, after={"label": label, "scope": kept_scope or "all", "holder": holder})

    def remove_app_password(self, address: str, label: str) -> None:
        """Withdraw an application password."""
        where, values = "address = ? AND label = ?", (address, label)
        row = self._conn.execute(f"SELECT holder, scope FROM app_passwords WHERE {where}", values).fetchone()  # noqa: S608
        if row is None:
            raise NotFound(f"{address}: has no application password called {label!r}")
        self._conn.execute(f"DELETE FROM app_passwords WHERE {where}", values)  # noqa: S608
        before = {"label": label, "holder": row[0], "scope": row[1] or "all"}
        self._note("app-password.remove", address, before=before)

    def release(self, address: str) -> None:
        """End the rest of a retired address before its time."""
        self._require(address, "retired")
        self._conn.execute("DELETE FROM retired WHERE address = ?", (address,))
        self._conn.execute("DELETE FROM names WHERE address = ?", (address,))
        self._note("address.release", address)

    def note(
        self, action: str, subject: str, *, before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None, **detail: object,
    ) -> None:  # fmt: skip
        """An act that changes nothing here and is to be on record all the same: the generation stays."""
        count = self.count
        self._note(action, subject, before=before, after=after, detail=detail)
        self.count = count

    def _remove(self, kind: str, table: str, address: str, rest_days: int) -> None:
        self._require(address, kind)
        was = names.holder(self._conn, address)
        users = self._conn.execute("SELECT address FROM targets WHERE target = ? LIMIT 3", (address,)).fetchall()
        if users:
            raise Conflict(f"{address}: {', '.join(user for (user,) in users)} leads to it; take it out there first")
        found = self._conn.execute("SELECT target FROM targets WHERE address = ? ORDER BY position", (address,))
        targets = [target for (target,) in found.fetchall()]
        for gone in ("targets", "delegates", table):
            self._conn.execute(f"DELETE FROM {gone} WHERE address = ?", (address,))  # noqa: S608 - own names
        if rest_days > 0:
            until = (self._clock.now() + timedelta(days=rest_days)).isoformat(timespec="seconds")
            self._conn.execute("UPDATE names SET kind = 'retired' WHERE address = ?", (address,))
            self._insert("retired", {"address": address, "was": was, "until": until})
        else:
            self._conn.execute("DELETE FROM names WHERE address = ?", (address,))
        self._note(f"{kind}.remove", address, before={"was": was, "targets": targets[:20], "count": len(targets)})

    def _add_targets(self, address: str, targets: Sequence[str]) -> None:
        names.require_targets(self._conn, address, targets)
        last, count = self._conn.execute(
            "SELECT coalesce(max(position), -1), count(*) FROM targets WHERE address = ?", (address,)
        ).fetchone()
        if count + len(targets) > TARGET_COUNT_MAX:
            raise Invalid(f"{address}: more than {TARGET_COUNT_MAX} targets; make groups of groups")
        for position, target in enumerate(targets, last + 1):
            try:
                self._insert("targets", {"address": address, "target": target, "position": position})
            except sqlite3.IntegrityError:
                raise Conflict(f"{target}: {address} leads to it already") from None

    def _require(self, address: str, kind: str) -> None:
        found = names.kind_of(self._conn, address)
        if found != kind:
            held = names.holder(self._conn, address)
            word = {"retired": "address at rest"}.get(kind, kind)
            raise NotFound(f"{address}: no such {word}" + (f"; it is {held}" if held else ""))

    def _mailbox_row(self, address: str) -> dict[str, Any]:
        self._require(address, "mailbox")
        cursor = self._conn.execute("SELECT * FROM mailboxes WHERE address = ?", (address,))
        return dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True))

    def _open_row(self, address: str) -> dict[str, Any]:
        row = self._mailbox_row(address)
        if row["status"] == "closed":
            raise Conflict(f"{address}: is closed; `bdmta mailbox resume {address}` opens it again")
        return row

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        marks = ", ".join("?" * len(row))
        self._conn.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608 - own names

    def _note(
        self, action: str, subject: str, *, before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None, grounds: str | None = None,
        detail: Mapping[str, object] | None = None,
    ) -> None:  # fmt: skip
        self.count += 1
        self._head = audit.append(
            self._conn, self._head, at=self._at, actor=self._actor, action=action, subject=subject,
            grounds=self._grounds if grounds is None else grounds, before=before, after=after, detail=detail,
        )  # fmt: skip


def _bare(row: dict[str, Any]) -> Mailbox:
    return Mailbox(**{**row, "must_change": bool(row["must_change"]), "published": bool(row["published"])})


def _check_fields(mailbox: Mailbox) -> None:
    for field in ("address", "name", "agency"):
        _check_text(mailbox.address, field, getattr(mailbox, field))
    if mailbox.kind not in KINDS:
        raise Invalid(f"{mailbox.address}: kind {mailbox.kind!r} is neither person nor agency")
    if mailbox.quota_octets < 0 or mailbox.quota_letters < 0:
        raise Invalid(f"{mailbox.address}: a quota cannot be below 0 (0 is no limit)")


def _check_text(address: str, field: str, text: str) -> None:
    """Anything people are called, but nothing that could break a line or a header."""
    if any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or char in "\u2028\u2029" for char in text):
        raise Invalid(f"{address}: the {field} holds a control character")
    if len(text) > 1000:
        raise Invalid(f"{address}: the {field} is over 1000 characters")
    if field in ("name", "label") and not text.strip():
        raise Invalid(f"{address}: the {field} is empty")
