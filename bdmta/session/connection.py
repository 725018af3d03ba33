"""One connection of a client that reads its mail: octets in and out at the pace of both sides, TLS, deadlines, its end.

No task and no timer while nothing happens: `start` makes the worker when there is something to answer, and it ends when
all that came is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any

from bdmta.limits.network import network_of
from bdmta.session.server import SessionServer

OUT_OCTETS = 262_144  # queued answers leave when they are so many
FAIR_S = 0.01
NEVER = float("inf")
_HANDSHAKE_S = 30.0
_TLS_GOODBYE_S = 3.0  # for a client that does not say goodbye when we do
_WRITE_S = 300.0  # for the peer to take what it asked for
_PARTING_S = 10.0


class Bye(Exception):
    """The session ends with that text."""


class Gone(Exception):
    """The peer went away."""


class Connection(asyncio.Protocol):
    """A protocol adds how octets become commands (`data_received`, `has_octets`) and how they are answered."""

    __slots__ = (
        "_admits", "_can_write", "_entered", "_is_ending", "_is_paused", "_loop", "_out", "_out_octets", "_server",
        "_slice_at", "_transport", "_waiter", "_wakes", "_worker", "_write_waiter",
        "deadline", "has_tls", "remote_ip",
    )  # fmt: skip

    name = ""
    """Of the protocol, in the log."""
    temporary = permanent = ""
    """What stands before the reasons of a refusal."""

    def __init__(self, server: SessionServer, *, has_tls: bool, admits: Callable[[str], bool] | None) -> None:
        self.has_tls = has_tls
        self.remote_ip = ""
        self.deadline = NEVER
        self._server = server
        self._admits = admits or server.settings.admits
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._out: list[bytes] = []
        self._out_octets = 0
        self._worker: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._wakes = 0
        self._write_waiter: asyncio.Future[None] | None = None
        self._can_write = True
        self._is_paused = False
        self._is_ending = False  # the peer has closed its side
        self._entered = False
        self._slice_at = 0.0  # when the loop was last given to others

    # -- what a protocol says

    def greeting(self) -> str:
        """The first line."""
        raise NotImplementedError

    def farewell(self, text: str) -> bytes:
        """The last line."""
        raise NotImplementedError

    async def answer(self) -> None:
        """Answer all that came; flush. Raises Bye, Gone."""
        raise NotImplementedError

    def has_octets(self) -> bool:
        """Whether something came that was not taken."""
        raise NotImplementedError

    def account(self) -> str:
        """Who is logged in; "" for nobody."""
        raise NotImplementedError

    def ended(self) -> None:
        """The connection is gone and no worker runs: let go of what the session holds."""
        raise NotImplementedError

    def is_waiting(self) -> bool:
        """Whether the session may be ended between two commands just now."""
        return self._worker is None

    def tick(self, now: float, *, is_slow: bool) -> None:
        """The server's sweep."""

    # -- life of the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or refuse."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.remote_ip = peer[0] if isinstance(peer, tuple) else "127.0.0.1"
        server, settings = self._server, self._server.settings
        self._transport.set_write_buffer_limits(high=OUT_OCTETS)
        if server.draining:
            return self._refuse(self.temporary + "Not now")
        if not self._admits(self.remote_ip):
            return self._refuse(self.permanent + "Not from there")
        count = server.sessions.enter(network_of(self.remote_ip))
        self._entered = True
        server.entered(self)
        is_full = count > settings.sessions_per_address or len(server.live) > settings.max_sessions
        if is_full and not settings.trusts(self.remote_ip):
            return self._refuse(self.temporary + "Too many sessions")
        self.deadline = self._loop.time() + settings.login_timeout_s
        self._transport.write(self.greeting().encode())
        return None

    def _refuse(self, why: str) -> None:
        self._transport.write(self.farewell(why))
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The session ends; whoever waits is woken."""
        self._transport = None
        if self._entered:
            self._entered = False
            self._server.sessions.leave(network_of(self.remote_ip))
            self._server.left(self)
        if self._worker is not None:
            self._worker.cancel()
        else:
            self.ended()

    def eof_received(self) -> bool:
        """The peer will say no more; it still gets the answers to what it said (TLS knows no half-closed state)."""
        if self._worker is None or self._waiter is not None:
            return False
        self._is_ending = True
        return not self.has_tls

    def pause_writing(self) -> None:
        """The peer does not take what it asked for."""
        self._can_write = False

    def resume_writing(self) -> None:
        """The peer takes more."""
        self._can_write = True
        waiter = self._write_waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def pause_reading(self) -> None:
        """Enough has come for now."""
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """More may come."""
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    # -- from outside

    def timed_out(self) -> None:
        """The deadline has passed (the server's sweep)."""
        self._last_words("Autologout; idle for too long")

    def shut_down(self) -> None:
        """SIGTERM: a session that waits ends now, another behind its command."""
        if self.is_waiting():
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
            transport.write(b"".join(self._out) + self.farewell(self.temporary + why))
            self._out.clear()
            transport.close()
        else:
            transport.abort()

    # -- the worker

    def start(self) -> None:
        """Answer what came."""
        self._worker = self._loop.create_task(self._work())

    async def _work(self) -> None:
        self._slice_at = self._loop.time()
        try:
            await self.answer()
        except Bye as bye:
            await self._part(str(bye))
        except (Gone, ConnectionError, asyncio.CancelledError):
            self._hang_up()
        except Exception:
            self._server.log.error(
                f"{self.name} session failed", ip=self.remote_ip, account=self.account(), exc_info=True
            )
            await self._part(self.temporary + "Temporary failure")
        finally:
            self._rest()

    def _rest(self) -> None:
        """Nothing more to do: wait for the peer without a task."""
        self._worker = None
        if self._transport is None:
            self.ended()
        elif self._is_ending:
            self._hang_up()
        else:
            self.deadline = self._loop.time() + self.patience_s()
            self.resume_reading()

    def patience_s(self) -> float:
        """How long the peer may take for its next line, in seconds."""
        settings = self._server.settings
        return settings.idle_timeout_s if self.account() else settings.login_timeout_s

    def must_end(self, *, is_closing: bool) -> None:
        """Raise Bye behind a command that closed the session, and when the server stops."""
        if is_closing:
            raise Bye("")
        if self._server.draining:
            raise Bye(self.temporary + "Server shutting down")

    async def _part(self, last: str) -> None:
        """Say goodbye and close; the peer has ten seconds to hear it."""
        if last:
            self.send(self.farewell(last))
        with contextlib.suppress(Gone, ConnectionError, TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(self.flush(), _PARTING_S)
        self._hang_up()

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # -- what a session uses (its `Wire`)

    def send(self, octets: bytes) -> None:
        """Queue octets."""
        self._out.append(octets)
        self._out_octets += len(octets)

    async def be_fair(self) -> None:
        """Neither a flood of commands nor a large answer holds the loop, fills memory, or keeps an answer waiting."""
        is_long = self._loop.time() - self._slice_at > FAIR_S
        if self._out and (is_long or self._out_octets > OUT_OCTETS):
            await self.flush()
        elif is_long:
            await asyncio.sleep(0)
            self._slice_at = self._loop.time()

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
            await self.be_fair()
        if not self._can_write:
            self.deadline = self._loop.time() + _WRITE_S
            self._write_waiter = self._loop.create_future()
            try:
                await self._write_waiter
            finally:
                self._write_waiter = None
                self.deadline = NEVER
        if self._transport is None:
            raise Gone

    async def more(self, timeout_s: float) -> None:
        """Wait for octets. Raises Gone. May return without any: look, and call again."""
        before = self._wakes
        await self.flush()
        self.resume_reading()
        if self._wakes != before:  # they came while what was queued left: nobody will wake us for them
            return
        self.deadline = self._loop.time() + timeout_s
        try:
            await self.woken()
        finally:
            self.deadline = NEVER

    async def woken(self) -> None:
        """Wait until somebody calls `wake`. Raises Gone when the peer went meanwhile."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._transport is None:
            raise Gone

    def wake(self) -> None:
        """Something came, or happened."""
        self._wakes += 1
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def upgrade(self, verb: str, answer: bytes) -> None:
        """Answer STARTTLS or STLS and begin TLS.

        Octets that stand behind it in the clear end the session (CVE-2011-0411).
        """
        transport = self._transport
        if transport is None:
            raise Gone
        transport.pause_reading()
        if self.has_octets():
            self._server.log.warning(f"octets behind {verb}", ip=self.remote_ip, protocol=self.name)
            raise Bye(f"Octets behind {verb}")
        self.send(answer)
        await self.flush()
        assert self._server.tls is not None
        self.deadline = self._loop.time() + 2 * _HANDSHAKE_S
        try:
            upgraded = await self._loop.start_tls(
                transport,
                self,
                self._server.tls,
                server_side=True,
                ssl_handshake_timeout=_HANDSHAKE_S,
                ssl_shutdown_timeout=_TLS_GOODBYE_S,
            )
        except (ssl.SSLError, OSError, TimeoutError) as error:
            self._server.log.info("tls handshake failed", ip=self.remote_ip, error=str(error))
            raise Gone from None
        if upgraded is None:
            raise Gone
        self._transport = upgraded
        upgraded.set_write_buffer_limits(high=OUT_OCTETS)
        self.has_tls = True
