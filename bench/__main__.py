"""`python -m bench smtp|send|queue|mailauth|...|all` (scripts/bench): run, print, write RESULTS.md."""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import addressbook, backup, idle, imap, latency, policy, results, smtp
from bench.bars import Bar, bar_chart
from bench.lmtp import PostfixLmtp
from bench.memory import growth
from bench.peers import Bdmta, Peer, Postfix
from bench.readers import ACCOUNTS, BdmtaReader, Dovecot, Reader

_READING = ("imap", "pop3", "idle")
CHOICES = ("smtp", "latency", "group", "memory", *_READING, "policy", "addressbook", "backup")
"""In the order of `all`, which measures `growth` as well."""


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("what", choices=CHOICES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, default=31025)
    parser.add_argument(
        "--rows", type=Path, help="imap: count rounds of earlier runs in, from this file, and keep them"
    )
    parser.add_argument("--warm", action="store_true", help="imap: without the cold rows, which take minutes")
    if sys.argv[1:2] == ["growth"]:
        from bench import growth as growing

        del sys.argv[1]
        return growing.main()
    if sys.argv[1:2] == ["outage"]:
        from bench import outage

        return outage.main(sys.argv[2:], say)
    if sys.argv[1:2] == ["send"]:
        from bench import send

        return send.main(sys.argv[2:], say)
    if sys.argv[1:2] == ["queue"]:
        from bench import queue_load

        return queue_load.main(say)
    if sys.argv[1:2] == ["mailauth"]:
        from bench import mailauth

        return mailauth.main(say)
    if sys.argv[1:2] == ["all"]:
        return everything(sys.argv[2:])
    asked = parser.parse_args()
    if asked.what == "policy":
        return write("policy", policy.run(say))
    if asked.what == "addressbook":
        results.write("address book", addressbook.run(say), command="scripts/bench addressbook")
        return None
    # On the file system of this checkout; not removed, as deletions slow ext4 down for minutes.
    top = Path(tempfile.mkdtemp(prefix="bdmta-bench.", dir=os.environ.get("BENCH_TMP")))
    top.chmod(0o755)
    if asked.what == "backup":
        results.write("backup", backup.run(top, asked.port, say), command="scripts/bench backup")
        return None
    if asked.what in _READING:
        return reading(asked, top)
    peers: list[Peer] = []
    try:
        peers.append(Bdmta(top / "bdmta", asked.port))
        assert isinstance(peers[0], Bdmta)
        refusal = peers[0].prove_chain()
        say(f"the chain is on: {refusal}")
        if asked.what == "memory":
            peak, stored = growth(peers[0])
            write(
                "memory",
                f"Ten letters of 50 MB at once, {stored} stored: an edge's anonymous memory grew by at most {peak / 1e6:.1f} MB.",
            )
            return None
        peers.append(Postfix(top / "postfix", asked.port + 1000))
        if asked.what == "smtp":
            peers.append(PostfixLmtp(top / "lmtp", asked.port + 2000))
            rows, titles = smtp.race(peers, asked.rounds, say), {peer.name: peer.title for peer in peers}
            results.RESULTS.with_name("smtp.svg").write_text(smtp.bars(rows, titles))
            text = f"{smtp.table(rows, titles)}\n\n![letters a second](smtp.svg)\n\nProbe before the race: `{refusal}`"
            results.write("smtp", text, "Postfix", "Dovecot")
        elif asked.what == "latency":
            rate, found = latency.race(peers, asked.rounds, say)
            write("latency", latency.table(rate, found, {peer.name: peer.title for peer in peers}))
        else:
            write("group", group_table(smtp.group(peers, asked.rounds, say)))
    finally:
        for peer in peers:
            peer.stop()
        say(f"left in {top}; remove it when you like")


def reading(asked: argparse.Namespace, top: Path) -> None:
    """IMAP and POP3, beside Dovecot."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # the servers are stopped then too
    readers: list[Reader] = []
    try:
        readers += [BdmtaReader(top / "bdmta", asked.port), Dovecot(top / "dovecot", asked.port + 1000)]
        for reader in readers:
            for number in range(ACCOUNTS):
                reader.fill(number, imap.COUNT if number == 0 else 10, imap.OCTETS)
            reader.start()
        if asked.what == "imap":
            rows = imap.race(readers, asked.rounds, say, cold=not asked.warm, kept=asked.rows)
            results.RESULTS.with_name("imap.svg").write_text(reading_bars(rows))
            write("imap", imap.table(rows) + "\n\n![milliseconds](imap.svg)")
        elif asked.what == "pop3":
            write("pop3", imap.table(imap.pop3(readers, asked.rounds, say)))
        else:
            write("idle", idle.run(readers, say))
    finally:
        for reader in readers:
            reader.stop()
        say(f"left in {top}; remove it when you like")


def reading_bars(rows: imap.Rows) -> str:
    """The table's medians as a chart; the shorter bar is the faster server."""
    titles = {"bdmta": "bdmta", "dovecot": "Dovecot"}
    series = []
    for name, title in titles.items():
        bars: list[Bar] = []
        for by_name in rows.values():
            took = [seconds * 1000 for seconds in by_name[name]]
            bars.append((f"{statistics.median(took):.4g} ms", statistics.median(took), took))
        series.append((title, bars))
    return bar_chart("Milliseconds until the tagged answer", [f"{what[:24]}, {state}" for what, state in rows], series)


def group_table(seconds: dict[str, list[float]]) -> str:
    ours, theirs = (statistics.median(seconds[name]) for name in ("bdmta", "postfix"))
    return (
        f"One letter to a group of 1,000 mailboxes, until it lies in all of them: bdmta {ours * 1000:.0f} ms, "
        f"Postfix {theirs * 1000:.0f} ms, {theirs / ours:.1f} x. (medians of {len(seconds['bdmta'])})"
    )


def write(section: str, text: str) -> None:
    """Print it, and put it into RESULTS.md in place of the one before."""
    say(text)
    peers = {"policy": (), **dict.fromkeys(_READING, ("Dovecot",))}.get(section, ("Postfix",))
    results.write(section, text, *peers)


def everything(words: list[str]) -> None:
    """Each measurement in a process of its own, one after the other; what fails is named at the end."""
    failed = []
    for what in (*CHOICES, "send", "queue", "mailauth", "outage", "growth"):
        say(f"--- {what}")
        given = [word for word in words if word != "--warm" or what == "imap"]
        if what in ("queue", "mailauth", "growth"):  # these have words of their own, or none
            given = []
        command = [sys.executable, "-m", "bench", what, *given]
        if subprocess.run(command).returncode:
            failed.append(what)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


main()
