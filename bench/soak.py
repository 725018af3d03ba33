"""`scripts/soak MINUTES`: mixed traffic, and afterwards: is everything as flat as it should be?

A site of its own on loopback, an open loop of the office mix, readers by IMAP and POP3. Each process is looked at every five
seconds. The first fifth warms up and is not judged; the second fifth is compared with the last (bench.flat). Exit 1 when memory,
descriptors, threads or latency grew, or a letter is lost, doubled, damaged, misplaced or late.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import os
import sys
import tempfile
from itertools import chain
from pathlib import Path

from rich.console import Console

from bdmta.clock import SystemClock
from bdmta.traffic import report
from bdmta.traffic.chart import Axis, Series, line_chart, stacked
from bdmta.traffic.compose import Composer
from bdmta.traffic.hostile import read_folder
from bdmta.traffic.inspection import inspect
from bdmta.traffic.ledger import Ledger
from bdmta.traffic.live import progress
from bdmta.traffic.mix import Mix, read_mix
from bdmta.traffic.population import invent
from bdmta.traffic.run import Pace, Run
from bdmta.traffic.schedule import moments
from bdmta.traffic.sizes import Shape
from bdmta.traffic.target import Target, read_site
from bdmta.traffic.wire import TlsSettings, tls_context
from bench.flat import Row, held_mb, kept_at_the_end, rows_of
from bench.samples import Sampler
from bench.site import Site, end_by_sigterm

BURST = 150
"""So many letters at once to begin with, so that pools of threads are full before anything is judged."""
_DOMAIN = "binhduong.gov.vn"
_PICTURE = Path(__file__).parents[1] / "docs" / "soak.svg"
_CORPUS = Path(__file__).parents[1] / "tests" / "corpus" / "letters"


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--rate", type=float, default=6.0, help="letters a second")
    parser.add_argument("--boxes", type=int, default=25)
    parser.add_argument("--readers", default="thunderbird=6,outlook=4,pop3=2")
    parser.add_argument("--base-port", type=int, default=28000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put the outcome into bench/RESULTS.md and docs/soak.svg")
    asked = parser.parse_args()
    end_by_sigterm()
    top = Path(tempfile.mkdtemp(prefix="bdmta-soak.", dir=os.environ.get("BENCH_TMP")))
    site = Site(top / "site", asked.base_port, _DOMAIN)
    site.add(invent(asked.boxes, _DOMAIN))
    site.serve()
    try:
        with Sampler(site.pid) as sampler:
            outcome = asyncio.run(_traffic(site, asked))
            sampler.take()
    finally:
        site.stop()
        print(f"left in {top}; remove it when you like", flush=True)
    console = Console()
    report.show(outcome, console)
    rows = rows_of(sampler.by_role, outcome.run.meter, outcome.checked_count)
    text = _table(asked, outcome, sampler, rows, site)
    print(text, flush=True)
    if asked.write:
        from bench.results import write

        _PICTURE.write_text(_chart(sampler, outcome.run))
        write("soak", text, command=f"scripts/soak {asked.minutes:g} --write")
    sys.exit(0 if outcome.is_good and all(row[-1] for row in rows) else 1)


async def _traffic(site: Site, asked: argparse.Namespace) -> report.Outcome:
    clock = SystemClock()
    found = read_site(str(site.folder))
    target = Target(
        site.accounts, TlsSettings(tls_context(found.ca_file, is_verified=True), "localhost"),
        found.services["smtp"], found.services["submission"], found.services["imap"], found.services["pop3"],
        maildir=found.maildir,
    )  # fmt: skip
    composer = Composer("soak", clock.now(), Shape(), 4_000_000)
    corpus = read_folder(str(_CORPUS)) if _CORPUS.exists() else ()
    letters = Mix(site.accounts, read_mix("office"), composer, "soak", asked.seed, corpus).letters()
    duration_s = asked.minutes * 60
    readers = {kind: int(count) for kind, _, count in (item.partition("=") for item in asked.readers.split(","))}
    due = chain((0.0,) * BURST, moments(asked.rate, duration_s, asked.seed))
    pace = Pace(duration_s, moments=due, readers=readers, slot_s=5.0, idle_s=20.0)
    running = Run(target, letters, pace, Ledger("soak"), clock, asked.seed)
    with progress(Console(stderr=True), duration_s) as tick:
        await running(tick)
    last = clock.monotonic()
    faults, checked = await inspect(
        running.ledger, target, late_s=60, patience_s=120, elapsed_since_last_s=lambda: clock.monotonic() - last
    )
    settings = {"seed": asked.seed, "rate": asked.rate}
    return report.Outcome(running, (*running.notes.faults, *faults), "Maildir", checked, settings)


def _table(asked: argparse.Namespace, outcome: report.Outcome, sampler: Sampler, rows: list[Row], site: Site) -> str:
    run = outcome.run
    counts = ", ".join(f"{count:,} {what}" for what, count in run.counts.items() if count)
    errors = sum(run.notes.errors.values())
    lines = [
        f"{asked.minutes:g} minutes, {asked.rate:g} letters a second in an open loop on {asked.boxes} mailboxes, readers "
        f"{asked.readers}: {counts}; {run.notes.read_count:,} letters read whole, {errors} sessions broken. "
        f"{outcome.checked_count:,} promises checked, {len(outcome.faults)} faults. "
        f"CPU of the server {sampler.cpu_s * 1000 / max(1, run.answered):.1f} ms a letter, reading included. "
        f"Descriptors of folders and indexes that are kept open between letters, which are not judged, at the end: "
        f"{kept_at_the_end(sampler.by_role) or 'none'}. The letters that came meanwhile let an edge grow by "
        f"{held_mb(outcome.checked_count):.1f} MB.",
        "", "| | second fifth | last fifth | |", "|---|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| {name} | {before:.1f} | {after:.1f} | {'flat' if flat else '**grew**'} |"
        for name, before, after, flat in rows
    ]
    return "\n".join([*lines, "", "![memory and latency](../docs/soak.svg)"])


def _chart(sampler: Sampler, run: Run) -> str:
    memory = [
        Series(name, [(one.at_s / 60, one.anonymous_mb) for one in samples])
        for name, samples in sorted(sampler.by_role.items()) if len(samples) > 10
    ]  # fmt: skip
    slots = sorted(run.meter.by_slot.items())
    latency = [
        Series(f"p{percent:g}", [(slot * 5 / 60, one.percentile_s(percent) * 1000) for slot, one in slots])
        for percent in (50.0, 99.0)
    ]
    note = f"scripts/soak, {datetime.date.today()}"
    return stacked([
        line_chart("Anonymous memory of each process", Axis("minutes"), Axis("MB"), memory, note),
        line_chart("Answer to a letter", Axis("minutes"), Axis("milliseconds", is_log=True), latency, note),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
