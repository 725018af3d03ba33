"""SORT (RFC 5256 §3): rows by the fields of the index. Runs in the executor: blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bdmta.imap.search_match import Looked
from bdmta.imap.syntax import BadSyntax, Cursor

_KEYS = {"ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO"}
_FIELDS = {"CC": "sort_cc", "FROM": "sort_from", "SUBJECT": "base_subject", "TO": "sort_to"}

SortKey = tuple[str, bool]


def parse_sort_keys(cursor: Cursor) -> tuple[SortKey, ...]:
    """`(REVERSE DATE SUBJECT)` as pairs of key and whether it is reversed."""
    keys: list[SortKey] = []
    is_reverse = False
    for word in cursor.words():
        if word == "REVERSE" and not is_reverse:
            is_reverse = True
        elif word in _KEYS:
            keys.append((word, is_reverse))
            is_reverse = False
        else:
            raise BadSyntax("unknown sort key")
    if not keys or is_reverse or len(keys) > 20:
        raise BadSyntax("sort key expected")
    return tuple(keys)


def sorted_rows(at: Looked, rows: Sequence[int], keys: Sequence[SortKey]) -> list[int]:
    """Those rows in order; equal ones by their number. From the last key to the first, as sorting is stable. Blocks."""
    ordered = list(rows)
    for name, is_reverse in reversed(keys):
        ordered.sort(key=_value_of(at, name), reverse=is_reverse)
    return ordered


def sent_times(at: Looked) -> Callable[[int], int]:
    """When a row's letter was sent; its arrival where Date says nothing (RFC 5256 §2.2)."""
    sent: list[int | None] = at.box.fields(at.columns, "sent_at")
    dates = at.columns.internaldate

    def sent_at(row: int) -> int:
        own = sent[row]
        return dates[row] if own is None else own

    return sent_at


def _value_of(at: Looked, name: str) -> Callable[[int], Any]:
    if name == "ARRIVAL":
        return at.columns.internaldate.__getitem__
    if name == "SIZE":
        return at.columns.size.__getitem__
    if name == "DATE":
        return sent_times(at)
    values: list[str | None] = at.box.fields(at.columns, _FIELDS[name])
    return lambda row: (values[row] or "").upper()  # i;unicode-casemap compares title case: "_" behind "Z" (RFC 5051)
