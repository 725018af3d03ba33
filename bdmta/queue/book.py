"""Which letters wait for which destination until when: in memory, small, for 100,000 of them."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

Waits = tuple[tuple[str, float], ...]


class Due(NamedTuple):
    """One letter for one destination, whose time has come."""

    order: tuple[int, float]
    """The higher priority first, then the older."""
    id: str
    destination: str


class Book:
    """The times of all entries. `set` replaces what is known of one; `due` hands each wait out once."""

    def __init__(self) -> None:
        self._waits: dict[str, Waits] = {}
        self._heap: list[tuple[float, str, str, int]] = []
        self._names: dict[str, str] = {}  # destinations, one string each

    def __len__(self) -> int:
        return len(self._waits)

    def __contains__(self, entry_id: object) -> bool:
        return entry_id in self._waits

    def waits(self, entry_id: str) -> Waits:
        """What of the entry has not become due yet."""
        return self._waits.get(entry_id, ())

    def ids(self) -> Iterator[str]:
        """Every entry's id."""
        return iter(self._waits)

    def set(self, entry_id: str, waits: Iterable[tuple[str, float]], priority: int = 0) -> None:
        """The entry waits so, and no longer as it did; without any wait it is known and never due."""
        names = self._names
        kept: Waits = tuple((names.setdefault(name, name), at) for name, at in waits)
        if len(names) > 1_000_000:
            names.clear()
        before = self._waits.get(entry_id, ())
        self._waits[entry_id] = kept
        for name, at in kept:
            if (name, at) not in before:
                heapq.heappush(self._heap, (at, entry_id, name, priority))

    def add(self, entry_id: str, destination: str, at: float, priority: int = 0) -> None:
        """One more wait of an entry."""
        self.set(entry_id, (*self._waits.get(entry_id, ()), (destination, at)), priority)

    def drop(self, entry_id: str) -> None:
        """The entry is gone."""
        self._waits.pop(entry_id, None)
        if len(self._heap) > 1000 and not self._waits:
            self._heap.clear()

    def counts(self, destinations: Collection[str]) -> dict[str, int]:
        """How many letters wait for each of `destinations`."""
        found = dict.fromkeys(destinations, 0)
        if found:
            for waits in self._waits.values():
                for name, _ in waits:
                    if name in found:
                        found[name] += 1
        return found

    def due(self, now: float) -> Iterator[Due]:
        """What has become due by `now`; each wait once."""
        while self._heap and self._heap[0][0] <= now:
            at, entry_id, name, priority = heapq.heappop(self._heap)
            waits = self._waits.get(entry_id, ())
            if (name, at) in waits:
                self._waits[entry_id] = tuple(wait for wait in waits if wait != (name, at))
                yield Due((-priority, at), entry_id, name)

    def next_at(self) -> float | None:
        """When the next wait ends, at the latest; None: nothing waits."""
        return self._heap[0][0] if self._heap else None
