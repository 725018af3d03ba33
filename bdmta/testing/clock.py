"""A clock that moves when told."""

from __future__ import annotations

from datetime import UTC, datetime


class FakeClock:
    """Stands still at `at` until `advance` is called."""

    def __init__(self, at: datetime = datetime(2026, 1, 5, 1, 0, tzinfo=UTC)) -> None:
        self._at = at.timestamp()
        self._monotonic = 1000.0

    def time(self) -> float:
        """Seconds since 1970, UTC."""
        return self._at

    def monotonic(self) -> float:
        """Seconds that never step back."""
        return self._monotonic

    def now(self) -> datetime:
        """The time in UTC, aware."""
        return datetime.fromtimestamp(self._at, UTC)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._at += seconds
        self._monotonic += seconds
