"""A connection as a session sees it (`session.Wire`): octets queued and taken at the pace of both sides, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

from bdmta.imap.errors import Bye, Gone
from bdmta.imap.frame import Bounds, Command, Framer, TooLong
from bdmta.imap.server import ImapServer
from bdmta.imap.session import Session
from bdmta.imap.syntax import BadSyntax
from bdmta.imap.verbs import COMMANDS
from storage.box import View

OUT_OCTETS = 65_536
FAIR_S = 0.01
NEVER = float("inf")
_HANDSHAKE_S = 30.0
_WRITE_S = 300.0  # for the peer to take what it asked for
_BLOCK_S = 180.0  # for the next octets of a literal


class Connection(asyncio.Protocol):
    """What is sent and taken; `protocol.ImapProtocol` adds the life of the connection."""

    __slots__ = (
        "_can_write", "_is_idle", "_is_paused", "_loop", "_out", "_slice_at",
        "_transport", "_waiter", "_wake_at", "_write_waiter",
        "bounds", "deadline", "framer", "has_tls", "remote_ip", "server", "session",
    )  # fmt: skip

    def __init__(self, server: ImapServer, *, has_tls: bool) -> None:
        self.server = server
        self.has_tls = has_tls
        self.bounds = Bounds()
        self.framer = Framer(self.bounds)
        self.remote_ip = ""
        self.deadline = NEVER
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._out: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._write_waiter: asyncio.Future[None] | None = None
        self._can_write = True
        self._is_paused = False
        self._is_idle = False  # within IDLE: changes and notices may be told at once
        self._slice_at = 0.0  # when the loop was last given to others
        self._wake_at = NEVER  # when it says again that it lives
        self.session = Session(server, self, COMMANDS)

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

    def _resume(self) -> None:
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    def send(self, octets: bytes) -> None:
        """Queue octets."""
        self._out.append(octets)

    async def be_fair(self) -> None:
        """Neither a flood of commands nor a large answer holds the loop."""
        if self._loop.time() - self._slice_at > FAIR_S:
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
            self.deadline = NEVER
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
        if self.deadline == NEVER:
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
            self._wake_at = NEVER
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
        upgraded.set_write_buffer_limits(high=4 * OUT_OCTETS)
        self.has_tls = True
