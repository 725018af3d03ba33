"""What is seen while it runs: a table that renews itself on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bdmta.traffic.run import ANSWER, Run

_LINE_EVERY_S = 10.0


@contextmanager
def progress(console: Console, duration_s: float) -> Iterator[Callable[[Run], None]]:
    """A function that shows how a run stands."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield lambda run: live.update(_table(run, duration_s))


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_s = _LINE_EVERY_S

    def __call__(self, run: Run) -> None:
        if run.elapsed_s >= self._next_s:
            self._next_s += _LINE_EVERY_S
            self._console.print(_line(run), markup=False, highlight=False)


def _line(run: Run) -> str:
    counts = ", ".join(f"{count} {what}" for what, count in run.counts.items() if count) or "none answered yet"
    waiting = run.due - run.answered
    return f"{run.elapsed_s:6.0f} s  {run.due} due, {waiting} waiting; {counts}; {run.notes.read_count} read"


def _table(run: Run, duration_s: float) -> Table:
    table = Table(title=f"{run.elapsed_s:.0f} of {duration_s:.0f} s", title_justify="left", box=None, pad_edge=False)
    for title in ("", "letters", "p50 ms", "p99 ms", "longest ms"):
        table.add_column(title, justify="right" if title else "left")
    for what, count in run.counts.items():
        table.add_row(what, str(count))
    table.add_row("waiting", str(run.due - run.answered))
    for name, one in sorted(run.meter.by_name.items()):
        if one.longest_s:
            shown = (
                f"{seconds * 1000:,.1f}" for seconds in (one.percentile_s(50), one.percentile_s(99), one.longest_s)
            )
            table.add_row(name.replace(f"{ANSWER}: ", "  "), str(one.count), *shown)
    errors = sum(run.notes.errors.values())
    if errors:
        table.add_row("[yellow]errors[/]", str(errors))
    return table
