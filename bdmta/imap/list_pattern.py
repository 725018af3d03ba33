"""LIST patterns: `%` is any run without the separator, `*` any run (RFC 3501 §6.3.8). Linear, whatever the pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_PATTERN = 1000
_RUNS = re.compile(r"[%*]*\*[%*]*|%+")


def matches(pattern: str, name: str) -> bool:
    """Whether the pattern takes the name; INBOX is matched without case."""
    if len(pattern) > MAX_PATTERN:
        return False
    pattern = _RUNS.sub(lambda run: "*" if "*" in run[0] else "%", pattern)
    if name == "INBOX":
        pattern = pattern.upper()
    if "*" not in pattern and "%" not in pattern:
        return pattern == name
    places = _skip(pattern, {0})
    for character in name:
        after = set()
        for place in places:
            if place == len(pattern):
                continue
            wanted = pattern[place]
            if wanted == "*" or (wanted == "%" and character != "/"):
                after.add(place)
            elif wanted == character:
                after.add(place + 1)
        if not after:
            return False
        places = _skip(pattern, after)
    return len(pattern) in places


def _skip(pattern: str, places: set[int]) -> set[int]:
    """Wildcards may take nothing: also the places behind them."""
    out = set(places)
    for place in places:
        while place < len(pattern) and pattern[place] in "*%":
            place += 1
            out.add(place)
    return out


def matches_any(patterns: Iterable[str], name: str) -> bool:
    """Whether one of the patterns takes the name."""
    return any(matches(pattern, name) for pattern in patterns)


def levels_above(name: str) -> list[str]:
    """`a/b/c`: `a`, `a/b`."""
    pieces = name.split("/")
    return ["/".join(pieces[:count]) for count in range(1, len(pieces))]
