"""The destinations whose connections wait for another letter; one of them has to go when a new destination comes."""

from __future__ import annotations

import random

from bdmta.queue.destination import Destination


class Resting:
    """A set from which one is drawn by lot.

    The one that has waited longest would be wrong where letters go round more destinations than there are
    connections: each would be closed just before it is wanted again.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._members: list[Destination] = []
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._members)

    def add(self, destination: Destination) -> None:
        """A connection of it waits."""
        if destination.key not in self._places:
            self._places[destination.key] = len(self._members)
            self._members.append(destination)

    def discard(self, destination: Destination) -> None:
        """None of its connections waits any more."""
        place = self._places.pop(destination.key, None)
        if place is None:
            return
        last = self._members.pop()
        if last.key != destination.key:
            self._members[place] = last
            self._places[last.key] = place

    def dismiss_one(self) -> bool:
        """Send one that waits home; false when none does."""
        while self._members:
            drawn = self._members[int(self._chance.random() * len(self._members))]
            if drawn.dismiss():
                return True
            self.discard(drawn)
        return False
