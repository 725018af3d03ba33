"""When a letter is tried again, when its sender hears of the delay, when it is given up: pure functions of time.

RFC 5321 §4.5.4.1 asks for retries at intervals that grow, and for 4 to 5 days before giving up.
"""

from __future__ import annotations

from dataclasses import dataclass

_JITTER = 0.2
_MAX_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Schedule:
    """The waits, in seconds."""

    first_s: float = 300.0
    longest_s: float = 14_400.0
    lifetime_s: float = 432_000.0
    delay_notice_s: float = 14_400.0

    def wait_s(self, attempts_count: int, chance: float) -> float:
        """The wait after the `attempts_count`-th attempt: doubled each time, up to the longest.

        `chance` (0 to 1) moves it by up to a fifth either way, so that letters that failed together do not return
        together.
        """
        doublings = min(max(attempts_count - 1, 0), _MAX_DOUBLINGS)
        plain = min(self.first_s * 2.0**doublings, self.longest_s)
        return plain * (1 - _JITTER + 2 * _JITTER * min(max(chance, 0.0), 1.0))

    def next_at(self, received_at: float, attempts_count: int, now: float, chance: float) -> float:
        """When to try next. Never after the end of the letter's life: the last attempt is made then."""
        at = now + self.wait_s(attempts_count, chance)
        end = received_at + self.lifetime_s
        return min(at, end) if now < end else now

    def is_over(self, received_at: float, now: float) -> bool:
        """The letter's life has ended: what fails now is given up."""
        return now >= received_at + self.lifetime_s

    def is_notice_due(self, received_at: float, now: float) -> bool:
        """The letter has waited long enough for its sender to be told (RFC 3461 §4.1, NOTIFY=DELAY)."""
        return self.delay_notice_s > 0 and now >= received_at + self.delay_notice_s
