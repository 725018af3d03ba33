"""What answers while no edge lives: `421` to SMTP, so that senders keep their letters and try again (RFC 5321 §3.8)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

_AT_ONCE = 64

SAID = {
    "smtp": b"421 4.3.2 Service is down for a moment, try again later / He thong tam ngung, xin thu lai sau\r\n",
    "imap": b"* BYE [UNAVAILABLE] Service is down for a moment, try again later\r\n",
    "pop3": b"-ERR [SYS/TEMP] Service is down for a moment, try again later\r\n",
}
"""By protocol. Where TLS comes first nothing can be said without it: the connection is closed."""
SAID["submission"] = SAID["smtp"]


class StandIn:
    """Accepts on listening sockets, says the line of their protocol, hangs up. Nobody who was accepted is left waiting.

    Each connection is accepted, answered and closed within one callback. (`asyncio.Server` does it in two, and who is
    accepted in the moment of its closing waits for the garbage collector.)
    """

    def __init__(
        self, sockets: Sequence[tuple[str, socket.socket]], announced: Callable[[str], bytes] = lambda protocol: b""
    ) -> None:
        """`sockets`: each with the protocol that is spoken there. `announced`: what a notice of an outage has to say
        by this protocol, with the expected time of recovery (Điều 15); empty: there is none.
        """
        self._sockets = [(sock, protocol) for protocol, sock in sockets]
        self._announced = announced
        self.is_answering = False

    def start(self) -> None:
        """Answer from now on. May be called twice."""
        self.is_answering = True
        loop = asyncio.get_running_loop()
        for sock, protocol in self._sockets:
            loop.add_reader(sock, self._accept, sock, protocol)

    def stop(self) -> None:
        """Leave who connects from now on to the edges. May be called twice."""
        self.is_answering = False
        loop = asyncio.get_running_loop()
        for sock, _ in self._sockets:
            loop.remove_reader(sock)

    def _accept(self, sock: socket.socket, protocol: str) -> None:
        said = self._announced(protocol) or SAID.get(protocol, b"")
        for _ in range(_AT_ONCE):
            try:
                connection, _ = sock.accept()
            except OSError:  # nobody more, or somebody who has gone, or no descriptor left: the next round tries again
                return
            with connection, suppress(OSError):
                connection.setblocking(False)
                connection.send(said)  # one line always fits an empty buffer
                connection.shutdown(socket.SHUT_WR)
