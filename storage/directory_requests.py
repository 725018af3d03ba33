"""Requests in the directory's database: read, and written within its transactions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from storage.errors import Conflict, Invalid, NotFound

KINDS = ("create", "change", "cancel", "reset", "merge")
STATES = ("draft", "received", "discussing", "approved", "working", "done", "rejected")
TEXT_MAX = 10_000
_JSON = ("details", "paper", "work")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. `details`, `paper`: as the schema has them. Times are ISO 8601 in UTC, `due_on` a local date."""

    kind: str
    requester: str
    channel: str
    number: str = ""
    id: int = 0
    state: str = "received"
    role: str = ""
    subject: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    grounds: str = ""
    paper: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    work: Sequence[Sequence[Any]] = ()
    received_at: str = ""
    due_on: str = ""
    state_at: str = ""
    approved_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestNotice:
    """One notice to one recipient. `sent_at` empty: not sent, or not printed, yet."""

    purpose: str
    channel: str
    recipient: str
    subject: str
    text: str
    is_copy: bool = False
    answers: str = ""
    id: int = 0
    request: int = 0
    made_at: str = ""
    sent_at: str = ""


class Requests:
    """Reading."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    def get(self, number: str) -> Request:
        """The request of this number, or NotFound."""
        found = self._requests("number = ?", (number,))
        if not found:
            raise NotFound(f"{number}: no such request; see `bdmta request list`")
        return found[0]

    def all(self, *, state: str | None = None, kind: str | None = None, subject: str | None = None) -> list[Request]:
        """Requests in order of their numbers; of one state, kind or address."""
        given = {k: v for k, v in {"state": state, "kind": kind, "subject": subject}.items() if v is not None}
        return self._requests(" AND ".join(f"{name} = ?" for name in given) or "1", tuple(given.values()))

    def number_of(self, request: int) -> str:
        """The number of the request with this id."""
        row = self._conn.execute("SELECT number FROM requests WHERE id = ?", (request,)).fetchone()
        return str(row[0])

    def of_source(self, source: str) -> list[Request]:
        """The requests that a letter has brought (`source`, or `source#2` …)."""
        return self._requests("source = ? OR source LIKE ?", (source, f"{source}#%"))

    def pending(self) -> list[Request]:
        """What waits for somebody: neither draft nor done nor rejected."""
        return self._requests("state IN ('received', 'discussing', 'approved', 'working')", ())

    def with_work(self) -> list[Request]:
        """Those that were begun and not finished, or have work left with files."""
        return self._requests("state = 'working' OR work <> '[]'", ())

    def events(self, request: int) -> list[dict[str, Any]]:
        """at, actor, what, text; oldest first."""
        rows = self._conn.execute("SELECT at, actor, what, text FROM request_events WHERE request = ?", (request,))
        return [dict(zip(("at", "actor", "what", "text"), row, strict=True)) for row in rows]

    def notices(self, request: int | None = None, *, unsent: str = "") -> list[RequestNotice]:
        """Of one request, or (`unsent`: mail or paper) those that are to be sent still."""
        where, values = ("request = ?", (request,)) if request is not None else ("1", ())
        if unsent:
            where, values = f"{where} AND sent_at = '' AND channel = ?", (*values, unsent)
        cursor = self._conn.execute(f"SELECT * FROM request_notices WHERE {where} ORDER BY id", values)  # noqa: S608 - own names
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
        return [RequestNotice(**{**row, "is_copy": bool(row["is_copy"])}) for row in rows]

    def letter(self, reference: str) -> str | None:
        """What became of the letter of this reference; None: it was not dealt with."""
        row = self._conn.execute("SELECT outcome FROM request_letters WHERE reference = ?", (reference,)).fetchone()
        return None if row is None else str(row[0])

    def letters(self) -> set[str]:
        """The references of all letters that were dealt with."""
        return {str(row[0]) for row in self._conn.execute("SELECT reference FROM request_letters")}

    def _requests(self, where: str, values: tuple[object, ...]) -> list[Request]:
        cursor = self._conn.execute(f"SELECT * FROM requests WHERE {where} ORDER BY id", values)  # noqa: S608 - own names
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
        return [Request(**{**row, **{name: json.loads(row[name]) for name in _JSON}}) for row in rows]


class _Note(Protocol):
    def __call__(
        self, action: str, subject: str, *, before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
    ) -> None: ...  # fmt: skip


class RequestChange:
    """Writing, within a transaction of the directory; each act is in the audit log and in the request's history."""

    def __init__(self, conn: sqlite3.Connection, at: str, actor: str, note: _Note) -> None:
        self._conn = conn
        self._at = at
        self._actor = actor
        self._note = note

    def add(self, request: Request, *, year: int, what: str = "received", text: str = "") -> str:
        """Enter a request; its number. Conflict when its letter has brought it already."""
        _check(request)
        last = self._conn.execute(
            "SELECT max(number) FROM requests WHERE number LIKE ?", (f"YC-{year:04d}-%",)
        ).fetchone()[0]
        number = f"YC-{year:04d}-{int(last[8:]) + 1 if last else 1:06d}"
        row: dict[str, Any] = {
            "number": number, "kind": request.kind, "state": request.state, "requester": request.requester,
            "role": request.role, "channel": request.channel, "subject": request.subject,
            "details": _text(request.details), "grounds": request.grounds, "paper": _text(request.paper),
            "source": request.source, "work": _text(list(request.work)),
            "received_at": request.received_at or self._at, "due_on": request.due_on, "state_at": self._at,
            "approved_by": "",
        }  # fmt: skip
        marks = ", ".join("?" * len(row))
        try:
            self._conn.execute(f"INSERT INTO requests ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608 - own names
        except sqlite3.IntegrityError:
            raise Conflict(f"{request.source}: this letter has brought its request already") from None
        self.event(number, what, text)
        self._note(
            "request.new", number,
            after={"kind": request.kind, "requester": request.requester, "subject": request.subject,
                   "state": request.state},
        )  # fmt: skip
        return number

    def set(self, number: str, what: str, text: str = "", **fields: Any) -> None:
        """Change fields of a request; `what` happened, and `text`, go into its history."""
        before = Requests(self._conn).get(number)
        values = {name: _text(value) if name in _JSON else value for name, value in fields.items()}
        if "state" in values and values["state"] != before.state:
            values["state_at"] = self._at
        if values:
            settings = ", ".join(f"{name} = ?" for name in values)
            self._conn.execute(f"UPDATE requests SET {settings} WHERE number = ?", (*values.values(), number))  # noqa: S608 - own names
        self.event(number, what, text)
        shown = [name for name in fields if name in ("kind", "state", "subject", "role", "requester", "approved_by")]
        self._note(
            f"request.{what}", number, before={name: getattr(before, name) for name in shown},
            after={name: fields[name] for name in shown},
        )  # fmt: skip

    def event(self, number: str, what: str, text: str = "") -> None:
        """A line in the request's history."""
        if len(text) > TEXT_MAX:
            raise Invalid(f"{number}: a text has at most {TEXT_MAX} characters")
        self._conn.execute(
            "INSERT INTO request_events (request, at, actor, what, text)"
            " SELECT id, ?, ?, ?, ? FROM requests WHERE number = ?",
            (self._at, self._actor, what, text, number),
        )

    def tell(self, number: str, notices: Sequence[RequestNotice]) -> None:
        """Put notices on record, to be sent once this transaction holds."""
        self._conn.executemany(
            "INSERT INTO request_notices (request, purpose, channel, recipient, is_copy, subject, text, answers,"
            " made_at, sent_at) SELECT id, ?, ?, ?, ?, ?, ?, ?, ?, '' FROM requests WHERE number = ?",
            [
                (n.purpose, n.channel, n.recipient, int(n.is_copy), n.subject, n.text, n.answers, self._at, number)
                for n in notices
            ],
        )

    def told(self, notice: RequestNotice, number: str) -> None:
        """The notice has gone out, or was printed."""
        self._conn.execute("UPDATE request_notices SET sent_at = ? WHERE id = ?", (self._at, notice.id))
        self.event(number, f"notice.{notice.channel}", f"{notice.purpose}: {notice.recipient}")
        self._note(f"request.notice-{notice.channel}", number, after={"to": notice.recipient, "what": notice.purpose})

    def dealt_with(self, reference: str, outcome: str) -> None:
        """A letter to the request address needs no second look."""
        self._conn.execute("INSERT OR IGNORE INTO request_letters VALUES (?, ?, ?)", (reference, self._at, outcome))
        self._note("request.letter", reference, after={"outcome": outcome})


def _check(request: Request) -> None:
    if request.kind not in KINDS or request.state not in STATES:
        raise Invalid(f"a request is one of {', '.join(KINDS)}")
    if len(request.grounds) > TEXT_MAX or len(_text(request.details)) > 4 * TEXT_MAX:
        raise Invalid(f"a request's text has at most {TEXT_MAX} characters")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
