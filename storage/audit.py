"""The audit log: one line an act, each bound to the one before it by a hash (Điều 2).

A line's hash is SHA-256, in hexadecimal, of the JSON array (ASCII, no spaces) of ten texts: the hash of the line
before ("" for the first), then id, at, actor, action, subject, grounds, before, after, detail. Whoever has the hash of
the newest line (the head) written down elsewhere can tell that no line up to it was changed, removed or put in.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from storage.errors import Invalid

TEXT_MAX = 4000
COLUMNS = ("id", "at", "actor", "action", "subject", "grounds", "before", "after", "detail", "hash")
_NEVER = frozenset({"password", "passwords", "password_hash", "secret", "secret_hash", "hash", "content", "body"})
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM audit"  # noqa: S608 - own names


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One act: who did what to whom, when, on what grounds; `before`, `after` and `detail` are JSON objects."""

    id: int
    at: str
    actor: str
    action: str
    subject: str
    grounds: str
    before: str
    after: str
    detail: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest line: its number, when it was written, its hash. A log without lines has number 0."""

    id: int = 0
    at: str = ""
    hash: str = ""


class Broken(Exception):
    """The chain does not hold. `line`: the number of the first line that is not as it was written."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line
        self.why = why


def line_hash(previous: str, row: Mapping[str, Any]) -> str:
    """The hash of a line that follows the one whose hash is `previous`."""
    texts = [previous, *(str(row[name]) for name in COLUMNS[:-1])]
    return hashlib.sha256(json.dumps(texts, separators=(",", ":")).encode("ascii")).hexdigest()


def head(conn: sqlite3.Connection) -> Head:
    """The newest line of the log."""
    found = conn.execute("SELECT id, at, hash FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    return Head() if found is None else Head(id=found[0], at=found[1], hash=found[2])


def append(
    conn: sqlite3.Connection,
    last: Head,
    *,
    at: str,
    actor: str,
    action: str,
    subject: str,
    grounds: str = "",
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    detail: Mapping[str, object] | None = None,
) -> Head:
    """Write the line that follows `last`, within the caller's transaction; the new head.

    Raises Invalid where a value would be kept under a name such as password or content: neither is ever on record.
    """
    row: dict[str, Any] = {
        "id": last.id + 1, "at": at, "actor": actor, "action": action, "subject": subject,
        "grounds": " ".join(grounds.split())[:TEXT_MAX], "before": _said(before), "after": _said(after),
        "detail": _said(detail),
    }  # fmt: skip
    row["hash"] = line_hash(last.hash, row)
    marks = ", ".join("?" * len(COLUMNS))
    values = [row[name] for name in COLUMNS]
    conn.execute(f"INSERT INTO audit ({', '.join(COLUMNS)}) VALUES ({marks})", values)  # noqa: S608 - own names
    return Head(id=row["id"], at=at, hash=row["hash"])


def _said(values: Mapping[str, object] | None) -> str:
    given = {name: _cut(value) for name, value in (values or {}).items()}
    if wrong := [name for name in given if name in _NEVER]:
        raise Invalid(f"the audit log never holds {', '.join(wrong)}")
    return json.dumps(given, ensure_ascii=False, sort_keys=True, default=str)


def _cut(value: object) -> object:
    return value[:TEXT_MAX] if isinstance(value, str) else value


def newest(conn: sqlite3.Connection, subject: str | None, limit_count: int) -> list[AuditRow]:
    """The newest lines first, of one subject or of all."""
    where, values = (" WHERE subject = ?", (subject,)) if subject else ("", ())
    rows = conn.execute(f"{_SELECT}{where} ORDER BY id DESC LIMIT ?", (*values, limit_count))
    return [AuditRow(**dict(zip(COLUMNS, row, strict=True))) for row in rows]


def lines(conn: sqlite3.Connection, after_id: int = 0, limit_count: int = -1) -> Iterator[dict[str, Any]]:
    """The lines beyond `after_id` as they are kept, oldest first."""
    for row in conn.execute(f"{_SELECT} WHERE id > ? ORDER BY id LIMIT ?", (after_id, limit_count)):
        yield dict(zip(COLUMNS, row, strict=True))


def verify(found: Iterable[Mapping[str, Any]], anchors: Iterable[Head] = ()) -> Head:
    """Go through all lines, oldest first; the head, if each follows the one before. Raises Broken.

    `anchors`: heads written down earlier; the log must hold each of them.
    """
    known: dict[int, set[str]] = {}
    for anchor in anchors:
        known.setdefault(anchor.id, set()).add(anchor.hash)
    last = Head()
    for row in found:
        number = last.id + 1
        if row.get("id") != number:
            raise Broken(number, f"is missing; line {row.get('id')} comes in its place")
        missing = [name for name in COLUMNS if name not in row]
        if missing:
            raise Broken(number, f"has no {', '.join(missing)}")
        if line_hash(last.hash, row) != row["hash"]:
            raise Broken(number, "is not as it was written, or a line before it is not")
        if known.pop(number, {row["hash"]}) != {row["hash"]}:
            raise Broken(number, "is not the line whose hash was written down; the log was made anew")
        last = Head(id=number, at=str(row["at"]), hash=str(row["hash"]))
    if known:
        raise Broken(last.id + 1, f"is missing, and all that follow; line {max(known)} was written down")
    return last


def chain_existing(conn: sqlite3.Connection) -> None:
    """Turn the log of layout 2 into a chain: the same acts, in the same order, each with its hash."""
    columns = ("at", "actor", "action", "subject", "detail")
    kept = conn.execute(f"SELECT {', '.join(columns)} FROM audit ORDER BY id").fetchall()  # noqa: S608 - own names
    conn.execute("DROP TABLE audit")
    for statement in AUDIT_TABLES:
        conn.execute(statement)
    last = Head()
    for row in kept:
        given = dict(zip(columns, row, strict=True))
        last = append(conn, last, **{**given, "detail": json.loads(given["detail"])})


AUDIT_TABLES = (
    """CREATE TABLE audit (
  id INTEGER PRIMARY KEY,             -- 1, 2, 3 …
  at TEXT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  grounds TEXT NOT NULL,
  before TEXT NOT NULL,
  after TEXT NOT NULL,
  detail TEXT NOT NULL,
  hash TEXT NOT NULL                  -- of the line before and of this one
) STRICT""",
    "CREATE INDEX audit_subject ON audit (subject)",
    "CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit"
    " BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    "CREATE TRIGGER audit_is_fixed BEFORE UPDATE ON audit"
    " BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
)
