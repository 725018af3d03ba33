"""The life of one IMAP connection. What it says is `session`'s, how octets come and go `connection`'s.

No task and no timer while nothing happens: a command that is complete starts the worker, which ends when all that came
is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from bdmta.imap.connection import NEVER, OUT_OCTETS, Connection
from bdmta.imap.errors import Bye, Gone
from bdmta.imap.frame import Announced, Command, TooLong
from bdmta.imap.server import ImapServer
from bdmta.imap.session import alert_line
from bdmta.limits.network import network_of

_IN_OCTETS = 262_144


class ImapProtocol(Connection):
    """A connection and its session."""

    __slots__ = ("_admits", "_entered", "_is_ending", "_worker")

    def __init__(self, server: ImapServer, *, implicit_tls: bool, admits: Callable[[str], bool] | None) -> None:
        super().__init__(server, has_tls=implicit_tls)
        self._admits = admits or server.settings.admits
        self._worker: asyncio.Task[None] | None = None
        self._entered = False
        self._is_ending = False  # the peer has closed its side

    # -- life of the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or refuse."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.remote_ip = peer[0] if isinstance(peer, tuple) else "127.0.0.1"
        settings = self.server.settings
        self._transport.set_write_buffer_limits(high=4 * OUT_OCTETS)
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
            room = self.bounds.command + (_IN_OCTETS if self.session.mailbox is not None else 0)
            if len(framer.buffer) > room and not self._is_paused:
                self._is_paused = True
                self._transport.pause_reading()

    # -- from outside

    def timed_out(self) -> None:
        """The deadline has passed (the server's sweep)."""
        self._last_words("Autologout; idle for too long")

    def shut_down(self) -> None:
        """SIGTERM: a session that waits ends now, another behind its command."""
        if self._worker is None or self._is_idle:
            self._last_words("Server shutting down")

    def abort(self) -> None:
        """The end, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    def _last_words(self, why: str) -> None:
        transport = self._transport
        if transport is None:
            return
        self.deadline = NEVER
        if self._can_write and not transport.is_closing():
            transport.write(b"".join(self._out) + f"* BYE {why}\r\n".encode())
            self._out.clear()
            transport.close()
        else:
            transport.abort()

    def alert(self, text: str) -> bool:
        """A notice to a session that is logged in: now when it waits, else behind its command. False: it is not."""
        if self.session.mailbox is None or self._transport is None:
            return False
        if self._worker is None or self._is_idle:
            self._transport.write(alert_line(text))
        else:
            self.session.alerts.append(text)
        return True

    # -- the worker

    async def _work(self, event: Command | Announced | TooLong | None) -> None:
        session = self.session
        self._slice_at = self._loop.time()
        try:
            while event is not None:
                self.deadline = NEVER
                await self._handle(event)
                if session.closing or self.server.draining:
                    raise Bye("" if session.closing else "Server shutting down")
                if len(self._out) > 64:
                    await self.flush()
                await self.be_fair()
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


def make_imap_protocol(
    server: ImapServer, *, implicit_tls: bool = False, admits: Callable[[str], bool] | None = None
) -> Callable[[], asyncio.Protocol]:
    """A factory for `create_server`; `admits` is the listener's own rule of who may connect."""
    return lambda: ImapProtocol(server, implicit_tls=implicit_tls, admits=admits)
