"""Moments as operators write them: ISO 8601, or `HH:MM` today, local time."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bdmta.errors import UsageError

_CLOCK = re.compile(r"(\d{1,2})[:hg](\d{2})")
_AFTER = re.compile(r"\+(\d{1,4})(m|min|h)")


def parse_moment(text: str, now: datetime, timezone: str, option: str) -> datetime:
    """The moment in UTC, whole minutes. `14:30` is today, `+45m` and `+2h` are from now; a time without an offset is
    local. UsageError names `option` and what is right.
    """
    zone = ZoneInfo(timezone)
    written = text.strip()
    if written == "now":
        return _minute(now)
    if found := _AFTER.fullmatch(written):
        unit = "hours" if found[2] == "h" else "minutes"
        return _minute(now + timedelta(**{unit: int(found[1])}))
    try:
        if found := _CLOCK.fullmatch(written):
            local = now.astimezone(zone).replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
        else:
            local = datetime.fromisoformat(written)
    except ValueError:
        raise UsageError(f"{option} {text!r} is no time; write 14:30 (today), 2026-11-28T14:30, +45m or +2h") from None
    if local.tzinfo is None:
        local = local.replace(tzinfo=zone)
    return _minute(local.astimezone(now.tzinfo))


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
