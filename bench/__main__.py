"""`python -m bench smtp|group|memory|imap|pop3|idle|policy`: run, print, write bench/RESULTS.md."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import idle, imap, policy, smtp
from bench.memory import growth
from bench.peers import Bdmta, Peer, Postfix
from bench.readers import ACCOUNTS, BdmtaReader, Dovecot, Reader

_READING = ("imap", "pop3", "idle")
RESULTS = Path(__file__).parent / "RESULTS.md"


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("what", choices=["smtp", "group", "memory", "policy", *_READING])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, default=31025)
    parser.add_argument("--warm", action="store_true", help="imap: without the cold rows, which take minutes")
    asked = parser.parse_args()
    if asked.what == "policy":
        return write("policy", policy.run(say))
    # On the file system of this checkout; not removed, as deletions slow ext4 down for minutes.
    top = Path(tempfile.mkdtemp(prefix="bdmta-bench.", dir=os.environ.get("BENCH_TMP")))
    top.chmod(0o755)
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
            write("smtp", table(smtp.race(peers, asked.rounds, say)) + f"\n\nProbe before the race: `{refusal}`")
        else:
            write("group", group_table(smtp.group(peers, asked.rounds, say)))
    finally:
        for peer in peers:
            peer.stop()
        say(f"left in {top}; remove it when you like")


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
            write("imap", imap.table(imap.race(readers, asked.rounds, say, cold=not asked.warm)))
        elif asked.what == "pop3":
            write("pop3", imap.table(imap.pop3(readers, asked.rounds, say)))
        else:
            write("idle", idle.run(readers, say))
    finally:
        for reader in readers:
            reader.stop()
        say(f"left in {top}; remove it when you like")


def table(rows: dict[smtp.Workload, dict[str, smtp.Row]]) -> str:
    lines = [
        "Letters a second, end to end; median (least to most). CPU: the server's milliseconds a letter.", "",
        "| workload | bdmta | Postfix virtual(8) | ratio | CPU bdmta | CPU Postfix |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for load, by_name in rows.items():
        ours, theirs = by_name["bdmta"], by_name["postfix"]
        cpu = [sorted(row.cpu_ms)[len(row.cpu_ms) // 2] for row in (ours, theirs)]
        lines.append(
            f"| {load.label} | {_spread(ours.rates)} | {_spread(theirs.rates)} | {ours.rate / theirs.rate:.2f} x "
            f"| {cpu[0]:.2f} | {cpu[1]:.2f} |"
        )
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    middle = sorted(values)[len(values) // 2]
    return (
        f"{middle:.0f} ({min(values):.0f} to {max(values):.0f})"
        if middle >= 100
        else f"{middle:.1f} ({min(values):.1f} to {max(values):.1f})"
    )


def group_table(seconds: dict[str, list[float]]) -> str:
    ours, theirs = (sorted(seconds[name])[len(seconds[name]) // 2] for name in ("bdmta", "postfix"))
    return (
        f"One letter to a group of 1,000 mailboxes, until it lies in all of them: bdmta {ours * 1000:.0f} ms, "
        f"Postfix {theirs * 1000:.0f} ms, {theirs / ours:.1f} x. (medians of {len(seconds['bdmta'])})"
    )


def write(section: str, text: str) -> None:
    """Put the section into RESULTS.md in place of the one before."""
    say(text)
    if section == "policy":
        _replace(section, f"_{datetime.date.today()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}; "
                        f"`scripts/bench {section}`._", text)  # fmt: skip
        return
    asking = ["dovecot", "--version"] if section in _READING else ["postconf", "-dh", "mail_version"]
    version = subprocess.run(asking, capture_output=True, text=True).stdout.split(" ")[0].strip()
    peer = "Dovecot" if section in _READING else "Postfix"
    head = (
        f"_{datetime.date.today()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {sys.version.split()[0]}, "
        f"{peer} {version}; `scripts/bench {section}`._"
    )
    _replace(section, head, text)


def _replace(section: str, head: str, text: str) -> None:
    old = RESULTS.read_text() if RESULTS.exists() else "# Measured\n"
    parts = {part.split("\n", 1)[0]: part for part in old.split("\n## ")[1:]}
    parts[section] = f"{section}\n\n{head}\n\n{text}\n"
    RESULTS.write_text("# Measured\n" + "".join(f"\n## {part.rstrip()}\n" for part in parts.values()))


main()
