"""What the queue tells Prometheus: letters, the oldest, attempts, reports, how long delivery took, which hops hold up.

No figure names a person or a letter. Destinations are named where they hold up, `NAMED_COUNT` of them at most.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

NAMED_COUNT = 20
OTHER = "other"
STATES = ("waiting", "due", "sending", "held", "unreadable")
OUTCOMES = {"sent": "delivered", "deferred": "deferred", "bounced": "bounced"}
REPORTS = ("failed", "delayed", "relayed", "delivered")
DELIVERY_S = (0.1, 0.5, 1, 5, 30, 60, 300, 900, 3600, 14_400, 86_400, 432_000)


class QueueFigures:
    """The figures of one courier; counters begin at 0 with it."""

    def __init__(self) -> None:
        self.registry = all_ = CollectorRegistry()
        self._letters = Gauge("bdmta_queue_letters", "Letters in the queue by state.", ["state"], registry=all_)
        self._oldest = Gauge("bdmta_queue_oldest_age_seconds", "Age of the oldest letter; 0: none.", registry=all_)
        self._down = Gauge("bdmta_queue_destinations_down", "Destinations that do not answer now.", registry=all_)
        self._held_up = Gauge(
            "bdmta_queue_held_up_letters", "Letters for destinations that do not answer; those with most by name.",
            ["destination"], registry=all_,
        )  # fmt: skip
        self._at = Gauge("bdmta_queue_figures_timestamp_seconds", "When these figures were taken.", registry=all_)
        attempts = Counter("bdmta_queue_attempts", "Attempts, one a recipient.", ["outcome"], registry=all_)
        reports = Counter("bdmta_queue_reports", "Reports of delivery (DSN), one a recipient.", ["kind"], registry=all_)
        self._attempts = {event: attempts.labels(outcome) for event, outcome in OUTCOMES.items()}
        self._reports = {kind: reports.labels(kind) for kind in REPORTS}
        self._delivery = Histogram(
            "bdmta_queue_delivery_seconds", "From a letter's acceptance to the other system's 250, one a recipient.",
            buckets=DELIVERY_S, registry=all_,
        )  # fmt: skip
        self._ages: list[tuple[float, str]] = []

    def attempt(self, event: str, age_s: float) -> None:
        """A recipient was tried: the event as the ledger has it, and the letter's age."""
        counter = self._attempts.get(event)
        if counter is not None:
            counter.inc()
        if event == "sent":
            self._delivery.observe(max(age_s, 0.0))

    def reported(self, kind: str) -> None:
        """A sender has been told of a recipient."""
        self._reports[kind].inc()

    def came(self, entry_id: str, received_at: float) -> None:
        """A letter is in the queue that was not known."""
        heapq.heappush(self._ages, (received_at, entry_id))

    def take(self, now: float, states: Mapping[str, int], known: Container[str], held_up: Mapping[str, int]) -> None:
        """Set what is so now: letters by state, the ids of all, letters by destination that is down."""
        for state in STATES:
            self._letters.labels(state).set(states.get(state, 0))
        while self._ages and self._ages[0][1] not in known:
            heapq.heappop(self._ages)
        self._oldest.set(max(now - self._ages[0][0], 0.0) if self._ages else 0.0)
        self._down.set(len(held_up))
        self._held_up.clear()
        named = heapq.nlargest(NAMED_COUNT, held_up.items(), key=lambda item: item[1])
        for destination, count in named:
            self._held_up.labels(destination).set(count)
        self._held_up.labels(OTHER).set(sum(held_up.values()) - sum(count for _, count in named))
        self._at.set(now)
