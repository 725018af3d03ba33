"""`python -m bench smtp|send|queue|mailauth|...|all` (scripts/bench): run, print, write RESULTS.md."""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import (
    addressbook,
    backup,
    growth,
    idle,
    imap,
    latency,
    mailauth,
    outage,
    policy,
    queue_load,
    results,
    send,
    smtp,
    whole,
)
from bench.bars import Bar, bar_chart
from bench.extent import FOLDER
from bench.lmtp import PostfixLmtp
from bench.memory import growth as memory_growth
from bench.peers import Bdmta, Peer, Postfix
from bench.readers import ACCOUNTS, BdmtaReader, Dovecot, Reader

_DELIVERING = ("smtp", "latency", "group", "memory")
_READING = ("imap", "pop3", "idle")
_OTHERS: dict[str, Callable[[list[str]], None]] = {
    "send": lambda words: send.main(words, say),
    "outage": lambda words: outage.main(words, say),
    "queue": lambda words: queue_load.main(say),
    "mailauth": lambda words: mailauth.main(say),
    "growth": growth.main,
}
"""Those that read their own words."""
PARTS = (
    *_DELIVERING, "send", *_READING, "policy", "addressbook", "mailauth", "outage", "queue", "growth", "backup",
)  # fmt: skip
"""In the order of `all`; backup is last, since it deletes 100,000 files."""


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what == "all":
        return whole.everything(sys.argv[2:], PARTS, say)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # the servers are stopped then too
    if what in _OTHERS:
        return _OTHERS[what](sys.argv[2:])
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("what", choices=(*PARTS, "all"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, default=21025)
    parser.add_argument(
        "--rows", type=Path, help="imap: count rounds of earlier runs in, from this file, and keep them"
    )
    parser.add_argument("--warm", action="store_true", help="imap: without the cold rows, which take minutes")
    asked = parser.parse_args()
    if asked.what == "policy":
        return write("policy", policy.run(say))
    if asked.what == "addressbook":
        return write("address book", addressbook.run(say), command="scripts/bench addressbook")
    # On the file system of this checkout; not removed, as deletions slow ext4 down for minutes.
    top = Path(tempfile.mkdtemp(prefix="bdmta-bench.", dir=os.environ.get("BENCH_TMP")))
    top.chmod(0o755)
    if asked.what == "backup":
        write("backup", backup.run(top, asked.port, say))
    elif asked.what in _READING:
        reading(asked, top)
    else:
        delivering(asked, top)
    say(f"left in {top}; remove it when you like")
    return None


def delivering(asked: argparse.Namespace, top: Path) -> None:
    """SMTP in, beside Postfix."""
    peers: list[Peer] = []
    try:
        ours = Bdmta(top / "bdmta", asked.port)
        peers.append(ours)
        refusal = ours.prove_chain()
        say(f"the chain is on: {refusal}")
        if asked.what == "memory":
            peak, stored = memory_growth(ours)
            write("memory", f"Ten letters of 50 MB at once, {stored} stored: an edge's anonymous memory grew by at most "
                            f"{peak / 1e6:.1f} MB.")  # fmt: skip
            return
        peers.append(Postfix(top / "postfix", asked.port + 1000))
        if asked.what == "smtp":
            peers.append(PostfixLmtp(top / "lmtp", asked.port + 2000))
        titles = {peer.name: peer.title for peer in peers}
        proof = f"Probe before the race: `{refusal}`"
        if asked.what == "smtp":
            rows = smtp.race(peers, asked.rounds, say)
            chart("smtp.svg", smtp.bars(rows, titles))
            write(
                "smtp", f"{smtp.table(rows, titles)}\n\n![letters a second](smtp.svg)\n\n{proof}", "Postfix", "Dovecot"
            )
        elif asked.what == "latency":
            rate, found = latency.race(peers, asked.rounds, say)
            chart("latency.svg", latency.bars(found, titles))
            write(
                "latency", f"{latency.table(rate, found, titles)}\n\n![milliseconds](latency.svg)\n\n{proof}", "Postfix"
            )
        else:
            write("group", smtp.group_table(smtp.group(peers, asked.rounds, say), titles) + f"\n\n{proof}", "Postfix")
    finally:
        for peer in peers:
            peer.stop()


def reading(asked: argparse.Namespace, top: Path) -> None:
    """IMAP and POP3, beside Dovecot."""
    readers: list[Reader] = []
    try:
        readers += [BdmtaReader(top / "bdmta", asked.port), Dovecot(top / "dovecot", asked.port + 1000)]
        for reader in readers:
            for number in range(ACCOUNTS):
                reader.fill(number, imap.COUNT if number == 0 else 10, imap.OCTETS)
            reader.start()
        if asked.what == "imap":
            rows = imap.race(readers, asked.rounds, say, cold=not asked.warm, kept=asked.rows)
            chart("imap.svg", reading_bars(rows))
            write("imap", f"{imap.table(rows, readers)}\n\n![milliseconds](imap.svg)", "Dovecot")
        elif asked.what == "pop3":
            write("pop3", imap.table(imap.pop3(readers, asked.rounds, say), readers), "Dovecot")
        else:
            write("idle", idle.run(readers, say), "Dovecot")
    finally:
        for reader in readers:
            reader.stop()


def reading_bars(rows: imap.Rows) -> str:
    """The table's medians as a chart; the shorter bar is the faster server."""
    titles = {"bdmta": "bdmta", "dovecot": "Dovecot"}
    series = []
    for name, title in titles.items():
        bars: list[Bar] = []
        for by_name in rows.values():
            took = [taken.seconds * 1000 for taken in by_name[name]]
            bars.append((f"{statistics.median(took):.4g} ms", statistics.median(took), took))
        series.append((title, bars))
    return bar_chart("Milliseconds until the tagged answer", [f"{what[:24]}, {state}" for what, state in rows], series)


def chart(name: str, drawn: str) -> None:
    """Beside RESULTS.md."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / name).write_text(drawn)


def write(section: str, text: str, *peers: str, command: str = "") -> None:
    """Print it, and put it into RESULTS.md in place of the one before."""
    say(text)
    results.write(section, text, *peers, command=command)


if __name__ == "__main__":
    main()
