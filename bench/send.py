"""`scripts/bench send`: letters a second until the last has left, beside Postfix (signed: beside Postfix and opendkim).

Two forms. `queue`: the queue is filled while deliveries are held back, and the clock runs from the first letter at the
sink to the last. `through`: nothing is held back, and the clock runs from the first connection in to the last letter
out. The sink is Postfix's smtp-sink on the same cores; its count must be exact, so that nothing is lost or doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import results
from bench.extent import IS_QUICK, of
from bench.process import cpu_s
from bench.senders import SENDER, BdmtaSender, Door, PostfixSender, Sender

LETTERS = of(5000, 500)
OCTETS = 4096
_SESSIONS = 10
_WAIT_S = 120.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Load:
    """5,000 letters of 4 KiB to `domains` domains."""

    form: str
    domains: int
    is_signed: bool

    @property
    def label(self) -> str:
        """`queue, 10 domains, signed`."""
        plural = "" if self.domains == 1 else "s"
        return f"{self.form}, {self.domains:,} domain{plural}, {'signed' if self.is_signed else 'unsigned'}"


# Postfix's letters are signed as they come in, ours as they leave: only `through` has both within the clock.
_KINDS = (("queue", False), ("through", False), ("through", True))
LOADS = tuple(Load(form, domains, is_signed) for form, is_signed in _KINDS for domains in (1, 10, 1000))


@dataclass
class Row:
    """The turns of one sender at one load."""

    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    anonymous_mb: list[float] = field(default_factory=list)


class Sink:
    """smtp-sink on every address of loopback; it prints how many letters it has."""

    def __init__(self, port: int, folder: Path) -> None:
        self._out = folder / "sink.count"
        program = shutil.which("smtp-sink") or "/usr/sbin/smtp-sink"
        with self._out.open("wb") as out:
            command = [program, "-u", "nobody", "-c", "-m", "1000", f"0.0.0.0:{port}", "1000"]
            self._process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        self._base = 0

    def _total(self) -> int:
        with self._out.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 200))
            found = re.findall(rb"mesg=(\d+)", file.read())
        return int(found[-1]) if found else 0

    def reset(self) -> None:
        """Count from here."""
        self._base = self._total()

    def count(self) -> int:
        """Letters since `reset`."""
        return self._total() - self._base

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def letter(domain: int) -> bytes:
    """One of 4 KiB, dots and all."""
    head = (
        f"From: <{SENDER}>\r\nTo: <u@d{domain}.bench>\r\nSubject: Bench\r\nDate: Sat, 28 Nov 2026 08:00:00 +0700\r\n"
        f"Message-ID: <{domain}.{time.monotonic_ns()}@bench>\r\nMIME-Version: 1.0\r\n\r\n"
    ).encode()
    line = b"x" * 70 + b"\r\n"
    body = line * ((OCTETS - len(head)) // len(line))
    return head + body + b"x" * (OCTETS - len(head) - len(body) - 2) + b"\r\n"


async def hand_in(door: Door, domains: Sequence[int]) -> None:
    """One letter to each of `domains` in turn, over a few sessions, pipelined.

    The sessions come one after another: of a burst whichever process wakes first takes all, and the others stand idle.
    """
    rest = iter(domains)
    async with asyncio.TaskGroup() as group:
        for _ in range(_SESSIONS):
            is_open = asyncio.Event()
            group.create_task(_session(door, rest, is_open))
            await is_open.wait()


async def _session(door: Door, domains: Iterator[int], is_open: asyncio.Event) -> None:
    context = None
    if door.login:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, ssl=context)

    async def expect(code: bytes) -> None:
        while (line := await reader.readline())[3:4] == b"-":
            continue
        if not line.startswith(code):
            raise SystemExit(f"port {door.port} said {line!r}, not {code!r}")

    await expect(b"220")
    is_open.set()
    writer.write(b"EHLO bench.test\r\n")
    await expect(b"250")
    if door.login:
        writer.write(b"AUTH PLAIN " + door.login.encode() + b"\r\n")
        await expect(b"235")
    for domain in domains:
        writer.write(f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<u@d{domain}.bench>\r\nDATA\r\n".encode())
        for code in (b"250", b"250", b"354"):
            await expect(code)
        writer.write(letter(domain) + b".\r\n")
        await expect(b"250")
    writer.write(b"QUIT\r\n")
    await expect(b"221")
    writer.close()


def turn(sender: Sender, sink: Sink, load: Load, letters: int) -> tuple[float, float]:
    """Letters a second, and the sender's CPU milliseconds a letter (from the hand-in on, in both forms)."""
    sink.reset()
    cpu_before = sum(map(cpu_s, sender.pids()))
    domains = [n % load.domains for n in range(letters)]
    door = sender.door(signed=load.is_signed)
    os.sync()
    start = time.monotonic()
    if load.form == "queue":
        sender.hold()
        try:
            asyncio.run(hand_in(door, domains))
        finally:
            os.sync()
            sender.release()
        while sink.count() == 0:
            time.sleep(0.002)
        start = time.monotonic()
    else:
        asyncio.run(hand_in(door, domains))
    _await(lambda: sink.count() >= letters, f"{sender.name}: letters did not leave")
    seconds = time.monotonic() - start
    _await(lambda: sender.waiting() == 0, f"{sender.name}: the queue does not become empty")
    if sink.count() != letters:
        raise SystemExit(f"{sender.name}: {sink.count()} letters left, of {letters}")
    return letters / seconds, (sum(map(cpu_s, sender.pids())) - cpu_before) * 1000 / letters


def _await(is_so: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + _WAIT_S
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit(otherwise)
        time.sleep(0.005)


def prove_signature(sender: Sender, port: int, folder: Path, *, signed: bool) -> None:
    """One letter into a sink that keeps it; SystemExit when it is not signed as it should be."""
    program = shutil.which("smtp-sink") or "/usr/sbin/smtp-sink"
    folder.mkdir()
    shutil.chown(folder, "nobody")
    with subprocess.Popen(
        [program, "-u", "nobody", "-d", f"{folder}/%s.", f"0.0.0.0:{port}", "10"], cwd=folder
    ) as sink:
        try:
            time.sleep(0.3)
            asyncio.run(hand_in(sender.door(signed=signed), [0]))
            _await(lambda: sender.waiting() == 0, f"{sender.name}: one letter did not leave")
            (kept,) = folder.iterdir()
            if (b"\nDKIM-Signature:" in kept.read_bytes()) is not signed:
                raise SystemExit(f"{sender.name}: {kept} should{'' if signed else ' not'} be signed")
        finally:
            sink.kill()


def race(
    senders: Sequence[Sender], sink: Sink, loads: Sequence[Load], rounds: int, letters: int, turns: Path, say: Say
) -> None:
    """Every load, `rounds` times, the senders in turn; each turn is a line in `turns`."""
    for sender in senders:
        turn(sender, sink, Load("through", 10, False), 300)
    done = len(turns.read_text().splitlines()) // (len(senders) * len(loads)) if turns.exists() else 0
    for number in range(done, done + rounds):  # the first of one round is the second of the next
        for load in loads:
            for offset in range(len(senders)):
                sender = senders[(offset + number) % len(senders)]
                rate, cpu_ms = turn(sender, sink, load, letters)
                told = (load.form, load.domains, load.is_signed, sender.name, rate, cpu_ms, sender.anonymous_mb())
                with turns.open("a") as file:
                    file.write("\t".join(map(str, told)) + "\n")
                say(f"round {number + 1} {load.label:<32} {sender.name:<8} {rate:8.1f}/s {cpu_ms:6.2f} ms CPU")


def read(turns: Path) -> dict[Load, dict[str, Row]]:
    """What has been measured, in the order of LOADS."""
    rows: dict[Load, dict[str, Row]] = {}
    for line in turns.read_text().splitlines():
        form, domains, is_signed, name, rate, cpu_ms, *held = line.split("\t")
        by_name = rows.setdefault(Load(form, int(domains), is_signed == "True"), {})
        row = by_name.setdefault(name, Row())
        row.rates.append(float(rate))
        row.cpu_ms.append(float(cpu_ms))
        row.anonymous_mb += map(float, held)
    return {load: rows[load] for load in LOADS if load in rows}


def table(rows: dict[Load, dict[str, Row]]) -> str:
    """The section of RESULTS.md."""
    counts = {len(row.rates) for by_name in rows.values() for row in by_name.values()}
    lines = [
        f"Letters a second, {LETTERS:,} of 4 KiB into smtp-sink; medians of {'/'.join(map(str, sorted(counts)))} (least to "
        "most). CPU: the sender's milliseconds a letter, the taking in included. Memory: anonymous, of "
        "all its processes (Postfix's with opendkim's in every row). Unsigned: Postfix alone; signed: Postfix and opendkim, RSA-2048.", "",
        "| load | bdmta | CPU ms, memory MB | Postfix | CPU ms, memory MB | ratio |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for load, by_name in rows.items():
        ours, theirs = by_name["bdmta"], by_name["postfix"]
        cells = [f"{statistics.median(r.rates):.0f} ({min(r.rates):.0f} to {max(r.rates):.0f})" for r in (ours, theirs)]
        ratio = statistics.median(ours.rates) / statistics.median(theirs.rates)
        costs = [f"{statistics.median(row.cpu_ms):.2f}, {_median_or_blank(row.anonymous_mb)}" for row in (ours, theirs)]
        lines.append(f"| {load.label} | {cells[0]} | {costs[0]} | {cells[1]} | {costs[1]} | {ratio:.2f} x |")
    return "\n".join(lines)


def _median_or_blank(values: list[float]) -> str:
    return f"{statistics.median(values):.0f}" if values else ""


def main(words: Sequence[str], say: Say) -> None:
    """`scripts/bench send`."""
    parser = argparse.ArgumentParser(prog="scripts/bench send", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, default=21025)
    parser.add_argument("--only", default="", help="a pattern: the loads whose label has it")
    parser.add_argument("--letters", type=int, default=LETTERS, help="of each turn; RESULTS.md gets 5,000 only")
    parser.add_argument("--turns", type=Path, help="a file to which turns are added; the table is of all in it")
    asked = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before it was done"))  # so that servers are stopped
    top = Path(tempfile.mkdtemp(prefix="bdmta-bench.", dir=os.environ.get("BENCH_TMP")))
    top.chmod(0o755)
    sink_port = asked.port + 900
    senders: list[Sender] = []
    sink: Sink | None = None
    try:
        senders.append(BdmtaSender(top / "bdmta", asked.port, sink_port))
        senders.append(PostfixSender(top / "postfix", asked.port + 700, sink_port))
        for sender in senders:
            for signed in (False, True):
                prove_signature(sender, sink_port, top / f"{sender.name}-{signed}", signed=signed)
        say("unsigned letters leave as they are, signed ones with a DKIM-Signature")
        sink = Sink(sink_port, top)
        turns = asked.turns or top / "turns.tsv"
        race(
            senders,
            sink,
            [ld for ld in LOADS if re.search(asked.only, ld.label)],
            asked.rounds,
            asked.letters,
            turns,
            say,
        )
        say(text := table(read(turns)))
        if asked.letters == LETTERS or IS_QUICK:
            results.write("send", text, "Postfix", "opendkim")
    finally:
        for sender in senders:
            sender.stop()
        if sink is not None:
            sink.stop()
        say(f"left in {top}; remove it when you like")
