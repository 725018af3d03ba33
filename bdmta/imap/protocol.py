"""One IMAP connection: octets in and out, TLS, the pace of both sides. What it says is `session`'s.

No task and no timer while nothing happens: a command that is complete starts the worker, which ends when all that came
is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any

from bdmta.imap.errors import Bye, Gone
from bdmta.imap.frame import Announced, Bounds, Command, Framer, TooLong
from bdmta.imap.server import ImapServer
from bdmta.imap.session import Session, alert_line
from bdmta.imap.syntax import BadSyntax
from bdmta.imap.verbs import COMMANDS
from bdmta.limits.network import network_of
from storage.box import View

_HANDSHAKE_S = 30.0
_WRITE_S = 300.0  # for the peer to take what it asked for
_BLOCK_S = 180.0  # for the next octets of a literal
_OUT_OCTETS = 65_536
_IN_OCTETS = 262_144
_FAIR_S = 0.02
_NEVER = float("inf")


class ImapProtocol(asyncio.Protocol):
    """A connection and its session."""

    __slots__ = (
        "_admits",
        "_can_write",
        "_entered",
        "_is_ending",
        "_is_idle",
        "_is_paused",
        "_loop",
        "_out",
        "_slice_at",
        "_transport",
        "_waiter",
        "_wake_at",
        "_worker",
        "_write_waiter",
        "bounds",
        "deadline",
        "framer",
        "has_tls",
        "remote_ip",
        "server",
        "session",
    )  # fmt: skip

    def __init__(self, server: ImapServer, *, implicit_tls: bool, admits: Callable[[str], bool] | None) -> None:
        self.server = server
        self.has_tls = implicit_tls
        self._admits = admits or server.settings.admits
        self.bounds = Bounds()
        self.framer = Framer(self.bounds)
        self.remote_ip = ""
        self.deadline = _NEVER
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._out: list[bytes] = []
        self._worker: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._write_waiter: asyncio.Future[None] | None = None
        self._can_write = True
        self._is_paused = False
        self._is_idle = False  # within IDLE: changes and notices may be told at once
        self._wake_at = _NEVER  # when it says again that it lives
        self._entered = False
        self._is_ending = False  # the peer has closed its side
        self._slice_at = 0.0
        self.session = Session(server, self, COMMANDS)

    # -- life of the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or refuse."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.remote_ip = peer[0] if isinstance(peer, tuple) else "127.0.0.1"
        settings = self.server.settings
        self._transport.set_write_buffer_limits(high=4 * _OUT_OCTETS)
        if self.server.draining or not self._admits(self.remote_ip):
            return self._refuse("Not now" if self.server.draining else "Not from there")
        count = self.server.sessions.enter(network_of(self.remote_ip))
        self._entered = True
        self.server.entered(self)
        if not settings.trusts(self.remote_ip) and (
            count > settings.sessions_per_address or len(self.server.live) > settings.max_sessions
        ):
            return self._refuse("Too many sessions")
        self.deadline = self._loop.time() + settings.login_timeout_s
        transport.write(f"* OK [CAPABILITY {self.session.capabilities()}] {settings.hostname} ready\r\n".encode())  # type: ignore[attr-defined]
        return None

    def _refuse(self, why: str) -> None:
        self._transport.write(f"* BYE {why}\r\n".encode())
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The session ends; whoever waits is woken."""
        self._transport = None
        if self._entered:
            self._entered = False
            self.server.sessions.leave(network_of(self.remote_ip))
            self.server.left(self)
        worker = self._worker
        if worker is not None:
            worker.cancel()
        else:
            self.session.close()

    def eof_received(self) -> bool:
        """The peer will say no more; it still gets the answers to what it said (TLS knows no half-closed state)."""
        if self._worker is None or self._waiter is not None:
            return False
        self._is_ending = True
        return not self.has_tls

    def data_received(self, data: bytes) -> None:
        """Take octets; begin when a command is complete."""
        framer = self.framer
        framer.buffer += data
        if self._worker is None:
            event = framer.next()
            if event is not None:
                self._worker = self._loop.create_task(self._work(event))
        else:
            self._wake()
            if len(framer.buffer) > _IN_OCTETS + self.bounds.command and not self._is_paused:
                self._is_paused = True
                self._transport.pause_reading()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _wake_from_thread(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(self._wake)

    def pause_writing(self) -> None:
        """The peer does not take what it asked for."""
        self._can_write = False

    def resume_writing(self) -> None:
        """The peer takes more."""
        self._can_write = True
        waiter = self._write_waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # -- from outside

    def timed_out(self) -> None:
        """The deadline has passed (the server's sweep)."""
        self._last_words("Autologout; idle for too long")

    def shut_down(self) -> None:
        """SIGTERM: a session that waits ends now, another behind its command."""
        if self._worker is None or self._is_idle:
            self._last_words("Server shutting down")

    def _last_words(self, why: str) -> None:
        transport = self._transport
        if transport is None:
            return
        self.deadline = _NEVER
        if self._can_write and not transport.is_closing():
            transport.write(b"".join(self._out) + f"* BYE {why}\r\n".encode())
            self._out.clear()
            transport.close()
        else:
            transport.abort()

    def alert(self, text: str) -> None:
        """A notice to a session that is logged in: now when it waits, else behind its command."""
        if self.session.mailbox is None or self._transport is None:
            return
        if self._worker is None or self._is_idle:
            self._transport.write(alert_line(text))
        else:
            self.session.alerts.append(text)

    # -- the worker

    async def _work(self, event: Command | Announced | TooLong | None) -> None:
        session = self.session
        self._slice_at = self._loop.time()
        try:
            while event is not None:
                self.deadline = _NEVER
                await self._handle(event)
                if session.closing or self.server.draining:
                    raise Bye("" if session.closing else "Server shutting down")
                if len(self._out) > 64:
                    await self.flush()
                await self._be_fair()
                event = self.framer.next()
                if event is None:
                    await self.flush()
                    event = self.framer.next()
        except Bye as bye:
            await self._part(str(bye))
        except (Gone, ConnectionError, asyncio.CancelledError):
            self._hang_up()
        except Exception:
            self.server.log.error("imap session failed", ip=self.remote_ip, account=session.account, exc_info=True)
            await self._part("Temporary failure")
        finally:
            self._rest()

    def _rest(self) -> None:
        """Nothing more to do: wait for the peer without a task."""
        self._worker = None
        if self._transport is None:
            self.session.close()
            return
        if self._is_ending:
            self._hang_up()
            return
        settings = self.server.settings
        self.deadline = self._loop.time() + (
            settings.idle_timeout_s if self.session.mailbox is not None else settings.login_timeout_s
        )
        self._resume()

    def _resume(self) -> None:
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    async def _be_fair(self) -> None:
        """A pipelined flood does not hold the loop."""
        if self._loop.time() - self._slice_at > _FAIR_S:
            await asyncio.sleep(0)
            self._slice_at = self._loop.time()

    async def _handle(self, event: Command | Announced | TooLong) -> None:
        if isinstance(event, Command):
            await self.session.command(event.text)
        elif isinstance(event, TooLong):
            raise Bye("Command too long")
        elif event.is_letter:
            if self.session.mailbox is None and not event.is_sync and event.size > self.bounds.literal:
                raise Bye("Literal too large")
            await self.session.append(event)
        elif event.size > self.bounds.literal or len(event.text) + event.size > self.bounds.command:
            self.framer.refuse()
            self.send(event.text.partition(b" ")[0][:255] + b" NO [TOOBIG] Literal too large\r\n")
        else:
            self.framer.accept()
            if event.is_sync:
                self.send(b"+ OK\r\n")

    async def _part(self, last: str) -> None:
        """Say goodbye and close; the peer has ten seconds to hear it."""
        if last:
            self._out.append(f"* BYE {last}\r\n".encode())
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

    async def flush(self) -> None:
        """Write what is queued; wait while the peer does not take it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise Gone
        if self._out:
            octets = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
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

    async def _more(self, timeout_s: float) -> None:
        """Wait for octets."""
        await self.flush()
        self._resume()
        self.deadline = self._loop.time() + timeout_s
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self.deadline = _NEVER
        if self._transport is None:
            raise Gone

    async def line(self) -> bytes:
        """The next line."""
        settings = self.server.settings
        while True:
            event = self.framer.next()
            if isinstance(event, Command):
                return event.text
            if isinstance(event, TooLong):
                raise Bye("Command too long")
            if event is not None:
                if not event.is_letter:
                    self.framer.refuse()
                if not event.is_sync:
                    raise Bye("No literal expected here")
                raise BadSyntax("no literal expected here")
            await self._more(settings.idle_timeout_s if self.session.mailbox is not None else settings.login_timeout_s)

    async def block(self, count: int) -> bytes:
        """One to `count` octets of a literal."""
        while not self.framer.buffer:
            await self._more(_BLOCK_S)
        block = self.framer.take(count)
        self._resume()
        return block

    def has_line(self) -> bool:
        """Whether the peer has said something (within IDLE: DONE)."""
        return bool(self.framer.buffer)

    async def news(self, view: View | None, timeout_s: float) -> bool:
        """Wait for changes of the folder or for the peer, in this one task and without a timer of its own."""
        self._resume()
        now = self._loop.time()
        if self.deadline == _NEVER:
            self.deadline = now + self.server.settings.idle_timeout_s
        if view is not None:
            view.box.mailbox.boxes.attach(self._loop)
            view.box.listen(id(self), self._wake_from_thread)
        self._is_idle = True
        self._wake_at = now + timeout_s
        try:
            while not self.framer.buffer and not (view is not None and (view.has_news() or view.box.is_dirty())):
                if self._loop.time() >= self._wake_at:
                    return False
                self._waiter = self._loop.create_future()
                await self._waiter
                if self._transport is None:
                    raise Gone
            return True
        finally:
            self._waiter = None
            self._is_idle = False
            self._wake_at = _NEVER
            if view is not None:
                view.box.listen(id(self), None)

    def tick(self, now: float, *, is_slow: bool) -> None:
        """The server's sweep: an idle session looks whether it must say that it lives, or missed something."""
        if not self._is_idle:
            return
        view = self.session.view
        if now >= self._wake_at or is_slow or (view is not None and not view.box.has_watch):
            self._wake()

    async def start_tls(self) -> None:
        """Answer STARTTLS and upgrade. Octets that stand behind it in the clear end the session (CVE-2011-0411)."""
        transport = self._transport
        if transport is None:
            raise Gone
        transport.pause_reading()
        if self.framer.buffer:
            self.server.log.warning("octets behind STARTTLS", ip=self.remote_ip, protocol="imap")
            raise Bye("Octets behind STARTTLS")
        self.send(self.session.tag + b" OK Begin TLS\r\n")
        await self.flush()
        assert self.server.tls is not None
        self.deadline = self._loop.time() + 2 * _HANDSHAKE_S
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
        upgraded.set_write_buffer_limits(high=4 * _OUT_OCTETS)
        self.has_tls = True


def make_imap_protocol(
    server: ImapServer, *, implicit_tls: bool = False, admits: Callable[[str], bool] | None = None
) -> Callable[[], asyncio.Protocol]:
    """A factory for `create_server`; `admits` is the listener's own rule of who may connect."""
    return lambda: ImapProtocol(server, implicit_tls=implicit_tls, admits=admits)
