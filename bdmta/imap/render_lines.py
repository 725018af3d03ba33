"""Lines of untagged FETCH answers out of columns: each octet is copied once, by one join for as many letters as there
are.

`* <n> FETCH (` and small numbers are said again and again, to every session: they are rendered once and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

_KEPT_COUNT: Final = 16_384  # of each: 1.9 MB together, and 4 ms when a process begins
_END: Final = b")\r\n"
Column = tuple[bytes, Sequence[bytes]]
"""What stands before each value, and the values, a letter each."""


class _Kept:
    """`render` of 0, 1, ... below `_KEPT_COUNT`; made at once, so that no client waits for it."""

    def __init__(self, render: Callable[[int], bytes]) -> None:
        self.render = render
        self.known = list(map(render, range(_KEPT_COUNT)))

    def of(self, values: Any, least: int, most: int, *, is_run: bool) -> list[bytes]:
        """Each of `values`, of which the smallest and the greatest are given; `is_run`: they ascend by one."""
        if most >= _KEPT_COUNT:
            return list(map(self.render, values))
        known = self.known
        return known[least : most + 1] if is_run else [known[value] for value in values]


_heads = _Kept(lambda row: b")\r\n* %d FETCH (" % (row + 1))  # each ends the line before it
_numbers = _Kept(b"%d".__mod__)


def lines(rows: Sequence[int], columns: Sequence[Column]) -> bytes:
    """`* <row + 1> FETCH (<columns>)` for each of the ascending rows; nothing for no row."""
    count = len(rows)
    if not count:
        return b""
    width = 2 * len(columns) + 1
    pieces = [b""] * (width * count)
    pieces[::width] = _of_ascending(_heads, rows)
    for place, (label, values) in enumerate(columns):
        pieces[2 * place + 1 :: width] = [label] * count
        pieces[2 * place + 2 :: width] = values
    pieces[0] = pieces[0][len(_END) :]
    pieces.append(_END)
    return b"".join(pieces)


def numbers(values: Sequence[int]) -> list[bytes]:
    """The decimal digits of each value."""
    return _numbers.of(values, 0, max(values), is_run=False) if len(values) else []


def ascending_numbers(values: Sequence[int]) -> list[bytes]:
    """As `numbers`, of values that ascend: quicker where none is left out."""
    return _of_ascending(_numbers, values) if len(values) else []


def _of_ascending(kept: _Kept, values: Sequence[int]) -> list[bytes]:
    least, most = values[0], values[-1]
    return kept.of(values, least, most, is_run=most - least == len(values) - 1)
