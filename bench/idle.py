"""`scripts/bench idle`: the memory of 1,000 sessions in IDLE, opening 200,000 letters, NOOP beside a fetch of 1 GB."""

from __future__ import annotations

import os
import random
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time

from bench.boxes import letter
from bench.extent import of
from bench.imap import Connection, Say, seconds
from bench.process import descendants
from bench.readers import ACCOUNTS, BdmtaReader, Reader

SESSIONS = of(1000, 100)
MANY = of(200_000, 5000)
LARGE_OCTETS = 50_000_000
LARGE_COUNT = of(20, 4)
_FETCHED = f"{LARGE_COUNT * LARGE_OCTETS / 1e9:g} GB"


def memory(reader: Reader, sessions: int, say: Say, *, tls: bool) -> float:
    """KiB a session (proportional set size of all the server's processes, before and after)."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number in range(ACCOUNTS):  # each mailbox is known, and each password was verified, before it counts
        client = Connection(reader, tls=tls).login(reader, number)
        client.command("SELECT INBOX")
        client.close()
    time.sleep(3)
    before = proportional_octets(reader)
    held: list[socket.socket] = []
    for number in range(sessions):
        client = Connection(reader, tls=tls).login(reader, number % ACCOUNTS)
        client.command("SELECT INBOX")
        client.sock.sendall(b"i IDLE\r\n")
        if not client.sock.recv(100).startswith(b"+"):
            raise SystemExit(f"{reader.name}: no IDLE at session {number}")
        held.append(client.sock)
    time.sleep(2)
    kib = (proportional_octets(reader) - before) / 1024 / sessions
    say(
        f"{reader.name:<8} {'TLS' if tls else 'plain'}: {sessions} sessions in IDLE, {kib:.1f} KiB each "
        f"({before / 1e6:.0f} MB before)"
    )
    for sock in held:
        sock.close()
    return kib


def proportional_octets(reader: Reader) -> int:
    """PSS of the server and all below it."""
    assert reader.process is not None
    total = 0
    for pid in descendants(reader.process.pid):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total * 1024


def many(reader: Reader, say: Say) -> tuple[float, float]:
    """Seconds of SELECT of 200,000 letters: by a server that has just started, and again."""
    reader.fill(1, MANY, 600)
    first = Connection(reader).login(reader, 1)
    first.sock.settimeout(1800)
    say(
        f"{reader.name:<8} SELECT of {MANY:,}, never seen before: "
        f"{seconds(lambda: first.command('SELECT INBOX')):.2f} s"
    )
    first.command("FETCH 1:* (FLAGS UID)")
    first.close()
    time.sleep(3)
    reader.stop()
    reader.start()
    client = Connection(reader).login(reader, 1)
    started = seconds(lambda: client.command("SELECT INBOX"))
    client.command("UNSELECT")
    again = seconds(lambda: client.command("SELECT INBOX"))
    client.close()
    say(f"{reader.name:<8} SELECT of {MANY:,}: {started:.3f} s after a start, {again:.3f} s again")
    return started, again


def noop(reader: Reader, say: Say) -> tuple[float, float, float]:
    """Milliseconds of NOOP while another session fetches 1 GB in letters of 50 MB: median, 99 of 100, longest.

    The fetch is drained by a process of its own, so that what is measured is the server and not this interpreter.
    """
    line = b"0123456789" * 7 + b"abcdef\r\n"
    head = letter(1, 0, random.Random(1))
    body = head + line * ((LARGE_OCTETS - len(head)) // len(line))
    cur = reader.maildir(2) / "cur"
    for number in range(LARGE_COUNT):
        name = f"{1790000000 + number}.M{number}P1.mx,S={len(body)},W={len(body)}:2,S"
        (cur / name).write_bytes(body)
    os.sync()
    client = Connection(reader).login(reader, 0)
    client.command("SELECT INBOX")
    words = [str(reader.imaps_port), reader.user(2), reader.password[reader.user(2)]]
    fetch = subprocess.Popen([sys.executable, "-c", _DRAIN, *words], stdout=subprocess.PIPE)
    took: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        fetch.wait()
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    while not ended.wait(0.01):
        took.append(1000 * seconds(lambda: client.command("NOOP")))
    assert fetch.stdout is not None
    read, spent = fetch.stdout.read().split()
    took.sort()
    found = statistics.median(took), took[int(len(took) * 0.99)], took[-1]
    say(
        f"{reader.name:<8} NOOP beside a fetch of {int(read) / 1e9:.2f} GB in {float(spent):.1f} s: "
        f"median {found[0]:.2f} ms, 99 of 100 under {found[1]:.2f}, longest {found[2]:.2f} (of {len(took)})"
    )
    return found


_DRAIN = """
import socket, ssl, sys, time
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
sock = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 600))
def until(tag):
    count, tail = 0, b""
    while b"\\r\\n" + tag + b" " not in tail:
        octets = sock.recv(1 << 18)
        assert octets, tail[-200:]
        count += len(octets)
        tail = (tail + octets)[-400:]
    assert tag + b" OK" in tail, tail
    return count
sock.recv(1000)
sock.sendall(b"a LOGIN %b %b\\r\\nb SELECT INBOX\\r\\n" % (sys.argv[2].encode(), sys.argv[3].encode()))
until(b"b")
start = time.monotonic()
sock.sendall(b"c FETCH 1:* BODY.PEEK[]\\r\\n")
print(until(b"c"), time.monotonic() - start)
"""


def run(readers: list[Reader], say: Say) -> str:
    """All of it, as Markdown."""
    lines = [
        f"| {SESSIONS:,} sessions in IDLE on {ACCOUNTS} mailboxes | bdmta | Dovecot | share |",
        "|---|---|---|---|",
    ]
    for tls in (False, True):
        each = []
        for reader in readers:
            reader.stop()
            if isinstance(reader, BdmtaReader):
                reader.plain, reader.workers = not tls, "" if tls else "0"
            reader.start()
            each.append(memory(reader, SESSIONS, say, tls=tls))
        lines.append(
            f"| {'TLS' if tls else 'plain TCP'}, KiB a session | {each[0]:.1f} | {each[1]:.1f} "
            f"| {each[0] / each[1]:.3f} |"
        )
    for reader in readers:
        if isinstance(reader, BdmtaReader):
            reader.workers = "1"  # both sessions on one loop
        reader.stop()
        reader.start()
        found = noop(reader, say)
        lines += [
            "",
            f"{reader.name}: NOOP beside a fetch of {_FETCHED}: median {found[0]:.2f} ms, 99 of 100 under {found[1]:.2f} ms, "
            f"longest {found[2]:.2f} ms.",
        ]
        started, again = many(reader, say)
        lines += [
            "",
            f"{reader.name}: SELECT of {MANY:,} letters: {started * 1000:.0f} ms by a server just started, "
            f"{again * 1000:.0f} ms again.",
        ]
    return "\n".join(lines)
