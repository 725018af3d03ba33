"""Which backups stay: all of the last hours, then the newest of each hour, day, week and month that has any."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo


@dataclass(frozen=True, slots=True)
class Keep:
    """How many hours keep all their backups, and how many hours, days, weeks and months their newest."""

    hourly: int = 24
    daily: int = 7
    weekly: int = 5
    monthly: int = 12


def surplus(taken: Iterable[tuple[str, float]], keep: Keep, zone: tzinfo) -> list[str]:
    """The ids that may go, of (id, seconds since 1970); the newest of all always stays.

    All of the `keep.hourly` hours before it stay too: one that was taken by hand is not gone with the next. Hours,
    days, weeks (ISO) and months are those of `zone`. Empty periods are not counted: a site that was off for a month
    loses nothing by it.
    """
    newest_first = sorted(taken, key=lambda one: (one[1], one[0]), reverse=True)
    since_at = newest_first[0][1] - keep.hourly * 3600 if newest_first else 0
    kept = {backup_id for number, (backup_id, at) in enumerate(newest_first) if at > since_at or not number}
    periods: tuple[tuple[int, Callable[[datetime], tuple[int, ...]]], ...] = (
        (keep.hourly, lambda at: (at.year, at.month, at.day, at.hour)),
        (keep.daily, lambda at: (at.year, at.month, at.day)),
        (keep.weekly, lambda at: at.isocalendar()[:2]),
        (keep.monthly, lambda at: (at.year, at.month)),
    )
    for count, period_of in periods:
        seen: set[tuple[int, ...]] = set()
        for backup_id, at in newest_first:
            period = period_of(datetime.fromtimestamp(at, zone))
            if period not in seen and len(seen) < count:
                seen.add(period)
                kept.add(backup_id)
    return [backup_id for backup_id, _ in reversed(newest_first) if backup_id not in kept]
