"""The parts of growth that read: a mailbox of many letters, and sessions in IDLE."""

from __future__ import annotations

import os
import random
import resource
import socket
import ssl
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench.boxes import letter

if TYPE_CHECKING:
    from bench.growth import Bed, Point, Say
    from bench.site import Site

_OCTETS = 600
_CONTEXT = ssl.create_default_context()
_CONTEXT.check_hostname = False
_CONTEXT.verify_mode = ssl.CERT_NONE


class Reading:
    """A raw IMAP connection over TLS."""

    def __init__(self, site: Site, number: int) -> None:
        plain = socket.create_connection(("127.0.0.1", site.base_port + 993), 900)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = _CONTEXT.wrap_socket(plain)
        self._until(b"* OK")
        account = site.accounts[number]
        self.command(f"LOGIN {account.address} {account.password}")

    def _until(self, start: bytes) -> bytes:
        told = b""
        while True:
            octets = self.sock.recv(1 << 18)
            if not octets:
                raise SystemExit(f"the connection ended: {told[-300:]!r}")
            told += octets
            if told.endswith(b"\r\n") and told[:-2].rpartition(b"\r\n")[2].startswith(start):
                return told

    def command(self, text: str) -> bytes:
        """Send it, read to its OK."""
        self.sock.sendall(f"t {text}\r\n".encode())
        told = self._until(b"t ")
        if not told[:-2].rpartition(b"\r\n")[2].startswith(b"t OK"):
            raise SystemExit(f"{text}: {told[-300:]!r}")
        return told

    def ms(self, text: str) -> float:
        """How long it takes."""
        start = time.monotonic()
        self.command(text)
        return (time.monotonic() - start) * 1000


class Idlers:
    """Sessions in IDLE, over the site's mailboxes in turn."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._held: list[Reading] = []
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def __enter__(self) -> Idlers:
        return self

    def __exit__(self, *unused: object) -> None:
        for one in self._held:
            one.sock.close()

    def grow(self, count: int) -> None:
        """Until there are so many. What they are told is left in the sockets' buffers, which hold far more."""
        while len(self._held) < count:
            one = Reading(self._site, len(self._held) % len(self._site.accounts))
            one.command("SELECT INBOX")
            one.sock.sendall(b"i IDLE\r\n")
            one.sock.recv(100)
            self._held.append(one)


def by_letters(bed: Bed, sizes: Sequence[int], rounds: int, say: Say) -> Iterator[Point]:
    """One mailbox of so many letters: what another letter costs, and what an open program waits for."""
    from bench.growth import Point, boxes, cost

    site = bed.site(("quota", "person_letters", "0"), ("quota", "person_octets", "0"))
    site.add(boxes(2))
    site.serve()
    there = 0
    try:
        for size in sizes:
            _fill(site, there, size)
            there = size
            to = [site.accounts[0].address]
            first = Reading(site, 0)
            first_ms = first.ms("SELECT INBOX") + first.ms("UID FETCH 1:* (FLAGS)")
            values: dict[str, list[float]] = {"first look, ms a letter": [first_ms / size]}
            cost(site, to * 20, 1)
            first.command("NOOP")
            for number in range(rounds):
                for what, value in _round(site, first, to, number).items():
                    values.setdefault(what, []).append(value)
            there += 20 + rounds * 101
            first.sock.close()
            say(f"CPU ms a letter {statistics.median(values['CPU ms a letter, nobody reads']):.2f}")
            yield Point(size, values)
    finally:
        site.stop()


def _round(site: Site, reading: Reading, to: list[str], number: int) -> dict[str, float]:
    from bench.growth import cost

    found: dict[str, float] = {}
    reading.command("UNSELECT")
    found["CPU ms a letter, nobody reads"] = cost(site, to * 100, 4)[0]
    found["SELECT with 100 letters new, ms"] = reading.ms("SELECT INBOX")
    time.sleep(1.5)  # a listing that began within a second of a change is not trusted, and made again
    reading.command("NOOP")
    reading.command("UNSELECT")
    found["SELECT, nothing new, ms"] = reading.ms("SELECT INBOX")
    told = reading.command("UID SEARCH UID *")
    last = int(told.split(b"* SEARCH ")[1].split()[0])
    found["one more letter, seen after, ms"] = _seen(site, reading, to)
    found["headers of the newest 20, ms"] = reading.ms(f"UID FETCH {last - 19}:{last} (UID FLAGS ENVELOPE)")
    found["a flag, ms"] = reading.ms(f"UID STORE {last - number} +FLAGS (\\Flagged)")
    found["NOOP after it, ms"] = reading.ms("NOOP")
    return found


def _seen(site: Site, reading: Reading, to: list[str]) -> float:
    """From handing a letter over until a NOOP tells of it."""
    import asyncio

    from bench.growth import send

    start = time.monotonic()
    asyncio.run(send(site.base_port + 25, to, 1))
    while b"EXISTS" not in reading.command("NOOP"):
        if time.monotonic() - start > 60:
            raise SystemExit("a letter is not told of")
        time.sleep(0.002)
    return (time.monotonic() - start) * 1000


def _fill(site: Site, start: int, end: int) -> None:
    """Files in `cur`, as another program would put them there."""
    cur, draw = site.maildir("b0") / "cur", random.Random(start)
    for number in range(start, end):
        octets = letter(number, _OCTETS, draw)
        name = f"{1780000000 + number}.M{number % 1_000_000}P1.mx,S={len(octets)},W={len(octets)}:2,S"
        (cur / name).write_bytes(octets)
    os.sync()
