"""`scripts/bench outage`: a notice to 20,000 mailboxes while SMTP goes on; what it does to the letters beside it.

A site with two edges and its status page, 20,000 mailboxes. Ten sessions send 4 KiB letters to them without pause, or
at a given rate; after a while `bdmta outage open` is called. Told: the seconds until every mailbox has its letter (looked
for in each `new/`), and what a letter took, from MAIL to 250, before and meanwhile; and how fast the page answers.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench import results
from bench.extent import of
from bench.peers import DOMAIN, set_value

MAILBOXES = of(20_000, 500)
SESSIONS = 10
_BODY = b"".join(b"%076d\r\n" % n for n in range(50))
_LETTER = b"From: <a@sender.test>\r\nSubject: load\r\nMessage-ID: <%d.%d@sender.test>\r\n\r\n" + _BODY + b".\r\n"


class Load(threading.Thread):
    """One session. `took`: (end, seconds) of each letter."""

    def __init__(self, port: int, number: int, rate: float, ending: threading.Event) -> None:
        super().__init__(daemon=True)
        self.took: list[tuple[float, float]] = []
        self._sock = socket.create_connection(("127.0.0.1", port))
        self._number, self._rate, self._ending = number, rate, ending

    def run(self) -> None:
        file = self._sock.makefile("rb")
        file.readline()
        self._ask(file, b"EHLO load.test\r\n")
        count, next_at = 0, time.monotonic() + self._number * (SESSIONS / self._rate if self._rate else 0) / SESSIONS
        while not self._ending.is_set():
            if self._rate:
                time.sleep(max(0.0, next_at - time.monotonic()))
                next_at += SESSIONS / self._rate
            count += 1
            box = (self._number * 1999 + count * 7) % MAILBOXES
            start = time.monotonic()
            self._ask(file, b"MAIL FROM:<a@sender.test>\r\n")
            self._ask(file, b"RCPT TO:<b%05d@%b>\r\n" % (box, DOMAIN.encode()))
            self._ask(file, b"DATA\r\n")
            self._ask(file, _LETTER % (count, self._number))
            end = time.monotonic()
            self.took.append((end, end - start))

    def _ask(self, file: object, octets: bytes) -> None:
        self._sock.sendall(octets)
        while (line := file.readline())[3:4] == b"-":  # type: ignore[attr-defined]
            pass
        if line[:1] not in b"23":
            raise SystemExit(f"{octets[:40]!r}: {line!r}")


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


class Site:
    """The site, served."""

    def __init__(self, folder: Path, base_port: int) -> None:
        self.config = folder / "site" / "bdmta.toml"
        self.port = base_port + 25
        self.page_port = base_port + 81
        self.mail = folder / "site" / "mail" / DOMAIN
        self.run("init", str(folder / "site"), "--domain", DOMAIN, "--base-port", str(base_port), config=False)
        text = self.config.read_text()
        for table, key, value in (("dns", "servers", "[]"), ("limits", "sessions_per_address", "2000")):
            text = set_value(text, table, key, value)
        self.config.write_text(text)
        rows = "".join(f"b{n:05d}@{DOMAIN},Box {n}\n" for n in range(MAILBOXES))
        (folder / "boxes.csv").write_text("address,name\n" + rows)
        self.run("import", str(folder / "boxes.csv"), "--report", str(folder / "passwords.csv"))
        log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bdmta", "-c", str(self.config), "serve", "--workers", "2"],
            stdout=subprocess.PIPE, stderr=log, start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        if self.process.stdout.readline() != b"ready\n":
            raise SystemExit(f"bdmta is not ready; see {folder}/log")

    def run(self, *words: str, config: bool = True) -> str:
        given = [sys.executable, "-m", "bdmta", *(["-c", str(self.config)] if config else []), *words]
        done = subprocess.run(given, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{words}: {done.stderr}")
        return done.stdout

    def receipt(self, notice_id: str) -> str:
        """That of the letter's channel; "" while there is none."""
        history = self.config.parent / "outage" / "history.jsonl"
        for line in history.read_text().splitlines():
            row = json.loads(line)
            if row["notice"] == notice_id and row.get("channel") == "letter" and row["state"] == "done":
                return str(row["note"])
        return ""


def broadcast(site: Site, rate: float, before_s: float) -> dict[str, float]:
    ending = threading.Event()
    loads = [Load(site.port, number, rate, ending) for number in range(SESSIONS)]
    for load in loads:
        load.start()
    time.sleep(before_s)
    start = time.monotonic()
    answer = json.loads(
        site.run("outage", "open", "--what", f"Tải {rate} {start}", "--until", "+2h", "--scope", "imap", "--json")
    )
    pages = []
    while not site.receipt(answer["id"]):
        if time.monotonic() - start > 120:
            raise SystemExit("not done in 120 s")
        pages.append(page_s(site.page_port))
        time.sleep(0.1)
    end = time.monotonic()
    time.sleep(1)
    ending.set()
    for load in loads:
        load.join(20)
    took = [pair for load in loads for pair in load.took]
    calm = [seconds for at, seconds in took if start - before_s + 2 < at < start]
    busy = [seconds for at, seconds in took if start < at < end]
    return {
        "seconds": end - start, "before": len(calm) / (before_s - 2), "meanwhile": len(busy) / (end - start),
        "p50_before": percentile(calm, 50) * 1000, "p99_before": percentile(calm, 99) * 1000,
        "p50_meanwhile": percentile(busy, 50) * 1000, "p99_meanwhile": percentile(busy, 99) * 1000,
        "page_p99": percentile(pages, 99) * 1000,
    }  # fmt: skip


def page_s(port: int) -> float:
    """What one answer of the status page takes, a new connection included."""
    start = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    answer = connection.getresponse()
    octets = answer.read()
    connection.close()
    if answer.status != 200 or b"<html" not in octets:
        raise SystemExit(f"the status page answers {answer.status}")
    return time.monotonic() - start


def letters(site: Site) -> tuple[int, int]:
    """The fewest and the most notices that a mailbox has."""
    counts = [sum(e.stat().st_nlink > MAILBOXES // 20 for e in os.scandir(box / "new")) for box in site.mail.iterdir()]
    return min(counts), max(counts)


HEAD = f"""| load beside it | letters a second | until all {MAILBOXES:,} have it | a letter before, p50 and p99 | meanwhile | the page, p99 |
| --- | ---: | ---: | ---: | ---: | ---: |
"""
TAIL = """
`bdmta outage open --scope imap` on a served site (two edges), ten SMTP sessions of 4 KiB letters to the same mailboxes, the client on the
same cores. The time is from the call of the command until the receipt is in the history; then each `new/` is looked at: every
mailbox had one letter for each notice. A letter: MAIL to 250. The page: a new connection and the whole answer."""


def row(rate: float, found: dict[str, float]) -> str:
    """One line of the table."""
    load = f"{rate:g} letters a second" if rate else "without pause"
    return (
        f"| {load} | {found['before']:.0f}, meanwhile {found['meanwhile']:.0f} | {found['seconds']:.1f} s "
        f"| {found['p50_before']:.0f}, {found['p99_before']:.0f} ms | {found['p50_meanwhile']:.0f}, {found['p99_meanwhile']:.0f} ms "
        f"| {found['page_p99']:.1f} ms |\n"
    )


def main(arguments: list[str], say: Callable[[str], None]) -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench outage", description=__doc__)
    parser.add_argument("--port", type=int, default=22500, help="the site's base port")
    parser.add_argument("--rate", type=float, nargs="*", default=[50.0, 0.0], help="letters a second; 0: without pause")
    parser.add_argument("--before", type=float, default=of(10.0, 4.0), help="seconds of load before")
    asked = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="bdmta-bench-outage.", dir=os.environ.get("BENCH_TMP")))
    site = Site(folder, asked.port)
    table = HEAD
    try:
        for notices, rate in enumerate(asked.rate, 1):
            found = broadcast(site, rate, asked.before)
            least, most = letters(site)
            if (least, most) != (notices, notices):
                raise SystemExit(f"after {notices} notices some mailbox has {least}, some {most}")
            say(row(rate, found))
            table += row(rate, found)
    finally:
        site.process.terminate()
        site.process.wait(60)
    results.write("outage", table + TAIL)
