"""How much of a month each service was there, and which times excuse whoever could not do a duty. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bdmta.outage.notice import SERVICES, Notice

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Away:
    """A time in which the heartbeat missed a service (a fact `away` of the ledger)."""

    service: str
    from_at: datetime
    until_at: datetime


@dataclass(frozen=True, slots=True)
class Availability:
    """One service in one month. Planned time is kept apart: it counts neither as working nor as an outage."""

    service: str
    total_s: int
    planned_s: int
    unplanned_s: int

    @property
    def percent(self) -> float:
        """Of the time that was not planned away, how much the service was there; three decimals, never rounded up."""
        wanted = self.total_s - self.planned_s
        if wanted <= 0:
            return 100.0
        return int((1 - self.unplanned_s / wanted) * 100_000) / 1000


def month_span(year: int, month: int, timezone: str) -> Span:
    """From the first instant of a month to that of the next, in the office's time zone."""
    zone = ZoneInfo(timezone)
    following = (year + month // 12, month % 12 + 1)
    return datetime(year, month, 1, tzinfo=zone), datetime(*following, 1, tzinfo=zone)


def availability(
    span: Span, now: datetime, notices: Iterable[Notice], aways: Iterable[Away], services: Sequence[str] = SERVICES
) -> list[Availability]:
    """Each service over `span`, up to `now`. A time that a notice and the heartbeat both know counts once."""
    start, end = span[0], min(span[1], now)
    if end <= start:
        return []
    known, missed = list(notices), list(aways)
    found = []
    for service in services:
        planned = _merged(_cut(_windows(known, service, now, is_planned=True), start, end))
        unplanned = _cut(_windows(known, service, now, is_planned=False), start, end)
        unplanned += _cut([(a.from_at, a.until_at) for a in missed if a.service == service], start, end)
        away = _without(_merged(unplanned), planned)
        found.append(Availability(service, _seconds([(start, end)]), _seconds(planned), _seconds(away)))
    return found


def _windows(notices: Iterable[Notice], service: str, now: datetime, *, is_planned: bool) -> list[Span]:
    """Planned work beyond the time that was announced last is an outage like any other."""
    spans = []
    for notice in notices:
        if service not in notice.services or notice.began_at is None or not notice.is_public:
            continue
        ended_at = notice.ended_at or now
        promised_at = min(notice.until_at, ended_at) if notice.is_planned else notice.began_at
        spans.append((notice.began_at, promised_at) if is_planned else (promised_at, ended_at))
    return spans


def excused(
    notices: Iterable[Notice], now: datetime, *, services: Sequence[str], agency: str = "",
    grace: timedelta = timedelta(0),
) -> list[Span]:  # fmt: skip
    """The times in which nobody of `agency` could be asked to use `services`: planned or not, as announced.

    `grace` is added at the end of each. For check-ins (Điều 14): a duty that falls into one of these is excused.
    """
    spans = [
        (notice.began_at, (notice.ended_at or now) + grace)
        for notice in notices
        if notice.began_at is not None and notice.is_public
        and (set(notice.services) & set(services) or agency in notice.agencies)
    ]  # fmt: skip
    return _merged(spans)


def _cut(spans: Iterable[Span], start: datetime, end: datetime) -> list[Span]:
    return [(max(a, start), min(b, end)) for a, b in spans if a < end and b > start]


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        elif start < end:
            merged.append((start, end))
    return merged


def _without(spans: Iterable[Span], taken: Sequence[Span]) -> list[Span]:
    left = list(spans)
    for start, end in taken:
        left = [piece for a, b in left for piece in ((a, min(b, start)), (max(a, end), b)) if piece[0] < piece[1]]
    return left


def _seconds(spans: Iterable[Span]) -> int:
    return round(sum((end - start).total_seconds() for start, end in spans))
