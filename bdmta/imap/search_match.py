"""Which rows a SEARCH's key takes (RFC 3501 §6.4.4). Runs in the executor: reads the index, blocks.

Each key narrows the rows that are still in question; cheap keys come first, so that letters are read last and seldom.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bdmta.imap.search_keys import Key
from bdmta.message.headers import read_headers
from bdmta.message.limits import Limits
from storage.box import Box
from storage.box_read import AHEAD_COUNT
from storage.box_types import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, Columns, keyword_bit

_DAY_S = 86_400
_SLICE_COUNT = 1000
_FLAG_BITS = {"ANSWERED": ANSWERED, "DELETED": DELETED, "DRAFT": DRAFT, "FLAGGED": FLAGGED, "SEEN": SEEN}
_TEXT_FIELDS = {"BCC": "bcc", "CC": "cc", "FROM": "from_", "SUBJECT": "subject", "TO": "to"}
_COSTS = {"SEQUENCE": 0, "UID": 0, "BODY": 9, "TEXT": 9, "HEADER": 8, **dict.fromkeys(_TEXT_FIELDS, 4)}
_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Looked:
    """What a search looks at: one state of a folder, the clock, the zone, and how text is folded."""

    box: Box
    columns: Columns
    recent_rows: list[range]
    now_s: float
    offset_s: int
    fold: Callable[[str], str]
    keywords: dict[str, int] = field(default_factory=dict)  # folded name to bit


def looked_at(
    box: Box, columns: Columns, recent_rows: list[range], now_s: float, offset_s: int, fold: Callable[[str], str]
) -> Looked:
    """The state to search, as it is now."""
    keywords = {name.casefold(): keyword_bit(place) for place, name in enumerate(box.keywords) if name}
    return Looked(box, columns, recent_rows, now_s, offset_s, fold, keywords)


def matching_rows(at: Looked, key: Key) -> Sequence[int]:
    """The rows that the key takes, ascending. Blocks."""
    return _match(at, key, range(len(at.columns)))


def _match(at: Looked, key: Key, rows: Sequence[int]) -> Sequence[int]:
    if not rows:
        return rows
    name = key.name
    if name == "AND":
        for part in sorted(key.keys, key=_cost):
            rows = _match(at, part, rows)
        return rows
    if name == "OR":
        first = set(_match(at, key.keys[0], rows))
        rest = set(_match(at, key.keys[1], [row for row in rows if row not in first]))
        return [row for row in rows if row in first or row in rest]
    if name == "NOT":
        taken = set(_match(at, key.keys[0], rows))
        return [row for row in rows if row not in taken]
    if name == "ALL":
        return rows
    return _plain(at, key, rows)


def _cost(key: Key) -> int:
    return max([_COSTS.get(key.name, 1), *(_cost(part) for part in key.keys)])


def _plain(at: Looked, key: Key, rows: Sequence[int]) -> Sequence[int]:
    name = key.name
    if name in ("SEQUENCE", "UID"):
        assert key.set is not None
        taken = key.set.rows(at.columns.uid, by_uid=name == "UID", strict=False)
        return taken if len(rows) == len(at.columns) else _both(rows, taken)
    if name in ("BODY", "TEXT"):
        return _body(at, key, rows)
    if name in _TEXT_FIELDS:
        return _field_holds(at, _TEXT_FIELDS[name], key.text, rows)
    if name == "HEADER":
        return _header(at, key, rows)
    if name in ("KEYWORD", "UNKEYWORD"):
        return _flag(at, rows, at.keywords.get(key.text.casefold(), 0), wanted=name == "KEYWORD")
    if name in ("NEW", "OLD", "RECENT"):
        return _recent(at, name, rows)
    if name.startswith("UN") or name in _FLAG_BITS:
        return _flag(at, rows, _FLAG_BITS[name.removeprefix("UN")], wanted=not name.startswith("UN"))
    return _number(at, key, rows)


def _both(rows: Sequence[int], taken: Sequence[int]) -> Sequence[int]:
    inside = taken if isinstance(taken, range) else set(taken)
    return [row for row in rows if row in inside]


def _flag(at: Looked, rows: Sequence[int], bit: int, *, wanted: bool) -> Sequence[int]:
    flags = at.columns.flags
    if wanted:
        return [row for row in rows if flags[row] & bit]
    return [row for row in rows if not flags[row] & bit]


def _recent(at: Looked, name: str, rows: Sequence[int]) -> Sequence[int]:
    recent = {row for run in at.recent_rows for row in run}
    if name == "OLD":
        return [row for row in rows if row not in recent]
    flags = at.columns.flags
    return [row for row in rows if row in recent and (name == "RECENT" or not flags[row] & SEEN)]


def _number(at: Looked, key: Key, rows: Sequence[int]) -> Sequence[int]:
    columns, bound = at.columns, key.number
    if key.name.startswith("SENT"):
        return _day(key.name.removeprefix("SENT"), bound, rows, _sent_days(at))
    if key.name in ("BEFORE", "ON", "SINCE"):
        dates, offset_s = columns.internaldate, at.offset_s
        if key.name == "BEFORE":
            before_s = bound * _DAY_S - offset_s
            return [row for row in rows if dates[row] < before_s]
        since_s = bound * _DAY_S - offset_s
        if key.name == "SINCE":
            return [row for row in rows if dates[row] >= since_s]
        return [row for row in rows if since_s <= dates[row] < since_s + _DAY_S]
    if key.name == "LARGER":
        return [row for row in rows if columns.size[row] > bound]
    if key.name == "SMALLER":
        return [row for row in rows if columns.size[row] < bound]
    if key.name == "OLDER":  # RFC 5032 §2.1: at or before
        return [row for row in rows if columns.internaldate[row] <= at.now_s - bound]
    if key.name == "YOUNGER":
        return [row for row in rows if columns.internaldate[row] >= at.now_s - bound]
    assert key.name == "MODSEQ", key.name
    return [row for row in rows if columns.modseq[row] >= bound]


def _sent_days(at: Looked) -> Callable[[int], int]:
    sent: list[int | None] = at.box.fields(at.columns, "sent_day")
    dates = at.columns.internaldate

    def day(row: int) -> int:
        own = sent[row]
        return own if own is not None else (dates[row] + at.offset_s) // _DAY_S

    return day


def _day(name: str, bound: int, rows: Sequence[int], day: Callable[[int], int]) -> Sequence[int]:
    if name == "BEFORE":
        return [row for row in rows if day(row) < bound]
    if name == "SINCE":
        return [row for row in rows if day(row) >= bound]
    return [row for row in rows if day(row) == bound]


# -- text


def _field_holds(at: Looked, name: str, text: str, rows: Sequence[int]) -> Sequence[int]:
    values: list[str | None] = at.box.fields(at.columns, name)
    needle = at.fold(text)
    if isinstance(rows, range):
        return [
            row
            for row, value in zip(rows, values[rows.start : rows.stop], strict=True)
            if value is not None and needle in value
        ]
    return [row for row in rows if (value := values[row]) is not None and needle in value]


def _body(at: Looked, key: Key, rows: Sequence[int]) -> Sequence[int]:
    needle = at.fold(key.text)
    uids = at.columns.uid
    found: list[int] = []
    for start in range(0, len(rows), _SLICE_COUNT):
        if start % AHEAD_COUNT == 0:
            at.box.read_ahead(_uids(uids, rows[start : start + AHEAD_COUNT]))
        piece = rows[start : start + _SLICE_COUNT]
        asked = _uids(uids, piece)
        taken = set(at.box.search_text(asked, needle, header=key.name == "TEXT"))
        if len(taken) == len(piece):
            found += piece
        elif taken:
            found += [row for row in piece if uids[row] in taken]
    return found


def _uids(uids: array[int], rows: Sequence[int]) -> Sequence[int]:
    return uids[rows.start : rows.stop] if isinstance(rows, range) else [uids[row] for row in rows]


def _header(at: Looked, key: Key, rows: Sequence[int]) -> Sequence[int]:
    needle = at.fold(key.text)
    if key.field.upper() in _TEXT_FIELDS and needle:
        return _field_holds(at, _TEXT_FIELDS[key.field.upper()], key.text, rows)
    core = needle.strip("<> ")
    if key.field == "message-id" and core:  # the index knows candidates, the headers decide
        ids: list[Any] = at.box.fields(at.columns, "message_id")
        rows = [row for row in rows if (value := ids[row]) is not None and core in at.fold(value)]
    found: list[int] = []
    for start in range(0, len(rows), _SLICE_COUNT):
        piece = rows[start : start + _SLICE_COUNT]
        headers = at.box.headers_of([at.columns.uid[row] for row in piece])
        found += [
            row
            for row, header in zip(piece, headers, strict=True)
            if header is not None and _has_field(at, header, key.field, needle)
        ]
    return found


def _has_field(at: Looked, header: bytes, name: str, needle: str) -> bool:
    if name.encode() not in header.lower():
        return False
    block = read_headers(header, 0, len(header), _LIMITS)
    return any(field.name == name and needle in at.fold(field.text) for field in block.fields)
