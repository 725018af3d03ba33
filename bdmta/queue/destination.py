"""What is known of one destination: what waits for it, who works for it, whether it answers."""

from __future__ import annotations

import asyncio
import heapq

from bdmta.queue.book import Due
from bdmta.queue.outcome import Outcome


class Destination:
    """One next hop or domain. It holds the limits that keep it from delaying others."""

    __slots__ = (
        "_idle",
        "_ready",
        "down_until",
        "failures_count",
        "handed_count",
        "is_proven",
        "key",
        "last",
        "workers_count",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        self._ready: list[Due] = []
        self._idle: list[asyncio.Future[Due | None]] = []
        self.handed_count = 0  # given to a worker that has not woken yet
        self.workers_count = 0
        self.is_proven = False
        self.failures_count = 0
        self.down_until = 0.0
        self.last: Outcome | None = None

    @property
    def ready_count(self) -> int:
        """Letters whose time has come."""
        return len(self._ready)

    @property
    def is_idle(self) -> bool:
        """No letters and no workers."""
        return not (self._ready or self.workers_count)

    def push(self, due: Due) -> bool:
        """A letter's time has come; True when a worker that waited has taken it."""
        while self._idle:
            waiter = self._idle.pop()
            if not waiter.done():
                waiter.set_result(due)
                self.handed_count += 1
                return True
        heapq.heappush(self._ready, due)
        return False

    def pop(self) -> Due | None:
        """The next letter: priority, then age."""
        return heapq.heappop(self._ready) if self._ready else None

    async def wait(self, seconds: float) -> Due | None:
        """The next letter that comes within `seconds`; None: none did."""
        if seconds <= 0:
            return None
        waiter: asyncio.Future[Due | None] = asyncio.get_running_loop().create_future()
        self._idle.append(waiter)
        due: Due | None = None
        try:
            async with asyncio.timeout(seconds):
                due = await waiter
        except TimeoutError:
            due = waiter.result() if waiter.done() and not waiter.cancelled() else None  # it came at the last moment
        finally:
            if waiter in self._idle:
                self._idle.remove(waiter)
        if due is not None:
            self.handed_count -= 1
        return due

    @property
    def has_idle(self) -> bool:
        """Some worker of it waits for a letter."""
        return bool(self._idle)

    def dismiss(self) -> bool:
        """Let one of those that wait for letters go home; false when none does."""
        while self._idle:
            waiter = self._idle.pop()
            if not waiter.done():
                waiter.set_result(None)
                return True
        return False

    def wake_all(self) -> None:
        """Let those that wait for letters go home."""
        for waiter in self._idle:
            if not waiter.done():
                waiter.set_result(None)
        self._idle.clear()

    def workers_wanted(self, limit_count: int) -> int:
        """How many more to start: a destination that has not answered yet gets a single one."""
        limit = limit_count if self.is_proven else 1
        return max(0, min(limit - self.workers_count, len(self._ready)))

    def succeeded(self) -> None:
        """It took a connection."""
        self.is_proven = True
        self.failures_count = 0
        self.down_until = 0.0
        self.last = None

    def failed(self, outcome: Outcome, until: float) -> None:
        """No connection could be made; its letters need not try before `until`."""
        self.is_proven = False
        self.failures_count += 1
        self.down_until = until
        self.last = outcome
