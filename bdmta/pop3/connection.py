"""One POP3 connection: how octets become lines. What is said is `session`'s."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

from bdmta.pop3.server import Pop3Server
from bdmta.pop3.session import Session
from bdmta.session.connection import NEVER, Bye, Connection

_MAX_LINE_OCTETS = 8192
_IN_OCTETS = 65_536


class Pop3Connection(Connection):
    """A connection and its session (`session.Wire`)."""

    __slots__ = ("_in", "server", "session")

    name = "pop3"
    temporary, permanent = "[SYS/TEMP] ", "[SYS/PERM] "  # RFC 3206

    def __init__(self, server: Pop3Server, *, implicit_tls: bool, admits: Callable[[str], bool] | None) -> None:
        super().__init__(server, has_tls=implicit_tls, admits=admits)
        self.server = server
        self._in = bytearray()
        self.session = Session(server, self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client that vanished is noticed within minutes: it holds the maildrop's lock."""
        _keep_alive(transport.get_extra_info("socket"))
        super().connection_made(transport)

    def greeting(self) -> str:
        """RFC 1939 §4."""
        return f"+OK {self.server.settings.hostname} ready\r\n"

    def farewell(self, text: str) -> bytes:
        """A session that is ended does no UPDATE (RFC 1939 §3)."""
        return f"-ERR {text}\r\n".encode()

    def account(self) -> str:
        """Who has the maildrop."""
        return self.session.account if self.session.drop is not None else ""

    def ended(self) -> None:
        """Let go of the maildrop's lock."""
        self.session.close()

    def has_octets(self) -> bool:
        """Whether the peer has said something."""
        return bool(self._in)

    def data_received(self, data: bytes) -> None:
        """Take octets; begin when a line is complete."""
        self._in += data
        if self._worker is None:
            if b"\n" in data or len(self._in) > _MAX_LINE_OCTETS:
                self.start()
            return
        self.wake()
        if len(self._in) > _IN_OCTETS:
            self.pause_reading()

    async def answer(self) -> None:
        """Line by line; what is answered leaves when nothing more has come."""
        while True:
            line = self._next_line()
            if line is None:
                await self.flush()
                line = self._next_line()
                if line is None:
                    return
            self.deadline = NEVER
            await self.session.command(line)
            self.must_end(is_closing=self.session.closing)
            await self.be_fair()

    def _next_line(self) -> bytes | None:
        end = self._in.find(b"\n", 0, _MAX_LINE_OCTETS + 1)
        if end < 0:
            if len(self._in) > _MAX_LINE_OCTETS:
                raise Bye("Line too long")
            return None
        line = bytes(self._in[:end])
        del self._in[: end + 1]
        return line[:-1] if line.endswith(b"\r") else line

    async def line(self) -> bytes:
        """The next line (of an AUTH)."""
        while (line := self._next_line()) is None:
            await self.more(self.server.settings.login_timeout_s)
        return line

    async def start_tls(self) -> None:
        """Answer STLS and upgrade."""
        await self.upgrade("STLS", b"+OK Begin TLS\r\n")


def _keep_alive(sock: Any) -> None:
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)


def make_pop3_protocol(
    server: Pop3Server, *, implicit_tls: bool = False, admits: Callable[[str], bool] | None = None
) -> Callable[[], asyncio.Protocol]:
    """A factory for `create_server`; `admits` is the listener's own rule of who may connect."""
    return lambda: Pop3Connection(server, implicit_tls=implicit_tls, admits=admits)
