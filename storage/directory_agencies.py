"""Agencies in the directory (Điều 5.2), and the questions that naming asks of it (Điều 5.4).

An agency's identifier is the local part of its address. Nobody else has that address in any domain here, whether the
agency has its mailbox yet or not.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Protocol

from storage import directory_names as names
from storage.directory_rows import LEVELS, ROLE_NAMES, Agency
from storage.errors import Conflict, Invalid, NotFound

# RFC 2142 as a whole; of these the directory keeps ROLE_NAMES from persons, an agency may be none.
RFC_2142 = ROLE_NAMES | {"info", "marketing", "sales", "support", "trouble", "usenet", "news", "www", "uucp", "ftp"}
SETTABLE = ("name", "level", "parent", "head", "clerk", "paper_address", "published")

_COLUMNS = ", ".join(field.name for field in fields(Agency))
_TEXT_MAX = 1000
_DEPTH_MAX = 20
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_IDENTIFIER_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


@dataclass(frozen=True, slots=True)
class Namesake:
    """An address with a wanted local part: what holds it, in words, and of a mailbox the rank and its beginning.

    `label`: the name of a mailbox or group, the day on which a rest ends, "" of an alias.
    """

    address: str
    kind: str  # mailbox, alias, group, retired
    held: str
    label: str
    rank: int | None
    created_at: str


class Agencies:
    """Reading: the agencies, and who has which local part."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    def all(self) -> list[Agency]:
        """Every agency, in order of identifier."""
        return [_agency(row) for row in self._conn.execute(f"SELECT {_COLUMNS} FROM agencies ORDER BY identifier")]  # noqa: S608 - own names

    def find(self, identifier: str) -> Agency | None:
        """The agency of this abbreviation, if there is one."""
        return _find(self._conn, identifier)

    def get(self, identifier: str) -> Agency:
        """The agency of this abbreviation, or NotFound."""
        return _get(self._conn, identifier)

    def __contains__(self, word: object) -> bool:
        """Whether an agency is called `word`: by its abbreviation, or by the local part of its mailbox."""
        found = self._conn.execute(
            "SELECT 1 FROM agencies WHERE identifier = :word UNION ALL SELECT 1 FROM mailboxes"
            " WHERE kind = 'agency' AND address IN (SELECT :word || '@' || name FROM domains)",
            {"word": word},
        )
        return found.fetchone() is not None

    def obstacle(self, identifier: str) -> str | None:
        """Why no new agency can be called `identifier`, in words; None when one can."""
        return _obstacle(self._conn, identifier)

    def namesakes(self, base: str, domain: str, now: str) -> list[Namesake]:
        """Who has `base@domain`, and every `base.…@domain`; a rest that is over by `now` (ISO 8601) holds nothing."""
        rows = self._conn.execute(
            "SELECT n.address, n.kind, coalesce(m.name, g.name, substr(r.until, 1, 10), ''), m.rank, m.created_at"
            " FROM names n LEFT JOIN mailboxes m USING (address) LEFT JOIN groups g USING (address)"
            " LEFT JOIN retired r USING (address)"
            " WHERE (n.address = :plain OR (n.address >= :base || '.' AND n.address < :base || '/'))"
            " AND n.address LIKE '%@' || :domain AND (r.until IS NULL OR r.until > :now) ORDER BY n.address",
            {"plain": f"{base}@{domain}", "base": base, "domain": domain, "now": now},
        ).fetchall()
        return [
            Namesake(address, kind, names.holder(self._conn, address) or "", label, rank, created or "")
            for address, kind, label, rank, created in rows
        ]


class _Note(Protocol):
    def __call__(
        self, action: str, subject: str, *, before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
    ) -> None: ...  # fmt: skip


class AgencyChange:
    """What can be done to agencies within one Change; each act leaves its row in the audit log."""

    def __init__(self, conn: sqlite3.Connection, at: str, note: _Note) -> None:
        self._conn = conn
        self._at = at
        self._note = note

    def add(self, agency: Agency) -> Agency:
        """Add an agency. Conflict names what holds its identifier; Invalid what is wrong with a field."""
        _check(agency)
        if obstacle := _obstacle(self._conn, agency.identifier):
            raise Conflict(f"{agency.identifier}: {obstacle}; choose another abbreviation")
        _check_parent(self._conn, agency)
        made = replace(agency, created_at=self._at)
        row = {**asdict(made), "published": int(made.published)}
        marks = ", ".join("?" * len(row))
        self._conn.execute(f"INSERT INTO agencies ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608 - own names
        self._note("agency.add", made.identifier, after={field: row[field] for field in SETTABLE})
        return made

    def set(self, identifier: str, /, **changed: Any) -> Agency:
        """Change fields of an agency; its identifier stays. A parent of "" is none."""
        was = _get(self._conn, identifier)
        if unknown := set(changed) - set(SETTABLE):
            raise Invalid(f"{identifier}: {', '.join(sorted(unknown))} cannot be set")
        if changed.get("parent") == "":
            changed["parent"] = None
        made = replace(was, **changed)
        _check(made)
        _check_parent(self._conn, made)
        before, after = asdict(was), asdict(made)
        different = [name for name in SETTABLE if before[name] != after[name]]
        if different:
            settings = ", ".join(f"{name} = ?" for name in different)
            values: Sequence[object] = [after[name] for name in different]
            self._conn.execute(f"UPDATE agencies SET {settings} WHERE identifier = ?", (*values, identifier))  # noqa: S608 - own names
            self._note(
                "agency.set", identifier, before={name: before[name] for name in different},
                after={name: after[name] for name in different},
            )  # fmt: skip
        return made


def refuse_agency_name(conn: sqlite3.Connection, address: str) -> None:
    """Raise Conflict when `address` is an agency's by its abbreviation (Điều 5.2), whatever is to be made of it."""
    found = _find(conn, address.partition("@")[0])
    if found is not None:
        raise Conflict(
            f"{address}: {found.identifier} is the abbreviation of {found.name}; choose another address, "
            "or make it the agency's own mailbox (--kind agency)"
        )


def _obstacle(conn: sqlite3.Connection, identifier: str) -> str | None:
    found = _find(conn, identifier)
    if found is not None:
        return f"taken, it is the abbreviation of {found.name}"
    if identifier in RFC_2142:
        return "kept for the role by RFC 2142"
    for domain in names.domain_names(conn):
        address = f"{identifier}@{domain}"
        row = conn.execute("SELECT kind FROM mailboxes WHERE address = ?", (address,)).fetchone()
        if row is not None and row[0] == "agency":
            continue  # its own mailbox, made before it was entered here
        held = names.holder(conn, address)
        if held is not None:
            return f"{address} is taken, it is {held}"
    return None


def _check(agency: Agency) -> None:
    identifier = agency.identifier
    if not (0 < len(identifier) <= 32 and _IDENTIFIER_LETTERS.issuperset(identifier)) or identifier.startswith("-"):
        raise Invalid(f"{identifier[:40]!r}: an abbreviation is made of a-z, digits and -, 32 at most (Điều 5.2)")
    if identifier.endswith("-") or not identifier[0].isalpha():
        raise Invalid(f"{identifier}: an abbreviation begins with a letter and does not end with -")
    for field in ("name", "head", "clerk", "paper_address"):
        text = getattr(agency, field)
        if len(text) > _TEXT_MAX or _CONTROLS.search(text):
            raise Invalid(f"{identifier}: the {field} holds a control character or is over {_TEXT_MAX} characters")
    if not agency.name.strip():
        raise Invalid(f"{identifier}: the name is empty")
    if agency.level not in LEVELS:
        raise Invalid(f"{identifier}: level {agency.level!r} is none of {', '.join(LEVELS)}")


def _check_parent(conn: sqlite3.Connection, agency: Agency) -> None:
    above, path = agency.parent, [agency.identifier]
    while above is not None:
        if above in path:
            raise Conflict(f"{agency.identifier}: would be above itself ({' < '.join([*path, above])})")
        if len(path) > _DEPTH_MAX:
            raise Invalid(f"{agency.identifier}: more than {_DEPTH_MAX} agencies above it")
        path.append(above)
        found = _find(conn, above)
        if found is None:
            raise NotFound(f"{agency.identifier}: parent {above}: no such agency; add it first")
        above = found.parent


def _find(conn: sqlite3.Connection, identifier: str) -> Agency | None:
    row = conn.execute(f"SELECT {_COLUMNS} FROM agencies WHERE identifier = ?", (identifier,)).fetchone()  # noqa: S608 - own names
    return None if row is None else _agency(row)


def _get(conn: sqlite3.Connection, identifier: str) -> Agency:
    found = _find(conn, identifier)
    if found is None:
        raise NotFound(f"{identifier}: no such agency; see `bdmta agency list`")
    return found


def _agency(row: Sequence[Any]) -> Agency:
    values = dict(zip((field.name for field in fields(Agency)), row, strict=True))
    return Agency(**{**values, "published": bool(values["published"])})
