"""The Date field as a moment, in the forms that letters have (RFC 5322 §3.3 and §4.3)."""

from __future__ import annotations

import re
from datetime import date

_DATE = re.compile(
    rb"(?:[A-Za-z]{2,9}\.?,?\s*)?(\d{1,2})[\s-]+([A-Za-z]{3})[a-z]*[\s-]+(\d{2,4})"
    rb"(?:\s+(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?(?:\s*([+-]\d{4}|[A-Za-z]{1,5}))?)?"
)
_MONTHS = {name: place for place, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_ZONES_H = {b"EST": -5, b"EDT": -4, b"CST": -6, b"CDT": -5, b"MST": -7, b"MDT": -6, b"PST": -8, b"PDT": -7}
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def sent(value: bytes) -> tuple[int, int] | None:
    """Return (seconds since 1970, days since 1970 on the sender's calendar); None for what is no date."""
    match = _DATE.search(value[:200])
    if match is None:
        return None
    day, month_name, year, hour, minute, second, zone = match.groups()
    month = _MONTHS.get(month_name.lower())
    if month is None:
        return None
    try:
        days = date(_full_year(int(year), len(year)), month, int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    seconds = int(hour or 0) * 3600 + int(minute or 0) * 60 + min(int(second or 0), 59)
    if seconds >= 86_400:
        return None
    return days * 86_400 + seconds - _offset_s(zone), days


def _full_year(year: int, digits_count: int) -> int:
    """Two and three digits are of the last century, or of this (RFC 5322 §4.3)."""
    if digits_count == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if digits_count == 3 else year


def _offset_s(zone: bytes | None) -> int:
    if not zone:
        return 0
    if zone[:1] in b"+-":
        offset = int(zone[1:3]) * 3600 + int(zone[3:5]) * 60
        return -offset if zone[:1] == b"-" else offset
    return _ZONES_H.get(zone.upper(), 0) * 3600
