"""Every entry of the spool as this process knows it: when it waits for whom, what is never due, what is quite new."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from bdmta.clock import Clock
from bdmta.queue.book import Book, Due, Waits
from bdmta.queue.figures import QueueFigures
from bdmta.queue.recipients import AWAY, is_held, report_due, waits
from bdmta.queue.schedule import Schedule
from storage.spool_entry import QueueEntry

LOCAL = ""
"""The destination of what is not for another system."""
_LOCKED_AGAIN_S = (0.004, 0.02, 0.1, 0.5, 2.0)
_MAX_REMEMBERED = 100_000
_FRESH_S = 3.0
_INLINE_OCTETS = 65_536
_JUST_NOW_S = 60.0


class Inventory:
    """Knows, and sends nothing."""

    def __init__(
        self, destination_of: Callable[[str], str], schedule: Schedule, clock: Clock, figures: QueueFigures
    ) -> None:
        self._destination_of = destination_of
        self._schedule = schedule
        self._clock = clock
        self._figures = figures
        self._book = Book()
        self._kept: dict[str, str] = {}  # entries that are never due: held, or unreadable
        self._fresh: dict[str, float] = {}
        self._locked_count: dict[str, int] = {}

    def __len__(self) -> int:
        """Entries known."""
        return len(self._book)

    def ids(self) -> set[str]:
        """The ids of all entries known."""
        return set(self._book.ids())

    # -- what the spool has

    def learn(self, entry: QueueEntry) -> Waits:
        """An entry as the spool has it now; when which destination is to be tried for it."""
        if entry.id not in self._book:
            self._figures.came(entry.id, entry.received_at)
        if is_held(entry):
            self._kept[entry.id] = "held"
        else:
            self._kept.pop(entry.id, None)
        now = self._clock.time()
        if entry.size_octets <= _INLINE_OCTETS and now - entry.received_at < _FRESH_S:
            if len(self._fresh) > _MAX_REMEMBERED:
                self._fresh.clear()
            self._fresh[entry.id] = now
        found = self._waits(entry, now)
        self._book.set(entry.id, found, entry.priority)
        return found

    def _waits(self, entry: QueueEntry, now: float) -> Waits:
        found = waits(entry, self._destination_of)
        is_left = AWAY in entry.more or any(
            report_due(recipient, entry, self._schedule, now) for recipient in entry.recipients
        )
        if not is_held(entry) and (is_left or not found):
            return (*found, (LOCAL, entry.received_at))  # reports and answers wait for no destination
        return found

    def is_wanted_now(self, entry: QueueEntry) -> bool:
        """An operator has asked for another try a moment ago."""
        return self._clock.time() - float(entry.more.get("retry_at") or 0) < _JUST_NOW_S

    def set_aside(self, entry_id: str) -> None:
        """An entry that cannot be read: known, so that nobody reads it again and again, and never sent."""
        self._kept[entry_id] = "unreadable"
        self._book.set(entry_id, ())

    def forget(self, entry_id: str) -> None:
        """An entry that is no longer in the spool."""
        self._kept.pop(entry_id, None)
        self._book.drop(entry_id)

    # -- what is sent

    def due(self) -> Iterator[Due]:
        """What has become due by now; each wait once."""
        return self._book.due(self._clock.time())

    def wait_s(self, longest_s: float) -> float:
        """Until something may become due, `longest_s` at most."""
        at = self._book.next_at()
        return longest_s if at is None else min(max(at - self._clock.time(), 0.0), longest_s)

    def was_just_written(self, entry_id: str) -> bool:
        """It is small and came a moment ago, so it lies in memory; said once."""
        heard_at = self._fresh.pop(entry_id, None)
        return heard_at is not None and self._clock.time() - heard_at <= _FRESH_S

    def attempted(self, entry: QueueEntry) -> None:
        """The entry as it is after attempts: what is left of it is due later.

        What is due already is under way, but for a destination that found the entry locked and comes again.
        """
        now = self._clock.time()
        later = {name: at for name, at in waits(entry, self._destination_of) if at > now}
        for name, at in self._book.waits(entry.id):
            later.setdefault(name, at)
        self._book.set(entry.id, later.items(), entry.priority)

    def again(self, due: Due, after_s: float) -> None:
        """What was handed out could not be taken up: once more after so long."""
        self._book.add(due.id, due.destination, self._clock.time() + after_s, -due.order[0])

    def again_when_unlocked(self, due: Due) -> None:
        """The edge holds a new entry's lock until it is durable: soon. An operator's command: later."""
        times = self._locked_count[due.id] = self._locked_count.get(due.id, -1) + 1
        if len(self._locked_count) > _MAX_REMEMBERED:
            self._locked_count.clear()
        self.again(due, _LOCKED_AGAIN_S[min(times, len(_LOCKED_AGAIN_S) - 1)])

    def unlocked(self, entry_id: str) -> None:
        """The entry could be taken up."""
        self._locked_count.pop(entry_id, None)

    # -- what is told

    def take_figures(self, sending_count: int, due_count: int, down: Collection[str]) -> None:
        """Bring the figures up to now; `down`: the destinations that do not answer."""
        states = {
            "sending": sending_count,
            "due": due_count,
            "held": sum(why == "held" for why in self._kept.values()),
            "unreadable": sum(why == "unreadable" for why in self._kept.values()),
        }
        states["waiting"] = max(0, len(self._book) - sum(states.values()))
        self._figures.take(self._clock.time(), states, self._book, self._book.counts(down))
