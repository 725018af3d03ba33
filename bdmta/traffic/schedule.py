"""When letters are due: a Poisson process of a given mean rate, or the course of a working day pressed into the run.

The moments do not wait for the server (open loop): a server that stalls finds the letters waiting that fell due
meanwhile, and each one's latency counts from the moment it was due. So no stall hides (coordinated omission).
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

# Letters in each hour of a working day by share of the mean. Peaks when Điều 14 has officials open their mail (8 to 9,
# 14 to 15) and after; the heights are an assumption.
WORKING_DAY = (
    0.2, 0.1, 0.1, 0.1, 0.1, 0.2, 0.5, 1.4, 2.8, 2.4, 2.0, 1.2,
    0.6, 1.5, 2.8, 2.4, 2.0, 1.4, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1,
)  # fmt: skip


def moments(rate: float, duration_s: float, seed: int, *, is_working_day: bool = False) -> Iterator[float]:
    """Seconds from the start at which letters are due, rising, up to `duration_s`; `rate` is their mean a second."""
    draw = Random(f"moments {seed}")
    mean = sum(WORKING_DAY) / len(WORKING_DAY)
    peak = max(WORKING_DAY) / mean if is_working_day else 1.0
    at_s = 0.0
    while True:
        at_s += draw.expovariate(rate * peak)
        if at_s >= duration_s:
            return
        if is_working_day:  # thinning: what the peak would bring, less what the hour does not
            hour = int(at_s / duration_s * len(WORKING_DAY))
            if draw.random() * peak > WORKING_DAY[hour] / mean:
                continue
        yield at_s
