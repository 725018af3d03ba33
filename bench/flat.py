"""What counts as flat in a soak: the last fifth of the time against the second; the first warms up."""

from __future__ import annotations

from collections.abc import Mapping

from bdmta.traffic.latency import Latencies, Meter
from bench.samples import Sample, median, part

# A share and an amount more. A leak of 1 KiB a letter is 18 MB in 10 minutes at 30 letters a second.
MEMORY = (1.05, 6.0)
EDGE_MEMORY = (1.03, 3.0)
DESCRIPTORS = (1.0, 12.0)
THREADS = (1.0, 3.0)
LATENCY = (1.5, 20.0)
LETTER_KB = 1.1
"""What an edge holds for a letter in a mailbox that programs read: its row, and pages of the index, at most 1 MiB a mailbox. As
measured (decision 0031): nothing for a letter that nobody has looked at, nothing for a session that has ended.
"""

Row = tuple[str, float, float, bool]
"""What is asserted: its name, the second fifth, the last fifth, whether that is flat."""


def rows_of(by_role: Mapping[str, list[Sample]], meter: Meter, letters: int = 0) -> list[Row]:
    """Everything that is asserted. `letters`: how many came into mailboxes, at an even pace."""
    rows: list[Row] = []
    for name, samples in sorted(by_role.items()):
        if len(samples) < 10:
            continue
        share, more_mb = EDGE_MEMORY if name.startswith("edge") else MEMORY
        largest = f" of the largest of {samples[-1].processes}" if samples[-1].processes > 1 else ""
        more_mb += held_mb(letters) if name.startswith("edge") else 0.0
        for what, number, bounds in (
            (f"anonymous memory{largest}, MB", "judged_mb", (share, more_mb)),
            ("descriptors", "descriptors", DESCRIPTORS),
            ("threads", "threads", THREADS),
        ):
            before, after = _fifth(samples, 1, number), _fifth(samples, 4, number)
            rows.append((f"{name}: {what}", before, after, _is_flat(before, after, bounds)))
    for percent in (50.0, 99.0):
        before, after = (_latency(meter, fifth).percentile_s(percent) * 1000 for fifth in (1, 4))
        rows.append((f"answer to a letter, p{percent:g}, ms", before, after, _is_flat(before, after, LATENCY)))
    return rows


def held_mb(letters: int) -> float:
    """By how much those that came between the two fifths (from 0.3 to 0.9 of the time) let an edge grow."""
    return letters * 0.6 * LETTER_KB / 1000


def _fifth(samples: list[Sample], fifth: int, number: str) -> float:
    return median(part(samples, fifth / 5, (fifth + 1) / 5), number)


def _latency(meter: Meter, fifth: int) -> Latencies:
    last = max(meter.by_slot, default=0) + 1
    chosen = [one for slot, one in meter.by_slot.items() if fifth / 5 <= slot / last < (fifth + 1) / 5]
    return Latencies.joined(chosen)


def _is_flat(before: float, after: float, bounds: tuple[float, float]) -> bool:
    return after <= before * bounds[0] + bounds[1]


def kept_at_the_end(by_role: Mapping[str, list[Sample]]) -> str:
    """How many folders and indexes each process had open between letters: `edge 0 150, edge 1 150`."""
    return ", ".join(f"{name} {samples[-1].kept}" for name, samples in sorted(by_role.items()) if samples[-1].kept)
