"""A notice of an outage: a pure state machine over its history. No file, no clock.

    draft ──confirm──▶ open ──estimate passed──▶ overdue ──┐
    planned ──begins──▶ open ◀──new estimate── overdue     ├──close──▶ closed
                        open ──────────────────────────────┘
    draft ──discard──▶ closed, never public

Everything that happens to a notice is an event (a JSON object of the history). `apply` gives the notice after it; those
of ANNOUNCED are told to the public or to the operators, and `sent` events record what became of it, channel by channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

State = Literal["draft", "planned", "open", "overdue", "closed"]
SERVICES = ("smtp", "imap", "web")
ALL = "all"

ANNOUNCED = {
    "drafted": "draft", "declared": "opened", "confirmed": "opened", "planned": "planned", "began": "opened",
    "updated": "updated",
    "overdue": "overdue", "closed": "closed", "reported": "report", "reminded": "reminder", "nagged": "nag",
}  # fmt: skip
"""Event -> the kind of announcement that it makes."""
FOR_OPERATORS = frozenset({"draft", "nag"})
"""Kinds that the public does not hear of."""

Event = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What was said, as it stood then. `number` counts within the notice, from 1."""

    number: int
    kind: str
    at: datetime
    what: str
    until_at: datetime
    done: str = ""
    hours: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of an announcement on a channel: `done` with a receipt, `waiting` to be tried again, or `failed`
    for good; `passed over` when a newer one says it all.
    """

    state: str
    attempts: int = 0
    at: datetime | None = None
    note: str = ""
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One outage as it stands. `until_at`: the estimate, or for one that was found afterwards its end.

    `began_at`, `ended_at`: when it was in force; None before. `asked`: the content it was opened with, by which a
    second `open` of the same is known. `closed_quietly`: a draft that was discarded.
    """

    id: str
    what: str
    from_at: datetime
    until_at: datetime
    scope: tuple[str, ...]
    state: State
    is_planned: bool = False
    asked: str = ""
    cause: str = ""
    done: str = ""
    began_at: datetime | None = None
    ended_at: datetime | None = None
    found_ended: bool = False
    closed_quietly: bool = False
    announcements: tuple[Announcement, ...] = ()
    sent: Mapping[tuple[int, str], Sent] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """It is in force: something does not work now."""
        return self.state in ("open", "overdue")

    @property
    def is_public(self) -> bool:
        """Somebody outside may hear of it."""
        return self.state != "draft" and not self.closed_quietly

    @property
    def is_cancelled(self) -> bool:
        """Planned work that was called off before it began."""
        return self.state == "closed" and self.began_at is None

    @property
    def services(self) -> tuple[str, ...]:
        """The services in its scope; all of them for `all`, none for agencies alone."""
        return SERVICES if ALL in self.scope else tuple(s for s in SERVICES if s in self.scope)

    @property
    def agencies(self) -> tuple[str, ...]:
        """The agencies it is limited to; none when it touches everybody."""
        return () if self.services else self.scope


def moment(text: str) -> datetime:
    """A moment of the history."""
    return datetime.fromisoformat(text)


def replay(events: Iterable[Mapping[str, Any]]) -> dict[str, Notice]:
    """The notices after all `events`, by id, in the order they were made. Events it does not know change nothing."""
    notices: dict[str, Notice] = {}
    for event in events:
        after = apply(notices.get(event["notice"]), event)
        if after is not None:
            notices[after.id] = after
    return notices


def apply(notice: Notice | None, event: Mapping[str, Any]) -> Notice | None:
    """The notice after `event`. Pure."""
    name, at = event["event"], moment(event["at"])
    if name in ("drafted", "declared", "planned"):
        notice = _made(event, name, at)
    elif notice is None:
        return None
    elif name == "sent":
        return _sent(notice, event, at)
    else:
        notice = _changed(notice, name, event, at)
    return _announce(notice, name, event, at) if name in ANNOUNCED else notice


def _made(event: Mapping[str, Any], name: str, at: datetime) -> Notice:
    states: dict[str, State] = {"drafted": "draft", "declared": "open", "planned": "planned"}
    from_at = moment(event["from"])
    return Notice(
        id=event["notice"], what=event["what"], from_at=from_at, until_at=moment(event["until"]),
        scope=tuple(event["scope"]), state=states[name], is_planned=name == "planned", asked=event.get("asked", ""),
        cause=event.get("cause", ""), found_ended=bool(event.get("ended")),
        began_at=None if name == "planned" else from_at,
    )  # fmt: skip


def _changed(notice: Notice, name: str, event: Mapping[str, Any], at: datetime) -> Notice:
    match name:
        case "confirmed":
            what, until_at = event.get("what") or notice.what, _or(event.get("until"), notice.until_at)
            return replace(notice, state="open", what=what, until_at=until_at)
        case "began":
            return replace(notice, state="open", began_at=notice.from_at if at >= notice.from_at else at)
        case "overdue":
            return replace(notice, state="overdue")
        case "updated":
            until_at = _or(event.get("until"), notice.until_at)
            state = "open" if notice.state == "overdue" and until_at > at else notice.state
            from_at = _or(event.get("from"), notice.from_at)
            return replace(
                notice, what=event.get("what") or notice.what, until_at=until_at, state=state, from_at=from_at
            )
        case "ended":  # a draft's service is back before anybody confirmed it
            return replace(notice, until_at=moment(event["until"]), found_ended=True)
        case "closed" | "reported":
            ended_at, what = _or(event.get("ended"), at), event.get("what") or notice.what
            return replace(notice, state="closed", done=event.get("done", ""), ended_at=ended_at, what=what)
        case "discarded":
            return replace(notice, state="closed", closed_quietly=True, ended_at=at)
    return notice


def _or(text: str | None, otherwise: datetime) -> datetime:
    return moment(text) if text else otherwise


def _announce(notice: Notice, name: str, event: Mapping[str, Any], at: datetime) -> Notice:
    made = Announcement(
        number=len(notice.announcements) + 1, kind=event.get("kind") or ANNOUNCED[name], at=at, what=notice.what,
        until_at=notice.until_at, done=notice.done, hours=int(event.get("hours", 0)),
    )  # fmt: skip
    return replace(notice, announcements=(*notice.announcements, made))


def _sent(notice: Notice, event: Mapping[str, Any], at: datetime) -> Notice:
    key = (int(event["number"]), event["channel"])
    next_at = moment(event["next"]) if event.get("next") else None
    sent = Sent(
        state=event["state"], attempts=int(event["attempts"]), at=at, note=event.get("note", ""), next_at=next_at
    )
    return replace(notice, sent={**notice.sent, key: sent})
