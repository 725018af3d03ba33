"""`scripts/bench smtp` and `group`: letters a second from the first connection until the last is a file in `new/`.

Turns rotate, the disk is synced before each, nothing is deleted in between (ext4 is slow after deletions). The client
is Postfix's smtp-source on the same cores.
"""

from __future__ import annotations

import os
import shutil
import smtplib
import statistics
import subprocess
import time
from dataclasses import dataclass, field

from bench.bars import bar_chart
from bench.extent import of
from bench.peers import DOMAIN, GROUP, MAILBOXES, Peer


@dataclass(frozen=True)
class Workload:
    """`letters` of `octets` over `sessions` connections."""

    sessions: int
    letters: int
    octets: int

    @property
    def label(self) -> str:
        """`4 KiB x 10`."""
        size = f"{self.octets // 1024} KiB" if self.octets < 1 << 20 else f"{self.octets >> 20} MiB"
        return f"{size}, {self.sessions} sessions"


WORKLOADS = (
    Workload(10, of(1500, 300), 4096),
    Workload(50, of(1500, 300), 4096),
    Workload(10, of(300, 60), 102_400),
    Workload(4, of(16, 8), 5_242_880),
)


@dataclass
class GroupRow:
    """The turns of one peer with a letter to the group: seconds until the last has it, CPU, memory."""

    seconds: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    anonymous_mb: list[float] = field(default_factory=list)


@dataclass
class Row:
    """The turns of one peer at one workload."""

    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    anonymous_mb: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)


def turn(peer: Peer, load: Workload) -> tuple[float, float]:
    """Letters a second end to end, and the server's CPU milliseconds a letter."""
    before, cpu_before = peer.letters(MAILBOXES), peer.cpu_s()
    os.sync()
    start = time.monotonic()
    subprocess.run(
        [shutil.which("smtp-source") or "/usr/sbin/smtp-source", "-s", str(load.sessions), "-m", str(load.letters),
         "-l", str(load.octets), "-f", "a@sender.test", "-t", f"u@{DOMAIN}", "-N", f"127.0.0.1:{peer.port}"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _await(peer, before + load.letters)
    seconds = time.monotonic() - start
    return load.letters / seconds, (peer.cpu_s() - cpu_before) * 1000 / load.letters


def _await(peer: Peer, wanted: int) -> None:
    end = time.monotonic() + 60
    while (have := peer.letters(MAILBOXES)) < wanted:
        if time.monotonic() > end:
            raise SystemExit(f"{peer.name}: {wanted - have} letters did not arrive")
        time.sleep(0.005)


def race(peers: list[Peer], rounds: int, say: object) -> dict[Workload, dict[str, Row]]:
    """Every workload, `rounds` times, the peers in turn."""
    rows: dict[Workload, dict[str, Row]] = {load: {peer.name: Row() for peer in peers} for load in WORKLOADS}
    for peer in peers:
        turn(peer, Workload(10, 200, 4096))
    for number in range(rounds):
        for load in WORKLOADS:
            for offset in range(len(peers)):
                peer = peers[(offset + number) % len(peers)]
                rate, cpu_ms = turn(peer, load)
                rows[load][peer.name].rates.append(rate)
                rows[load][peer.name].cpu_ms.append(cpu_ms)
                rows[load][peer.name].anonymous_mb.append(peer.anonymous_mb())
                say(f"round {number + 1} {load.label:<22} {peer.name:<12} {rate:8.1f}/s {cpu_ms:7.2f} ms CPU")  # type: ignore[operator]
    return rows


def group(peers: list[Peer], rounds: int, say: object) -> dict[str, GroupRow]:
    """Seconds from the connection until one letter to a group of 1,000 lies in every mailbox."""
    rows = {peer.name: GroupRow() for peer in peers}
    letter = "From: a@sender.test\r\nTo: everybody@test.local\r\nSubject: x\r\n\r\n" + "x" * 70 + "\r\n"
    for number in range(-1, rounds):  # the first is not counted: Postfix makes its Maildirs then
        for offset in range(len(peers)):
            peer = peers[(offset + number) % len(peers)]
            before = peer.letters(GROUP)
            stamps = [peer.stamp(mailbox) for mailbox in range(GROUP)]
            os.sync()
            cpu_before, start = peer.cpu_s(), time.monotonic()
            with smtplib.SMTP("127.0.0.1", peer.port, local_hostname="bench.test") as client:
                client.sendmail("a@sender.test", [f"everybody@{DOMAIN}"], letter)
            # By the folders' times, as listing 1,000 folders takes as long as delivering to them; counted afterwards.
            for mailbox in range(GROUP):
                while peer.stamp(mailbox) == stamps[mailbox]:
                    if time.monotonic() - start > 60:
                        raise SystemExit(f"{peer.name}: the group letter did not reach every mailbox")
            took_s = time.monotonic() - start
            time.sleep(0.3)
            cpu_ms = (peer.cpu_s() - cpu_before) * 1000
            if peer.letters(GROUP) != before + GROUP:
                raise SystemExit(f"{peer.name}: not one letter in each mailbox")
            if number < 0:
                continue
            row = rows[peer.name]
            row.seconds.append(took_s)
            row.cpu_ms.append(cpu_ms)
            row.anonymous_mb.append(peer.anonymous_mb())
            say(f"round {number + 1} group of 1,000 {peer.name:<8} {took_s:.3f} s {cpu_ms:7.1f} ms CPU")  # type: ignore[operator]
    return rows


def group_table(rows: dict[str, GroupRow], titles: dict[str, str]) -> str:
    """Markdown: until the last has it, CPU of the whole letter, memory; how often ours goes into theirs."""
    lines = [
        f"One letter of 200 octets to a group of {GROUP:,} mailboxes, until it lies in all of them; median (least to most). "
        "CPU: the server's milliseconds for the letter and all its copies. Memory: anonymous, of all its processes.", "",
        "| | milliseconds | times | CPU, ms | memory, MB |", "|---|---|---|---|---|",
    ]  # fmt: skip
    ours = next(iter(rows.values()))
    for number, (name, row) in enumerate(rows.items()):
        times = statistics.median(row.seconds) / statistics.median(ours.seconds)
        lines.append(
            f"| {titles[name]} | {spread([s * 1000 for s in row.seconds])} | {f'**{times:.1f} x**' if number else ''} "
            f"| {statistics.median(row.cpu_ms):.0f} | {statistics.median(row.anonymous_mb):.0f} |"
        )
    return "\n".join(lines)


def table(rows: dict[Workload, dict[str, Row]], titles: dict[str, str]) -> str:
    """Markdown: the rates of each, ours by theirs, CPU, memory."""
    names = list(titles)
    lines = [
        "Letters a second, end to end; median (least to most). Times: how often ours goes into theirs. CPU: the server's "
        "milliseconds a letter. Memory: anonymous, of all its processes, after the turn.", "",
        "| workload | " + " | ".join(f"{titles[name]} | {'CPU, memory' if name == names[0] else 'times, CPU, memory'}" for name in names) + " |",
        "|---|" + "---|---|" * len(names),
    ]  # fmt: skip
    for load, by_name in rows.items():
        ours = by_name[names[0]]
        cells = []
        for name in names:
            row = by_name[name]
            costs = f"{statistics.median(row.cpu_ms):.2f} ms, {statistics.median(row.anonymous_mb):.0f} MB"
            times = "" if name == names[0] else f"**{ours.rate / row.rate:.2f} x**, "
            cells.append(f"{spread(row.rates)} | {times}{costs}")
        lines.append(f"| {load.label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """`1,100 (1,000 to 1,193)`."""
    middle, digits = statistics.median(values), 0 if statistics.median(values) >= 100 else 1
    return f"{middle:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def bars(rows: dict[Workload, dict[str, Row]], titles: dict[str, str]) -> str:
    """The table's rates as a chart."""
    series = [(title, [(spread(by_name[name].rates), by_name[name].rate, by_name[name].rates) for by_name in rows.values()])
              for name, title in titles.items()]  # fmt: skip
    return bar_chart("Letters a second until the last is in its mailbox", [load.label for load in rows], series)
