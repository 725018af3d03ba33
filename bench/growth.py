"""`python -m bench.growth PART... [--sizes N,N] [--rounds N]`: what one letter costs as everything around it grows.

Parts: boxes, sessions, idle, letters, queue, recipients. Each is measured on a site of its own, default chain on, and kept in
bench/growth.json; `draw` makes docs/growth.md's charts and table of all that is there. Cost: CPU milliseconds of all the server's processes,
which another program on the machine disturbs less than it does the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bdmta.traffic.population import Account
from bdmta.traffic.smtp_client import SmtpClient
from bdmta.traffic.wire import Endpoint, TlsSettings, tls_context
from bench import growth_read, queue_load
from bench.extent import FOLDER, IS_QUICK, of
from bench.process import anonymous_octets, cpu_s, descendants
from bench.results import machine
from bench.samples import role
from bench.site import Site, end_by_sigterm

KEPT = FOLDER / "growth.json"
DOMAIN = "test.local"
TLS = TlsSettings(tls_context("", is_verified=False))
OUTSIDE = "far.example"
LETTER = (
    b"From: <a@sender.test>\r\nTo: <b@test.local>\r\nSubject: growth\r\nDate: Mon, 5 Jan 2026 09:00:00 +0700\r\n\r\n"
)
LETTER += b"The quarterly report on the registry of mailboxes is attached.\r\n" * 60
Say = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """What grows, the sizes that are measured, and what is measured at each."""

    title: str
    axis: str
    sizes: tuple[int, ...]
    run: Callable[[Bed, Sequence[int], int, Say], Iterator[Point]]


@dataclass(frozen=True)
class Point:
    """At one size: each measure's values, one a round."""

    size: int
    values: dict[str, list[float]]


@dataclass(frozen=True)
class Bed:
    """Where sites are made."""

    top: Path
    base_port: int

    def site(self, *settings: tuple[str, str, str]) -> Site:
        """A new one, not served yet."""
        return Site(Path(tempfile.mkdtemp(dir=self.top)) / "site", self.base_port, DOMAIN, settings)


def boxes(count: int, start: int = 0) -> list[Account]:
    """`b0@`, `b1@` and so on."""
    return [Account(f"b{number}@{DOMAIN}", name=f"Box {number}") for number in range(start, count)]


async def send(port: int, to: Sequence[str], sessions: int, letters_a_connection: int = 1) -> None:
    """One letter to each of `to`, over `sessions` connections at once. SystemExit when one is not answered 250."""
    waiting = iter(to)
    where = Endpoint("smtp", "127.0.0.1", port)

    async def session() -> None:
        client, used = None, 0
        for address in waiting:
            if client is None:
                client, used = await SmtpClient.open(where, TLS, None, 120.0), 0
            answer = await client.send("a@sender.test", [address], LETTER)
            if answer.code != 250:
                raise SystemExit(f"{address}: {answer.code} {answer.text}")
            used += 1
            if used >= letters_a_connection:
                await client.close()
                client = None
        if client is not None:
            await client.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(sessions):
            group.create_task(session())


def cost(site: Site, to: Sequence[str], sessions: int = 10, letters_a_connection: int = 1) -> tuple[float, float]:
    """CPU milliseconds and clock milliseconds a letter."""
    os.sync()
    before, start = cpu_s(site.pid), time.monotonic()
    asyncio.run(send(site.base_port + 25, to, sessions, letters_a_connection))
    seconds = time.monotonic() - start
    time.sleep(0.5)  # what is done behind the 250 belongs to it
    return (cpu_s(site.pid) - before) * 1000 / len(to), seconds * 1000 / len(to)


def memory_mb(site: Site, name: str) -> float:
    """Anonymous memory of the processes whose role starts so."""
    return sum(anonymous_octets(pid) for pid in descendants(site.pid) if role(pid).startswith(name)) / 1e6


def by_boxes(bed: Bed, sizes: Sequence[int], rounds: int, say: Say) -> Iterator[Point]:
    """Letters to random mailboxes of a directory of so many."""
    site, draw = bed.site(), random.Random(1)
    try:
        for size in sizes:
            start = time.monotonic()
            added = boxes(size, len(site.accounts))
            site.add(added)
            import_ms = (time.monotonic() - start) * 1000 / len(added)
            if site.process is None:
                site.serve()
            else:
                site.reload()
            values: dict[str, list[float]] = {"CPU ms a letter": [], "ms a letter, 10 sessions": []}
            addresses = [account.address for account in site.accounts]
            cost(site, draw.choices(addresses, k=100))
            for _ in range(rounds):
                cpu_ms, clock_ms = cost(site, draw.choices(addresses, k=400))
                values["CPU ms a letter"].append(cpu_ms)
                values["ms a letter, 10 sessions"].append(clock_ms)
            values["import, ms a mailbox"] = [import_ms]
            values["edges' memory, MB"] = [memory_mb(site, "edge")]
            yield Point(size, values)
    finally:
        site.stop()


def by_sessions(bed: Bed, sizes: Sequence[int], rounds: int, say: Say) -> Iterator[Point]:
    """So many connections that all send, one letter each time."""
    site = bed.site()
    site.add(boxes(200))
    site.serve()
    addresses = [account.address for account in site.accounts]
    try:
        cost(site, addresses)
        for size in sizes:
            values: dict[str, list[float]] = {"CPU ms a letter": [], "ms a letter": []}
            for _ in range(rounds):
                count = max(500, 2 * size)
                cpu_ms, clock_ms = cost(site, (addresses * (count // 200 + 1))[:count], sessions=size)
                values["CPU ms a letter"].append(cpu_ms)
                values["ms a letter"].append(clock_ms)
            yield Point(size, values)
    finally:
        site.stop()


def by_idle(bed: Bed, sizes: Sequence[int], rounds: int, say: Say) -> Iterator[Point]:
    """Letters that arrive while so many others wait in IDLE on 200 mailboxes, which also get letters."""
    site = bed.site()
    site.add(boxes(200))
    site.serve()
    addresses = [account.address for account in site.accounts]
    try:
        with growth_read.Idlers(site) as idlers:
            for size in sizes:
                idlers.grow(size)
                values: dict[str, list[float]] = {"CPU ms a letter": [], "CPU ms a second, nothing happens": []}
                cost(site, addresses)
                for _ in range(rounds):
                    values["CPU ms a letter"].append(cost(site, addresses * 2)[0])
                time.sleep(2)
                before = cpu_s(site.pid)
                time.sleep(5)
                values["CPU ms a second, nothing happens"] = [(cpu_s(site.pid) - before) * 1000 / 5]
                yield Point(size, values)
    finally:
        site.stop()


def by_queue(bed: Bed, sizes: Sequence[int], rounds: int, say: Say) -> Iterator[Point]:
    """Letters for a destination that does not answer, behind so many that wait already (tried once, an hour to go)."""
    site = bed.site(
        ("transport", "routes", f'["* = 127.0.0.1:{bed.base_port + 7}"]'),
        ("limits", "relay_networks", '["127.0.0.0/8"]'),
    )
    site.serve()
    queued = sent = 0

    def to(count: int) -> list[str]:
        nonlocal sent
        sent += count
        return [f"c{number}@d{number % 100}.{OUTSIDE}" for number in range(count)]

    try:
        for size in sizes:
            queue_load.fill(site.folder / "queue", size - sent, queued)
            queued = size - sent
            time.sleep(16)  # the courier looks through its spool every 15 s, when it was told of too much at once
            _await_rest(site)
            values: dict[str, list[float]] = {"CPU ms a letter": []}
            for _ in range(rounds):
                values["CPU ms a letter"].append(cost(site, to(200), 10, 20)[0])
            _await_rest(site)
            before = cpu_s(site.pid)
            time.sleep(15)  # one round of the courier
            values["CPU ms a second, at rest"] = [(cpu_s(site.pid) - before) * 1000 / 15]
            values["courier's memory, MB"] = [memory_mb(site, "courier")]
            start = time.monotonic()
            site.command("queue", "list", "--json")
            values["queue list, ms"] = [(time.monotonic() - start) * 1000]
            yield Point(size, values)
    finally:
        site.stop()


def _await_rest(site: Site) -> None:
    """Until the first attempts are over; not longer than 20 s."""
    for _ in range(20):
        before = cpu_s(site.pid)
        time.sleep(1)
        if cpu_s(site.pid) - before < 0.1:
            return


def by_recipients(bed: Bed, sizes: Sequence[int], rounds: int, say: Say) -> Iterator[Point]:
    """One letter to a group of so many mailboxes, until it lies in all of them."""
    site = bed.site()
    site.add(boxes(max(sizes)))
    for size in sizes:
        site.command("group", "add", f"g{size}@{DOMAIN}", *(account.address for account in site.accounts[:size]))
    site.serve()
    try:
        for size in sizes:
            folders = [site.maildir(f"b{number}") / "new" for number in range(size)]
            values: dict[str, list[float]] = {"ms until all have it": [], "CPU ms a recipient": [], "ms until 250": []}
            _reach(site, size, folders)
            for _ in range(rounds):
                all_ms, answer_ms = _reach(site, size, folders)
                values["ms until all have it"].append(all_ms)
                values["ms until 250"].append(answer_ms)
                # CPU is told in hundredths of a second: many letters to a small group, one to a large.
                cpu_ms, _ = cost(site, [f"g{size}@{DOMAIN}"] * max(1, 500 // size), 4)
                values["CPU ms a recipient"].append(cpu_ms / size)
            yield Point(size, values)
    finally:
        site.stop()


def _reach(site: Site, size: int, folders: list[Path]) -> tuple[float, float]:
    """Milliseconds until every mailbox has it, and until the 250."""
    stamps = [os.stat(folder).st_mtime_ns for folder in folders]
    os.sync()
    start = time.monotonic()
    asyncio.run(send(site.base_port + 25, [f"g{size}@{DOMAIN}"], 1))
    answer_ms = (time.monotonic() - start) * 1000
    for folder, stamp in zip(folders, stamps, strict=True):
        while os.stat(folder).st_mtime_ns == stamp:
            if time.monotonic() - start > 120:
                raise SystemExit(f"the letter to a group of {size} did not reach every mailbox")
            time.sleep(0.001)
    return (time.monotonic() - start) * 1000, answer_ms


PARTS = {
    "boxes": Part("Mailboxes", "mailboxes in the directory", (100, 1000, 5000, 20_000), by_boxes),
    "sessions": Part("Sessions that send", "sessions at once", (10, 100, 500, 2000), by_sessions),
    "idle": Part("Sessions in IDLE", "sessions in IDLE", (10, 100, 500, 2000), by_idle),
    "letters": Part("Letters in a mailbox", "letters in the mailbox", (1000, 10_000, 50_000, 200_000), growth_read.by_letters),
    "queue": Part("Letters that wait", "letters in the queue", (1000, 10_000, 30_000, 100_000), by_queue),
    "recipients": Part("Recipients", "members of the group", (1, 10, 100, 1000, 5000), by_recipients),
}  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench growth", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, "draw", []], metavar="PART")
    parser.add_argument("--sizes", default="", help="comma-separated, in place of the part's own")
    parser.add_argument("--rounds", type=int, default=of(5, 1))
    parser.add_argument("--port", type=int, default=28000)
    parser.add_argument("--no-write", action="store_true", help="print only")
    asked = parser.parse_args(words)
    end_by_sigterm()
    top = Path(tempfile.mkdtemp(prefix="bdmta-growth.", dir=os.environ.get("BENCH_TMP")))
    FOLDER.mkdir(exist_ok=True)
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    for name in asked.parts or PARTS:
        if name == "draw":
            continue
        part = PARTS[name]
        sizes = [int(size) for size in asked.sizes.split(",")] if asked.sizes else part.sizes[: of(None, 2)]
        rows = {} if not asked.sizes else kept.get(name, {}).get("points", {})
        for point in part.run(Bed(top, asked.port), sizes, asked.rounds, say):
            rows[str(point.size)] = point.values
            shown = "  ".join(f"{what} {statistics.median(values):.2f}" for what, values in point.values.items())
            say(f"{name} {point.size:>7,}: {shown}")
            kept[name] = {"machine": machine(), "points": dict(sorted(rows.items(), key=lambda row: int(row[0])))}
            if not asked.no_write:
                KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    if not asked.no_write:
        from bench import growth_page, results

        growth_page.draw(kept, FOLDER if IS_QUICK else growth_page.PAGE.parent)
        if IS_QUICK:
            results.write("growth", "\n\n".join(growth_page.section(name, kept) for name in kept))
        else:
            growth_page.write_page(kept)
    say(f"left in {top}; remove it when you like")


def say(text: str) -> None:
    print(text, flush=True)


def times_a_decade(points: dict[str, dict[str, list[float]]], what: str) -> float:
    """By how much a measure grows when the size grows ten times: 1 is flat, 10 is linear."""
    sizes = [int(size) for size in points if what in points[size]]
    low, high = (max(1e-9, statistics.median(points[str(size)][what])) for size in (min(sizes), max(sizes)))
    return float((high / low) ** (1 / math.log10(max(sizes) / min(sizes))))


if __name__ == "__main__":
    main()
