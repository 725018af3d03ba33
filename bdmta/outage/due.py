"""What time alone brings about: planned work begins and ends, estimates pass, people are reminded. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bdmta.outage.notice import Event, Notice

ENDED_AS_PLANNED = "Công việc đã hoàn thành đúng kế hoạch."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The configuration's part in it. `remind_before`: the longest first. `nag_every`: how often an operator hears of
    an estimate that has passed.
    """

    remind_before: tuple[timedelta, ...] = (timedelta(hours=24), timedelta(hours=1))
    nag_every: timedelta = timedelta(minutes=30)


def due(notices: Sequence[Notice], now: datetime, rules: Rules, *, is_well: bool) -> list[Event]:
    """The next event of each notice that time has brought, oldest notice first; call again until there is none.

    `is_well`: every service answers. Planned work that reaches its end while all is well is closed then; otherwise it
    becomes overdue, since nobody has said that it is done.
    """
    found = (_next(notice, now, rules, is_well=is_well) for notice in notices)
    return [{"notice": event.pop("notice"), "by": "time", **event} for event in found if event is not None]


def _next(notice: Notice, now: datetime, rules: Rules, *, is_well: bool) -> Event | None:
    if notice.state == "planned":
        return _before(notice, now, rules)
    if notice.state == "open" and notice.until_at <= now:
        if notice.is_planned and is_well:
            return {"notice": notice.id, "event": "closed", "done": ENDED_AS_PLANNED, "ended": _iso(notice, now)}
        return {"notice": notice.id, "event": "overdue"}
    if notice.state == "overdue":
        told_at = max(a.at for a in notice.announcements if a.kind in ("overdue", "nag"))
        if now - told_at >= rules.nag_every:
            return {"notice": notice.id, "event": "nagged"}
    return None


def _before(notice: Notice, now: datetime, rules: Rules) -> Event | None:
    if notice.from_at <= now:
        return {"notice": notice.id, "event": "began"}
    told_at = notice.announcements[0].at
    reminded = {a.hours for a in notice.announcements if a.kind == "reminder"}
    for before in sorted(rules.remind_before):  # of several that are due at once the last one is enough
        hours = int(before.total_seconds() // 3600)
        if now < notice.from_at - before:
            continue
        if told_at >= notice.from_at - before or any(done <= hours for done in reminded):
            return None
        return {"notice": notice.id, "event": "reminded", "hours": hours}
    return None


def _iso(notice: Notice, now: datetime) -> str:
    """Closed on time is closed at the time that was told, not at the round that noticed."""
    late = now - notice.until_at
    return (notice.until_at if late < timedelta(minutes=1) else now).isoformat()
