"""`scripts/bench latency`: how long a 250 takes when the server is not full: an open loop at 60 % of Postfix's rate, 4 KiB.

Postfix's rate is measured first, in the same run. Letters fall due at random moments that do not wait for the server, and each
latency counts from the moment the letter was due, so that a stall is charged with all that waited. The client is bdmta-traffic's, one
process on the same cores: its own share is in both columns.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

from bdmta.clock import SystemClock
from bdmta.traffic.ledger import Ledger
from bdmta.traffic.letter import Letter, id_line
from bdmta.traffic.run import ANSWER, Pace, Run
from bdmta.traffic.schedule import moments
from bdmta.traffic.target import Target
from bdmta.traffic.wire import Endpoint, TlsSettings, tls_context
from bench import smtp
from bench.bars import bar_chart
from bench.extent import of
from bench.peers import ADDRESSES, DOMAIN, Peer

SHARE = 0.6
SECONDS = of(8.0, 3.0)
SESSIONS = 50
PERCENTS = (50.0, 90.0, 99.0, 99.9)
Say = Callable[[str], None]
_HEAD = (
    b"From: <a@sender.test>\r\nTo: <u@test.local>\r\nSubject: latency\r\nDate: Mon, 5 Jan 2026 09:00:00 +0700\r\n\r\n"
)
_LETTER = _HEAD + b"The quarterly report on the registry of mailboxes is attached.\r\n" * 62


def race(peers: Sequence[Peer], rounds: int, say: Say) -> tuple[float, dict[str, list[dict[float, float]]]]:
    """The rate, and of each peer the percentiles (milliseconds) of each round."""
    for peer in peers:
        smtp.turn(peer, smtp.Workload(10, 300, 4096))
    theirs = next(peer for peer in peers if peer.name == "postfix")
    rate = SHARE * statistics.median(smtp.turn(theirs, smtp.Workload(10, 1000, 4096))[0] for _ in range(3))
    say(f"{SHARE:.0%} of Postfix's rate: {rate:.0f} letters a second")
    found: dict[str, list[dict[float, float]]] = {peer.name: [] for peer in peers}
    for number in range(rounds):
        for offset in range(len(peers)):
            peer = peers[(offset + number) % len(peers)]
            os.sync()
            took = _turn(peer, rate, number)
            found[peer.name].append(took)
            say(f"round {number + 1} {peer.name:<12} " + "  ".join(f"p{p:g} {ms:.1f} ms" for p, ms in took.items()))
            time.sleep(1)
    return rate, found


def _turn(peer: Peer, rate: float, seed: int) -> dict[float, float]:
    target = Target((), TlsSettings(tls_context("", is_verified=False)), smtp=Endpoint("smtp", "127.0.0.1", peer.port))
    pace = Pace(SECONDS, SESSIONS, moments=moments(rate, SECONDS, seed))
    run = Run(target, _letters(seed), pace, Ledger(f"l{seed}"), SystemClock(), seed)
    gc.collect()
    gc.freeze()
    asyncio.run(run())
    gc.unfreeze()
    if run.counts["accepted"] != run.due:
        raise SystemExit(f"{peer.name}: not every letter was accepted: {run.counts}, {run.notes.errors}")
    return {percent: run.meter.by_name[ANSWER].percentile_s(percent) * 1000 for percent in PERCENTS}


def _letters(seed: int) -> Iterator[Letter]:
    number = 0
    while True:
        number += 1
        octets = id_line(f"l{seed}", number) + _LETTER
        yield Letter(number, "inbound", "a@sender.test", (f"{number % ADDRESSES}u@{DOMAIN}",), octets)


def bars(found: dict[str, list[dict[float, float]]], titles: dict[str, str]) -> str:
    """The medians of the rounds as a chart."""
    series = []
    for name, rounds in found.items():
        by_percent = [[one[percent] for one in rounds] for percent in PERCENTS]
        series.append(
            (titles[name], [(f"{(middle := statistics.median(ms)):.1f} ms", middle, ms) for ms in by_percent])
        )
    return bar_chart(
        "Milliseconds from when a letter is due to its 250", [f"p{percent:g}" for percent in PERCENTS], series
    )


def table(rate: float, found: dict[str, list[dict[float, float]]], titles: dict[str, str]) -> str:
    """Markdown, milliseconds."""
    lines = [
        f"From the moment that a letter of 4 KiB falls due until its 250, {rate:.0f} letters a second in an open loop "
        f"({SHARE:.0%} of Postfix's own rate), {SECONDS:g} s a turn; median of the rounds (least to most), milliseconds.", "",
        "| | " + " | ".join(titles[name] for name in found) + " |", "|---|" + "---|" * len(found),
    ]  # fmt: skip
    for percent in PERCENTS:
        cells = []
        for rounds in found.values():
            values = [one[percent] for one in rounds]
            cells.append(f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})")
        lines.append(f"| p{percent:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
