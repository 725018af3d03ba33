"""One POP3 connection: octets in and out, TLS, the pace of both sides. What it says is `session`'s.

No task and no timer while nothing happens: a line that is complete starts the worker, which ends when all is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

from bdmta.limits.network import network_of
from bdmta.pop3.server import Pop3Server
from bdmta.pop3.session import Bye, Gone, Session

_HANDSHAKE_S = 30.0
_WRITE_S = 300.0
_MAX_LINE_OCTETS = 8192
_IN_OCTETS = 65_536
_OUT_OCTETS = 262_144
_FAIR_S = 0.02
_NEVER = float("inf")


class Pop3Protocol(asyncio.Protocol):
    """A connection and its session."""

    def __init__(self, server: Pop3Server, *, implicit_tls: bool, admits: Callable[[str], bool] | None) -> None:
        self.server = server
        self.has_tls = implicit_tls
        self.remote_ip = ""
        self.deadline = _NEVER
        self._admits = admits or server.settings.admits
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._in = bytearray()
        self._out: list[bytes] = []
        self._out_octets = 0
        self._worker: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._write_waiter: asyncio.Future[None] | None = None
        self._can_write = True
        self._is_paused = False
        self._is_ending = False
        self._entered = False
        self.session = Session(server, self)

    # -- life of the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or refuse."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.remote_ip = peer[0] if isinstance(peer, tuple) else "127.0.0.1"
        _keep_alive(transport.get_extra_info("socket"))
        settings = self.server.settings
        if self.server.draining or not self._admits(self.remote_ip):
            return self._refuse("[SYS/TEMP] Not now" if self.server.draining else "[SYS/PERM] Not from there")
        count = self.server.sessions.enter(network_of(self.remote_ip))
        self._entered = True
        self.server.entered(self)
        is_full = count > settings.sessions_per_address or len(self.server.live) > settings.max_sessions
        if is_full and not settings.trusts(self.remote_ip):
            return self._refuse("[SYS/TEMP] Too many sessions")
        self.deadline = self._loop.time() + settings.login_timeout_s
        self._transport.write(f"+OK {settings.hostname} ready\r\n".encode())
        return None

    def _refuse(self, why: str) -> None:
        self._transport.write(f"-ERR {why}\r\n".encode())
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The session ends, and with it the maildrop's lock."""
        self._transport = None
        if self._entered:
            self._entered = False
            self.server.sessions.leave(network_of(self.remote_ip))
            self.server.left(self)
        if self._worker is not None:
            self._worker.cancel()
        else:
            self.session.close()

    def eof_received(self) -> bool:
        """The peer will say no more; what it said is answered (TLS knows no half-closed state)."""
        if self._worker is None or self._waiter is not None:
            return False
        self._is_ending = True
        return not self.has_tls

    def data_received(self, data: bytes) -> None:
        """Take octets; begin when a line is complete."""
        self._in += data
        if self._worker is None:
            if b"\n" in data or len(self._in) > _MAX_LINE_OCTETS:
                self._worker = self._loop.create_task(self._work())
            return
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if len(self._in) > _IN_OCTETS and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """The peer does not take what it asked for."""
        self._can_write = False

    def resume_writing(self) -> None:
        """The peer takes more."""
        self._can_write = True
        if self._write_waiter is not None and not self._write_waiter.done():
            self._write_waiter.set_result(None)

    def timed_out(self) -> None:
        """The deadline has passed: the session ends without UPDATE (RFC 1939 §3)."""
        self._last_words("[SYS/TEMP] Idle for too long")

    def shut_down(self) -> None:
        """SIGTERM."""
        if self._worker is None:
            self._last_words("[SYS/TEMP] Server shutting down")

    def abort(self) -> None:
        """The end, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    def _last_words(self, why: str) -> None:
        transport = self._transport
        if transport is None:
            return
        self.deadline = _NEVER
        if self._can_write and not transport.is_closing():
            transport.write(b"".join(self._out) + f"-ERR {why}\r\n".encode())
            self._out.clear()
            transport.close()
        else:
            transport.abort()

    # -- the worker

    async def _work(self) -> None:
        session = self.session
        slice_at = self._loop.time()
        try:
            while True:
                line = self._next_line()
                if line is None:
                    await self.flush()
                    line = self._next_line()
                    if line is None:
                        break
                self.deadline = _NEVER
                await session.command(line)
                if session.closing or self.server.draining:
                    raise Bye("" if session.closing else "[SYS/TEMP] Server shutting down")
                if self._out_octets > _OUT_OCTETS:
                    await self.flush()
                if self._loop.time() - slice_at > _FAIR_S:
                    await asyncio.sleep(0)
                    slice_at = self._loop.time()
        except Bye as bye:
            await self._part(str(bye))
        except (Gone, ConnectionError, asyncio.CancelledError):
            self._hang_up()
        except Exception:
            self.server.log.error("pop3 session failed", ip=self.remote_ip, account=session.account, exc_info=True)
            await self._part("[SYS/TEMP] Temporary failure")
        finally:
            self._rest()

    def _rest(self) -> None:
        self._worker = None
        if self._transport is None:
            self.session.close()
            return
        if self._is_ending:
            self._hang_up()
            return
        settings = self.server.settings
        wait_s = settings.idle_timeout_s if self.session.drop is not None else settings.login_timeout_s
        self.deadline = self._loop.time() + wait_s
        self._resume()

    def _next_line(self) -> bytes | None:
        end = self._in.find(b"\n", 0, _MAX_LINE_OCTETS + 1)
        if end < 0:
            if len(self._in) > _MAX_LINE_OCTETS:
                raise Bye("Line too long")
            return None
        line = bytes(self._in[:end])
        del self._in[: end + 1]
        return line[:-1] if line.endswith(b"\r") else line

    def _resume(self) -> None:
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    async def _part(self, last: str) -> None:
        if last:
            self.send(f"-ERR {last}\r\n".encode())
        with contextlib.suppress(Gone, ConnectionError, TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(self.flush(), 10)
        self._hang_up()

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # -- what a session uses (`session.Wire`)

    def send(self, octets: bytes) -> None:
        """Queue octets."""
        self._out.append(octets)
        self._out_octets += len(octets)

    async def flush(self) -> None:
        """Write what is queued; wait while the peer does not take it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise Gone
        if self._out:
            octets = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            self._out_octets = 0
            transport.write(octets)
        if not self._can_write:
            self.deadline = self._loop.time() + _WRITE_S
            self._write_waiter = self._loop.create_future()
            try:
                await self._write_waiter
            finally:
                self._write_waiter = None
                self.deadline = _NEVER
        if self._transport is None:
            raise Gone

    async def line(self) -> bytes:
        """The next line (of an AUTH)."""
        while (line := self._next_line()) is None:
            await self.flush()
            self._resume()
            self.deadline = self._loop.time() + self.server.settings.login_timeout_s
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
                self.deadline = _NEVER
            if self._transport is None:
                raise Gone
        return line

    async def start_tls(self) -> None:
        """Answer STLS and upgrade. Octets that stand behind it in the clear end the session (CVE-2011-0411)."""
        transport = self._transport
        if transport is None:
            raise Gone
        transport.pause_reading()
        if self._in:
            self.server.log.warning("octets behind STLS", ip=self.remote_ip, protocol="pop3")
            raise Bye("Octets behind STLS")
        self.send(b"+OK Begin TLS\r\n")
        await self.flush()
        assert self.server.tls is not None
        try:
            upgraded = await self._loop.start_tls(
                transport, self, self.server.tls, server_side=True, ssl_handshake_timeout=_HANDSHAKE_S
            )
        except (ssl.SSLError, OSError, TimeoutError) as error:
            self.server.log.info("tls handshake failed", ip=self.remote_ip, error=str(error))
            raise Gone from None
        if upgraded is None:
            raise Gone
        self._transport = upgraded
        self.has_tls = True


def _keep_alive(sock: Any) -> None:
    """A client that vanished is noticed within minutes: it holds the maildrop's lock."""
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
    return lambda: Pop3Protocol(server, implicit_tls=implicit_tls, admits=admits)
