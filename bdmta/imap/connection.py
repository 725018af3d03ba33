"""One IMAP connection: how octets become commands, and how IDLE waits. What is said is `session`'s."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from bdmta.imap.frame import Announced, Bounds, Command, Framer, TooLong
from bdmta.imap.server import ImapServer
from bdmta.imap.session import Session, alert_line
from bdmta.imap.syntax import BadSyntax
from bdmta.imap.verbs import COMMANDS
from bdmta.session.connection import NEVER, Bye, Connection
from storage.box import View

_IN_OCTETS = 262_144
_BLOCK_S = 180.0  # for the next octets of a literal
_Event = Command | Announced | TooLong


class ImapConnection(Connection):
    """A connection and its session (`session.Wire`)."""

    __slots__ = ("_event", "_is_idle", "_wake_at", "bounds", "framer", "server", "session")

    name = "imap"

    def __init__(self, server: ImapServer, *, implicit_tls: bool, admits: Callable[[str], bool] | None) -> None:
        super().__init__(server, has_tls=implicit_tls, admits=admits)
        self.server = server
        self.bounds = Bounds()
        self.framer = Framer(self.bounds)
        self._event: _Event | None = None  # the first that the worker has to answer
        self._is_idle = False  # within IDLE: changes and notices may be told at once
        self._wake_at = NEVER  # when it says again that it lives
        self.session = Session(server, self, COMMANDS)

    def greeting(self) -> str:
        """The capabilities come along: clients need not ask."""
        return f"* OK [CAPABILITY {self.session.capabilities()}] {self.server.settings.hostname} ready\r\n"

    def farewell(self, text: str) -> bytes:
        """BYE."""
        return f"* BYE {text}\r\n".encode()

    def account(self) -> str:
        """Who is logged in."""
        return self.session.account if self.session.mailbox is not None else ""

    def ended(self) -> None:
        """Leave the folder."""
        self.session.close()

    def is_waiting(self) -> bool:
        """Between commands, or within IDLE."""
        return self._worker is None or self._is_idle

    def has_octets(self) -> bool:
        """Whether the peer has said something."""
        return bool(self.framer.buffer)

    has_line = has_octets

    def data_received(self, data: bytes) -> None:
        """Take octets; begin when a command is complete."""
        framer = self.framer
        framer.buffer += data
        if self._worker is None:
            self._event = framer.next()
            if self._event is not None:
                self.start()
            return
        self.wake()
        if len(framer.buffer) > self.bounds.command + (_IN_OCTETS if self.session.mailbox is not None else 0):
            self.pause_reading()

    def alert(self, text: str) -> bool:
        """A notice to a session that is logged in: now when it waits, else behind its command. False: it is not."""
        if self.session.mailbox is None or self._transport is None:
            return False
        if self.is_waiting():
            self._transport.write(alert_line(text))
        else:
            self.session.alerts.append(text)
        return True

    # -- answering

    async def answer(self) -> None:
        """Command by command; what is answered leaves when nothing more has come."""
        event, self._event = self._event, None
        while event is not None:
            self.deadline = NEVER
            await self._handle(event)
            self.must_end(is_closing=self.session.closing)
            await self.be_fair()
            event = self.framer.next()
            if event is None:
                await self.flush()
                event = self.framer.next()

    async def _handle(self, event: _Event) -> None:
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

    async def line(self) -> bytes:
        """The next line."""
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
            await self.more(self.patience_s())

    async def block(self, count: int) -> bytes:
        """One to `count` octets of a literal."""
        while not self.framer.buffer:
            await self.more(_BLOCK_S)
        block = self.framer.take(count)
        self.resume_reading()
        return block

    async def start_tls(self) -> None:
        """Answer STARTTLS and upgrade."""
        await self.upgrade("STARTTLS", self.session.tag + b" OK Begin TLS\r\n")

    # -- IDLE

    async def news(self, view: View | None, timeout_s: float) -> bool:
        """Wait for changes of the folder or for the peer, in this one task and without a timer of its own."""
        self.resume_reading()
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
                await self.woken()
            return True
        finally:
            self._is_idle = False
            self._wake_at = NEVER
            if view is not None:
                view.box.listen(id(self), None)

    def _wake_from_thread(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(self.wake)

    def tick(self, now: float, *, is_slow: bool) -> None:
        """The server's sweep: an idle session looks whether it must say that it lives, or missed something."""
        if not self._is_idle:
            return
        view = self.session.view
        if now >= self._wake_at or is_slow or (view is not None and not view.box.has_watch):
            self.wake()


def make_imap_protocol(
    server: ImapServer, *, implicit_tls: bool = False, admits: Callable[[str], bool] | None = None
) -> Callable[[], asyncio.Protocol]:
    """A factory for `create_server`; `admits` is the listener's own rule of who may connect."""
    return lambda: ImapConnection(server, implicit_tls=implicit_tls, admits=admits)
