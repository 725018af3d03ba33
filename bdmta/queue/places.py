"""Who may have a connection: so many in all, so many a destination; where none is free a destination stands in line."""

from __future__ import annotations

import random
from dataclasses import dataclass

from bdmta.queue.book import Due
from bdmta.queue.destination import Destination
from bdmta.queue.resting import Resting

_MAX_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there are, and how long they are kept."""

    connections_count: int = 500
    destination_connections_count: int = 20
    connection_letters_count: int = 200
    idle_s: float = 5.0


class Places:
    """All destinations of which something is known, and how many workers each has."""

    def __init__(self, bounds: Bounds, chance: random.Random) -> None:
        self._bounds = bounds
        self._destinations: dict[str, Destination] = {}
        self._line: dict[str, None] = {}  # destinations that wait for one of all connections
        self._resting = Resting(chance)
        self._taken_count = 0

    def destination(self, key: str) -> Destination:
        """The destination, new or known."""
        found = self._destinations.get(key)
        if found is None:
            if len(self._destinations) > _MAX_REMEMBERED:
                self._destinations = {k: d for k, d in self._destinations.items() if not d.is_idle}
            found = self._destinations[key] = Destination(key)
        return found

    def revive(self, key: str) -> None:
        """An operator wants another try now: what is known of the destination's failure does not count."""
        known = self._destinations.get(key)
        if known is not None:
            known.down_until = 0.0

    def take(self, destination: Destination) -> int:
        """How many workers to start for it, their places taken; where that is too few, it stands in line."""
        wanted_count = destination.workers_wanted(self._bounds.destination_connections_count)
        free_count = self._bounds.connections_count - self._taken_count
        if wanted_count > free_count:
            self._line[destination.key] = None
            self._resting.dismiss_one()
        count = max(0, min(wanted_count, free_count))
        destination.workers_count += count
        self._taken_count += count
        return count

    def give_back(self, destination: Destination) -> None:
        """One worker of it has ended."""
        destination.workers_count -= 1
        self._taken_count -= 1

    @property
    def has_line(self) -> bool:
        """Some destination waits for a place."""
        return bool(self._line)

    def next_in_line(self) -> Destination | None:
        """The destination that is to have the place that is free; None: nobody waits, or no place is free."""
        while self._line and self._taken_count < self._bounds.connections_count:
            key = next(iter(self._line))
            del self._line[key]
            if key in self._destinations:
                return self._destinations[key]
        return None

    async def rest(self, destination: Destination) -> Due | None:
        """The next letter for a connection that has none, unless another destination wants its place before."""
        self._resting.add(destination)
        due = await destination.wait(self._bounds.idle_s)
        if not destination.has_idle:
            self._resting.discard(destination)
        return due

    def drop_idle(self, destination: Destination) -> None:
        """Forget it if there is nothing to know of it."""
        if destination.is_idle and not destination.failures_count:
            self._destinations.pop(destination.key, None)

    def wake_all(self) -> None:
        """Let all that rest go home."""
        for destination in self._destinations.values():
            destination.wake_all()

    @property
    def has_letters(self) -> bool:
        """Some letter's time has come, or somebody has been handed one."""
        return any(d.ready_count or d.handed_count for d in self._destinations.values())

    @property
    def ready_count(self) -> int:
        """Letters whose time has come, once for each destination."""
        return sum(destination.ready_count for destination in self._destinations.values())

    def down(self, now: float) -> list[str]:
        """The destinations that do not answer now."""
        return [key for key, destination in self._destinations.items() if key and destination.down_until > now]
