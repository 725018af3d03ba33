"""Time comes in as an argument: the store's own Protocol, since `storage` imports nothing of `bdmta`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What everything here that needs the time takes; `bdmta.clock.Clock` and its fake fit."""

    def time(self) -> float:
        """Seconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back, for durations."""
        ...

    def now(self) -> datetime:
        """The time in UTC, aware."""
        ...


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()  # noqa: TID251 - the one place in the store

    def monotonic(self) -> float:
        """Seconds that never step back."""
        return time.monotonic()

    def now(self) -> datetime:
        """The time in UTC, aware."""
        return datetime.now(UTC)  # noqa: TID251 - the one place in the store
