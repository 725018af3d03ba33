"""Latencies by name, and their percentiles: every value is kept as a count in a bucket of 1 %, so memory is bounded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

_GROWTH = math.log(1.01)
_LEAST_S = 1e-6
SHOWN = (50.0, 90.0, 99.0, 99.9, 100.0)


class Latencies:
    """Durations in seconds of one kind of thing."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.total_s = 0.0
        self.longest_s = 0.0

    def add(self, seconds: float) -> None:
        """One more; less than a microsecond counts as that."""
        self._buckets[round(math.log(max(seconds, _LEAST_S) / _LEAST_S) / _GROWTH)] += 1
        self.count += 1
        self.total_s += seconds
        self.longest_s = max(self.longest_s, seconds)

    def percentile_s(self, percent: float) -> float:
        """The value that `percent` of them do not exceed, within 1 %; 0 when there is none."""
        if percent >= 100 or not self.count:
            return self.longest_s
        wanted, so_far = math.ceil(self.count * percent / 100), 0
        for bucket in sorted(self._buckets):
            so_far += self._buckets[bucket]
            if so_far >= wanted:
                return min(self.longest_s, _LEAST_S * math.exp(bucket * _GROWTH))
        return self.longest_s

    @classmethod
    def joined(cls, parts: Iterable[Latencies]) -> Latencies:
        """All of these together."""
        whole = cls()
        for one in parts:
            whole._buckets.update(one._buckets)
            whole.count += one.count
            whole.total_s += one.total_s
            whole.longest_s = max(whole.longest_s, one.longest_s)
        return whole

    def as_json(self) -> dict[str, float]:
        """Milliseconds."""
        shown = {f"p{percent:g}_ms": round(self.percentile_s(percent) * 1000, 3) for percent in SHOWN}
        return {"count": self.count, "mean_ms": round(self.total_s / max(1, self.count) * 1000, 3), **shown}


class Meter:
    """Latencies by name, and letters by second of the run."""

    def __init__(self) -> None:
        self.by_name: dict[str, Latencies] = {}
        self.by_slot: dict[int, Latencies] = {}

    def add(self, name: str, seconds: float) -> None:
        """One duration of `name`."""
        self.by_name.setdefault(name, Latencies()).add(seconds)

    def add_letter(self, at_s: float, seconds: float, slot_s: float) -> None:
        """A letter that was due at `at_s` of the run was answered after `seconds`."""
        self.by_slot.setdefault(int(at_s / slot_s), Latencies()).add(seconds)
