"""`scripts/bench imap|pop3`: what a client waits for on one mailbox of 10,000 letters of 4 KiB, beside Dovecot.

Over TLS on both sides and over a raw socket, so that the client costs little. Turns rotate. Cold: the index files are
removed and the page cache dropped before each; LOGIN is apart.
"""

from __future__ import annotations

import json
import math
import os
import re
import socket
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.boxes import letter
from bench.extent import of
from bench.readers import Reader

COUNT = of(10_000, 1000)
OCTETS = 4096
READS = (
    ("FETCH 1:* (FLAGS UID)", True),
    ("FETCH 1:* (UID ENVELOPE BODYSTRUCTURE)", True),
    ("FETCH 1:* RFC822.SIZE", True),
    ('SEARCH SUBJECT "x"', True),
    ('SEARCH BODY "seventy"', True),
    ("FETCH 1:* BODY.PEEK[]", False),
)
"""Commands, and whether the index alone answers them."""
APPENDED = of(500, 100)
MOVED = of(1000, 200)


class Taken(NamedTuple):
    """One command: until its tagged answer, and what it cost the server (nan where an earlier run did not tell)."""

    seconds: float
    cpu_ms: float = math.nan


Rows = dict[tuple[str, str], dict[str, list[Taken]]]
Say = Callable[[str], None]


class Connection:
    """A client that only counts what it is told."""

    def __init__(self, reader: Reader, *, tls: bool = True) -> None:
        self.sock = reader.connect(reader.imaps_port if tls else reader.imap_port, tls=tls)
        self._number = 0
        self._until(b"* OK")

    def _until(self, start: bytes) -> bytes:
        """Read to the end of the line that starts so; the last 64 KiB."""
        tail = b""
        while True:
            octets = self.sock.recv(1 << 18)
            if not octets:
                raise SystemExit(f"the connection ended within {start!r}: {tail[-500:]!r}")
            tail = octets if len(octets) >= 65_536 else (tail + octets)[-65_536:]
            if tail.endswith(b"\r\n") and tail[:-2].rpartition(b"\r\n")[2].startswith(start):
                return tail

    def command(self, text: str | bytes) -> bytes:
        """Send it, read to its tagged answer; the last 64 KiB of it."""
        self._number += 1
        tag = b"t%d " % self._number
        self.sock.sendall(tag + (text.encode() if isinstance(text, str) else text) + b"\r\n")
        tail = self._until(tag)
        last = tail[:-2].rpartition(b"\r\n")[2]
        if not last.startswith(tag + b"OK"):
            raise SystemExit(f"{text[:80]!r}: {last[:500]!r}")
        return tail

    def login(self, reader: Reader, number: int = 0) -> Connection:
        """As account `number`."""
        user = reader.user(number)
        self.command(f"LOGIN {user} {reader.password[user]}")
        return self

    def close(self) -> None:
        """Without a word."""
        self.sock.close()


def seconds(call: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.monotonic()
    call()
    return time.monotonic() - start


def taken(reader: Reader, call: Callable[[], object]) -> Taken:
    """The same, and the CPU milliseconds of all the server's processes, what they do just after the answer included."""
    before = reader.cpu_s()
    took_s = seconds(call)
    time.sleep(0.005)
    return Taken(took_s, (reader.cpu_s() - before) * 1000)


def race(readers: list[Reader], rounds: int, say: Say, *, cold: bool = True, kept: Path | None = None) -> Rows:
    """Every row, `rounds` times, the servers in turn; together with the whole rounds that `kept` has, and kept there."""
    rows: Rows = defaultdict(lambda: defaultdict(list))
    if kept is not None and kept.exists():
        for name, state, reader_name, values in json.loads(kept.read_text()):
            rows[name, state][reader_name] += [Taken(*one) if isinstance(one, list) else Taken(one) for one in values]
    done = max((len(values) for by_name in rows.values() for values in by_name.values()), default=0)
    for number in range(done, done + rounds):
        turns = [(reader, _turn(reader, number, cold=cold, say=say)) for reader in _in_turn(readers, number)]
        for reader, turn in turns:
            for name, state, value in turn:
                rows[name, state][reader.name].append(value)
        if kept is not None:
            flat = [(*key, name, values) for key, by_name in rows.items() for name, values in by_name.items()]
            kept.write_text(json.dumps(flat))
    return rows


def _in_turn(readers: list[Reader], number: int) -> list[Reader]:
    """Who began last time comes last now."""
    first = number % len(readers)
    return readers[first:] + readers[:first]


Found = list[tuple[str, str, Taken]]


def _turn(reader: Reader, number: int, *, cold: bool, say: Say) -> Found:
    turn = (_cold(reader) if cold else []) + _warm(reader, number)
    for name, state, value in turn:
        say(
            f"round {number + 1} {reader.name:<8} {state:<4} {name:<40} {value.seconds * 1000:9.2f} ms {value.cpu_ms:9.2f} ms CPU"
        )
    return turn


def _cold(reader: Reader) -> Found:
    found: Found = []
    for text, _ in READS:
        reader.forget()
        client = Connection(reader).login(reader)
        found.append(("SELECT", "cold", taken(reader, lambda: client.command("SELECT INBOX"))))  # noqa: B023
        found.append((text, "cold", taken(reader, lambda: client.command(text))))  # noqa: B023
        client.close()
    return found


def _warm(reader: Reader, number: int) -> Found:
    client = Connection(reader)
    found: Found = [("LOGIN", "warm", taken(reader, lambda: client.login(reader)))]
    client.command("SELECT INBOX")
    for text, _ in READS:
        client.command(text)
    client.command("UNSELECT")
    found.append(("SELECT", "warm", taken(reader, lambda: client.command("SELECT INBOX"))))
    found += [(text, "warm", taken(reader, lambda: client.command(text))) for text, _ in READS]  # noqa: B023
    sign = "-" if number % 2 else "+"
    store = f"STORE 1:* {sign}FLAGS (\\Flagged)"
    found.append(("STORE 1:* FLAGS (\\Flagged)", "warm", taken(reader, lambda: client.command(store))))
    found.append((f"APPEND of {APPENDED}, one behind the other", "warm", _append(reader, client, number)))
    found.append((f"UID MOVE of {MOVED:,}", "warm", _move(reader, client, number)))
    client.close()
    return found


def _append(reader: Reader, client: Connection, number: int) -> Taken:
    import random

    folder = f"Appended{number}"
    client.command(f"CREATE {folder}")
    draw = random.Random(number)
    letters = [letter(count, OCTETS, draw) for count in range(APPENDED)]

    def run() -> None:
        for octets in letters:
            client.command(b"APPEND %b (\\Seen) {%d+}\r\n%b" % (folder.encode(), len(octets), octets))

    return taken(reader, run)


def _move(reader: Reader, client: Connection, number: int) -> Taken:
    """Out of a folder that holds a copy of the first letters, so that INBOX stays what it is."""
    client.command(f"CREATE From{number}")
    client.command(f"CREATE To{number}")
    client.command("SELECT INBOX")
    client.command(f"COPY 1:{MOVED} From{number}")
    client.command(f"SELECT From{number}")
    client.command("FETCH 1:* (FLAGS ENVELOPE)")
    told = client.command("UID SEARCH ALL")
    uids = re.search(rb"\* SEARCH ([\d ]+)", told)
    assert uids is not None
    numbers = uids[1].split()
    words = b"UID MOVE %b:%b To%d" % (numbers[0], numbers[-1], number)
    return taken(reader, lambda: client.command(words))


def pop3(readers: list[Reader], rounds: int, say: Say) -> Rows:
    """RETR of every letter, 100 commands sent at once."""
    rows: Rows = defaultdict(lambda: defaultdict(list))
    for number in range(-1, rounds):  # the first turn is not counted
        for offset in range(len(readers)):
            reader = readers[(offset + number) % len(readers)]
            value = _retrieve(reader)
            if number >= 0:
                rows["POP3 RETR of all, pipelined", "warm"][reader.name].append(value)
                say(
                    f"round {number + 1} {reader.name:<8} POP3 RETR {value.seconds * 1000:9.2f} ms {value.cpu_ms:9.2f} ms CPU"
                )
    return rows


def _retrieve(reader: Reader) -> Taken:
    sock = reader.connect(reader.pop3s_port)
    user = reader.user(0)
    sock.recv(1000)
    for words in (f"USER {user}", f"PASS {reader.password[user]}"):
        sock.sendall(words.encode() + b"\r\n")
        if not sock.recv(1000).startswith(b"+OK"):
            raise SystemExit(f"{reader.name}: {words}")
    value = taken(reader, lambda: _pipelined(sock))
    sock.sendall(b"QUIT\r\n")
    sock.recv(1000)
    sock.close()
    return value


def _pipelined(sock: socket.socket) -> None:
    for first in range(1, COUNT + 1, 100):
        sock.sendall(b"".join(b"RETR %d\r\n" % number for number in range(first, first + 100)))
        ends, tail = 0, b""
        while ends < 100:
            octets = sock.recv(1 << 18)
            if not octets:
                raise SystemExit("POP3 ended in mid-letter")
            tail += octets
            ends += tail.count(b"\r\n.\r\n")
            tail = b"" if tail.endswith(b"\r\n.\r\n") else tail[-4:]


def table(rows: Rows, readers: Sequence[Reader]) -> str:
    """Markdown: milliseconds, CPU, memory."""
    lines = [
        f"One mailbox of {COUNT:,} letters of 4 KiB. Milliseconds until the tagged answer; median (least to most). CPU: "
        "milliseconds of all the server's processes for the same, its TLS included.", "",
        "| operation | state | bdmta | CPU | Dovecot | CPU | times as fast |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for (name, state), by_name in sorted(rows.items(), key=lambda row: row[0][1]):
        ours, theirs = by_name["bdmta"], by_name["dovecot"]
        times = statistics.median(one.seconds for one in theirs) / statistics.median(one.seconds for one in ours)
        cells = " | ".join(f"{_spread([one.seconds for one in each])} | {_cpu(each)}" for each in (ours, theirs))
        lines.append(f"| {name} | {state} | {cells} | {times:.2f} |")
    held = ", ".join(f"{reader.name} {reader.anonymous_mb():.0f} MB" for reader in readers)
    lines += ["", f"Anonymous memory of all processes after the last turn: {held}."]
    load = os.getloadavg()[2]
    lines += ["", f"Load average over the last 15 minutes: {load:.1f} on {os.cpu_count()} cores."]
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    middle, least, most = (1000 * value for value in (statistics.median(values), min(values), max(values)))
    digits = 0 if middle >= 100 else 1 if middle >= 10 else 2
    return f"{middle:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"


def _cpu(each: list[Taken]) -> str:
    told = [one.cpu_ms for one in each if not math.isnan(one.cpu_ms)]
    return f"{statistics.median(told):.{0 if statistics.median(told) >= 100 else 1}f}" if told else ""
