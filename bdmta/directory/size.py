"""Sizes as people write them: `500M`, `2G`, `none`."""

from __future__ import annotations

import re

from bdmta.errors import UsageError

_SIZE = re.compile(r"(\d{1,15})\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_FACTORS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_NO_LIMIT = ("none", "0")


def parse_size(text: str) -> int:
    """Octets; 0 for no limit. K, M, G, T count in 1,024. UsageError names what was wrong."""
    if text.strip().lower() in _NO_LIMIT:
        return 0
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text}: not a size; write 500M, 2G or none")
    octets = int(found[1]) * _FACTORS[found[2].upper()]
    if not 0 < octets < 2**62:
        raise UsageError(f"{text}: not a size that a disk has")
    return octets


def shown_size(octets: int) -> str:
    """For a table: `500M`; an empty text for no limit."""
    for sign in "TGMK":
        if octets >= _FACTORS[sign]:
            value = octets / _FACTORS[sign]
            return f"{value:.0f}{sign}" if value == int(value) else f"{value:.1f}{sign}"
    return str(octets) if octets else ""
