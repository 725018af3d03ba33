"""The one space of names: who holds an address, and where addresses lead."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from storage.directory_rows import ROLE_NAMES
from storage.errors import Conflict, Invalid, NotFound

_HELD = {"alias": "an alias", "group": "a group", "retired": "an address at rest"}


def holder(conn: sqlite3.Connection, address: str) -> str | None:
    """What holds `address`, for a person to read; None while it is free (Điều 5.2)."""
    row = conn.execute("SELECT kind FROM names WHERE address = ?", (address,)).fetchone()
    if row is None:
        return None
    kind = str(row[0])
    if kind == "mailbox":
        name, agency, status = conn.execute(
            "SELECT name, agency, status FROM mailboxes WHERE address = ?", (address,)
        ).fetchone()
        state = "" if status == "active" else f", {status}"
        return f"the mailbox of {name}" + (f" ({agency}{state})" if agency else f"{state}")
    if kind == "group":
        name = conn.execute("SELECT name FROM groups WHERE address = ?", (address,)).fetchone()[0]
        return f"the group {name}"
    if kind == "alias":
        return f"an alias of {', '.join(targets(conn, address)[:3])}"
    was, until = conn.execute("SELECT was, until FROM retired WHERE address = ?", (address,)).fetchone()
    return f"at rest until {until[:10]} (it was {was})"


def kind_of(conn: sqlite3.Connection, address: str) -> str | None:
    """mailbox, alias, group, retired; None while the address is free."""
    row = conn.execute("SELECT kind FROM names WHERE address = ?", (address,)).fetchone()
    return None if row is None else str(row[0])


def targets(conn: sqlite3.Connection, address: str) -> list[str]:
    """Where an alias or a group leads directly."""
    rows = conn.execute("SELECT target FROM targets WHERE address = ? ORDER BY position", (address,))
    return [str(row[0]) for row in rows]


def domain_names(conn: sqlite3.Connection) -> list[str]:
    """The local domains, the primary first."""
    return [str(row[0]) for row in conn.execute("SELECT name FROM domains ORDER BY position")]


def require_local(conn: sqlite3.Connection, address: str) -> None:
    """Raise Invalid unless the domain of `address` is one of ours."""
    domain = address.rpartition("@")[2]
    known = domain_names(conn)
    if domain not in known:
        raise Invalid(
            f"{address}: {domain or 'no domain'} is not a domain of this system ({', '.join(known) or 'none yet'})"
        )


def claim(conn: sqlite3.Connection, address: str, kind: str, today: str) -> None:
    """Take `address` for a `kind`, or raise Conflict naming its holder. A rest that is over is no obstacle."""
    require_local(conn, address)
    conn.execute(
        "DELETE FROM retired WHERE address = ? AND until <= ?",
        (address, today),
    )
    conn.execute(
        "DELETE FROM names WHERE address = ? AND kind = 'retired' AND address NOT IN (SELECT address FROM retired)",
        (address,),
    )
    try:
        conn.execute("INSERT INTO names VALUES (?, ?)", (address, kind))
    except sqlite3.IntegrityError:
        held = holder(conn, address)
        remedy = "choose another address"
        if held and held.startswith("at rest"):
            remedy += f", wait, or give it free with `bdmta alias release {address}`"
        raise Conflict(f"{address}: taken, it is {held}; {remedy}") from None


def refuse_role_name(address: str, postmaster: str | None) -> None:
    """Raise Conflict when `address` is a role name of RFC 2142, which no person holds."""
    if address.partition("@")[0] in ROLE_NAMES:
        leads = f" and leads to {postmaster}" if postmaster else ""
        raise Conflict(
            f"{address}: kept for the role by RFC 2142{leads}; no person holds it: "
            "make it an alias, a group or an agency's mailbox"
        )


def require_targets(conn: sqlite3.Connection, address: str, wanted: Sequence[str]) -> None:
    """Raise NotFound when a target in a domain of ours names nothing, Conflict when it would lead back to `address`."""
    ours = set(domain_names(conn))
    for target in wanted:
        if target == address:
            raise Conflict(f"{address}: would lead to itself; give another target")
        if target.rpartition("@")[2] in ours and kind_of(conn, target) in (None, "retired"):
            raise NotFound(f"{target}: no mailbox, alias or group has this address; add it first")
        path = _path(conn, target, address)
        if path:
            raise Conflict(f"{address}: would lead back to itself ({' > '.join([address, *path])}); leave {target} out")


def _path(conn: sqlite3.Connection, start: str, goal: str) -> list[str]:
    """The addresses from `start` to `goal` along targets, both included; empty when there is no way. Linear."""
    came_from: dict[str, str | None] = {start: None}
    waiting = [start]
    while waiting:
        here = waiting.pop()
        if here == goal:
            path = [here]
            while (before := came_from[path[-1]]) is not None:
                path.append(before)
            return path[::-1]
        for there in targets(conn, here):
            if there not in came_from:
                came_from[there] = here
                waiting.append(there)
    return []
