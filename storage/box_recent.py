r"""Which letters are \Recent, and to which session: each is told as such to one only (RFC 3501 §2.3.2).

The index keeps the first UID that no session was told of. Who takes letters from it does so in a transaction, so that
no two processes take the same ones: at SELECT all there are, and while a session is open those that come, as they are
numbered. In a process they wait then for the first of its sessions that looks.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

Span = tuple[int, int]  # first UID, and the one behind the last
_NO_END = 1 << 32


@dataclass(frozen=True, slots=True)
class Recent:
    """What is recent to one session: spans that ascend."""

    spans: tuple[Span, ...] = ()

    @classmethod
    def from_uid(cls, first: int) -> Recent:
        """All from that UID on, those to come too."""
        return cls(((first, _NO_END),))

    def with_spans(self, spans: list[Span]) -> Recent:
        """These too; what adjoins becomes one."""
        merged: list[Span] = []
        for first, end in sorted([*self.spans, *spans]):
            if merged and first <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((first, end))
        return Recent(tuple(merged))

    def rows(self, uids: array[int]) -> list[range]:
        """The rows, run by run, of letters with those UIDs."""
        runs = (range(bisect_left(uids, first), bisect_left(uids, min(end, _NO_END - 1))) for first, end in self.spans)
        return [run for run in runs if run]

    def count(self, uids: array[int]) -> int:
        """How many."""
        return sum(map(len, self.rows(uids)))


class RecentTaken:
    """Spans that this process has taken and no session was told of yet. From any thread."""

    def __init__(self) -> None:
        self._spans: deque[Span] = deque()
        self.sessions: set[int] = set()  # those that may be told: without one nothing is taken

    def add(self, first: int, end: int) -> None:
        """Taken from the index: UIDs from `first` to below `end`."""
        if first < end:
            self._spans.append((first, end))

    def take(self) -> list[Span]:
        """All that wait: the caller tells them."""
        spans: list[Span] = []
        while self._spans:
            try:
                spans.append(self._spans.popleft())
            except IndexError:
                break  # another thread was faster
        return spans
