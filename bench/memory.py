"""`scripts/bench memory`: what ten letters of 50 MB, sent at once, add to an edge's anonymous memory."""

from __future__ import annotations

import threading
import time

from bench.peers import DOMAIN, Bdmta
from bench.process import anonymous_octets, descendants

LETTERS = 10
OCTETS = 50_000_000


def growth(peer: Bdmta) -> tuple[int, int]:
    """Octets by which the largest edge grew at its peak, and how many letters were answered 250."""
    edges = [pid for pid in descendants(peer.process.pid) if b'"role": "edge"' in _command(pid)]
    before = {pid: anonymous_octets(pid) for pid in edges}
    answers: list[bytes] = []
    threads = [threading.Thread(target=_send, args=(peer.port, number, answers)) for number in range(LETTERS)]
    for thread in threads:
        thread.start()
    peak = 0
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, *(anonymous_octets(pid) - before[pid] for pid in edges))
        time.sleep(0.01)
    return peak, sum(answer.startswith(b"250") for answer in answers)


def _command(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _send(port: int, number: int, answers: list[bytes]) -> None:
    import socket

    line = b"x" * 76 + b"\r\n"
    block = line * 800
    with socket.create_connection(("127.0.0.1", port), 120) as sock:
        file = sock.makefile("rb")
        for words in (
            b"",
            b"HELO bench",
            b"MAIL FROM:<a@sender.test>",
            b"RCPT TO:<box%03d@%s>" % (number, DOMAIN.encode()),
            b"DATA",
        ):
            if words:
                sock.sendall(words + b"\r\n")
            file.readline()
        sock.sendall(b"From: <a@sender.test>\r\nSubject: large\r\n\r\n")
        for _ in range(OCTETS // len(block)):
            sock.sendall(block)
        sock.sendall(b".\r\n")
        answers.append(file.readline())
