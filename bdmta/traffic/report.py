"""What a run came to: a table for people, JSON for programs, a chart for a document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bdmta.traffic.chart import Axis, Series, line_chart, stacked
from bdmta.traffic.latency import SHOWN, Latencies
from bdmta.traffic.run import ANSWER, Run
from bdmta.traffic.verdict import MEANINGS, Fault

_SHOWN_FAULTS = 20
_PERCENTS = (0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.99)


@dataclass(frozen=True)
class Outcome:
    """A run and what was found afterwards. `checked_by`: IMAP, Maildir, or empty when nobody looked."""

    run: Run
    faults: Sequence[Fault]
    checked_by: str
    checked_count: int
    settings: dict[str, Any]
    trouble: str = ""
    """Why nobody could look, though it was wanted."""

    @property
    def is_good(self) -> bool:
        """No fault was found, the server answered, and nothing kept the tool from looking."""
        return not self.faults and self.run.answered > self.run.counts["failed"] and not self.trouble


def as_json(outcome: Outcome) -> dict[str, Any]:
    """All of it; faults as counts and the first thousand."""
    run = outcome.run
    return {
        "settings": outcome.settings,
        "seconds": round(run.sending_s, 3),
        "letters": {"due": run.due, **run.counts},
        "letters_per_s": round(run.answered / run.sending_s, 2) if run.sending_s else 0.0,
        "octets": run.octets,
        "read": run.notes.read_count,
        "generator_lag_ms": round(run.generator_lag_s * 1000, 1),
        "latencies": {name: one.as_json() for name, one in sorted(run.meter.by_name.items())},
        "errors": run.notes.errors,
        "checked": {"by": outcome.checked_by, "promises": outcome.checked_count, "trouble": outcome.trouble},
        "faults": dict(Counter(fault.what for fault in outcome.faults)),
        "fault_list": [
            {"what": fault.what, "letter": fault.number, "address": fault.address, "detail": fault.detail}
            for fault in outcome.faults[:1000]
        ],
        "ok": outcome.is_good,
    }


def show(outcome: Outcome, console: Console) -> None:
    """The final tables."""
    run = outcome.run
    counts = ", ".join(f"{count} {what}" for what, count in run.counts.items() if count)
    rate = run.answered / run.sending_s if run.sending_s else 0.0
    console.print(
        f"\n{run.due} letters in {run.sending_s:.1f} s ({rate:.1f} a second, {run.octets / 1e6:.1f} MB): {counts}"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("milliseconds")
    for title in ("count", *(f"p{percent:g}" if percent < 100 else "longest" for percent in SHOWN)):
        table.add_column(title, justify="right")
    for name, one in sorted(run.meter.by_name.items()):
        if one.longest_s:
            table.add_row(name, str(one.count), *(_ms(one, percent) for percent in SHOWN))
    console.print(table)
    if run.generator_lag_s > 0.05:
        console.print(
            f"This tool itself was late by up to {run.generator_lag_s * 1000:.0f} ms; the latencies hold that.",
            style="yellow",
        )
    for what, count in sorted(run.notes.errors.items(), key=lambda item: -item[1])[:10]:
        console.print(f"{count} x {what}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    if outcome.trouble:
        console.print(
            f"Nobody could look what became of the letters: {outcome.trouble}", style="bold red", markup=False
        )
    else:
        show_faults(outcome.faults, outcome.checked_by, outcome.checked_count, console)


def show_faults(faults: Sequence[Fault], checked_by: str, checked_count: int, console: Console) -> None:
    """What was looked at and what is wrong."""
    if not checked_by:
        console.print("Nobody looked what became of the letters (--no-check).", style="yellow")
    elif not faults:
        console.print(
            f"{checked_count} promises checked by {checked_by}: every letter once, whole, where it should be.",
            style="green",
        )
    else:
        console.print(f"{checked_count} promises checked by {checked_by}; {len(faults)} faults:", style="bold red")
    for what, count in Counter(fault.what for fault in faults).most_common():
        console.print(f"  {count:>6} {what}: {MEANINGS[what]}")
    for fault in faults[:_SHOWN_FAULTS]:
        console.print(f"  {fault}", markup=False, highlight=False, soft_wrap=True)
    if len(faults) > _SHOWN_FAULTS:
        console.print(f"  and {len(faults) - _SHOWN_FAULTS} more")


def _ms(one: Latencies, percent: float) -> str:
    value = one.percentile_s(percent) * 1000
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def chart(outcome: Outcome) -> str:
    """Two charts: latency by percentile of each kind of letter, and letters and latency in the course of the run."""
    run = outcome.run
    start = f"{ANSWER}: "
    names = sorted(name for name in run.meter.by_name if name.startswith(start))
    ticks = [(_tail(percent), f"{percent:g} %") for percent in _PERCENTS if percent in (0, 50, 90, 99, 99.9, 99.99)]
    by_kind = [
        Series(name.removeprefix(start), [
            (_tail(percent), run.meter.by_name[name].percentile_s(percent or 0.01) * 1000) for percent in _PERCENTS
            if run.meter.by_name[name].count * (100 - percent) >= 100 or percent == 0
        ])
        for name in names
    ]  # fmt: skip
    slots = sorted(run.meter.by_slot.items())
    slot_s = run.pace.slot_s
    over_time = [
        Series("p50", [(slot * slot_s, one.percentile_s(50) * 1000) for slot, one in slots]),
        Series("p99", [(slot * slot_s, one.percentile_s(99) * 1000) for slot, one in slots]),
        Series("letters a second", [(slot * slot_s, one.count / slot_s) for slot, one in slots]),
    ]
    note = f"{run.due} letters, {run.sending_s:.0f} s, seed {outcome.settings.get('seed')}"
    return stacked([
        line_chart("Answer to a letter, by percentile", Axis("share of letters answered within", ticks=ticks),
                   Axis("milliseconds", is_log=True), by_kind, note),
        line_chart("In the course of the run", Axis("seconds from the start"),
                   Axis("milliseconds; letters a second", is_log=True), over_time, note),
    ])  # fmt: skip


def _tail(percent: float) -> float:
    """Evenly by nines: 0, 90, 99, 99.9 lie one apart."""
    from math import log10

    return -log10((100 - percent) / 100)
