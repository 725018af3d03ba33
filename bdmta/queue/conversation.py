"""What is said over an open connection once it is greeted, secured and logged in: commands out, replies in, in order.

aiosmtplib takes one reply for one command and drops what comes beyond, so it cannot pipeline (RFC 2920): four round
trips a letter where two do. It makes the connection; from then on the transport is ours.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, NamedTuple

MAX_LINE_OCTETS = 8192  # RFC 5321 §4.5.3.1.5 gives a reply line 512
MAX_REPLY_OCTETS = 65_536


class Reply(NamedTuple):
    """A whole reply; the lines of its text are joined by LF."""

    code: int
    text: str


class Broken(Exception):
    """The peer hung up, or sent what is no reply; nothing more can be said over this connection."""


class Conversation(asyncio.Protocol):
    """Takes a connected transport over. One user at a time; replies that nobody asked for end it."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._unread = bytearray()
        self._lines: list[bytes] = []
        self._lines_octets = 0
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._problem: str = ""
        self._expected_count = 0
        transport.set_protocol(self)

    # -- called by the transport

    def data_received(self, data: bytes) -> None:
        """Octets have come."""
        if self._problem:
            return
        self._unread += data
        start = 0
        while (end := self._unread.find(b"\n", start)) >= 0:
            self._take_line(bytes(self._unread[start:end]))
            start = end + 1
        del self._unread[:start]
        if len(self._unread) > MAX_LINE_OCTETS or len(self._replies) > self._expected_count:
            self._fail("it sent what is no reply to anything")
        self._wake()

    def _take_line(self, line: bytes) -> None:
        line = line.rstrip(b"\r")
        code, mark = line[:3], line[3:4]
        self._lines_octets += len(line)
        is_odd = not (len(code) == 3 and code.isdigit() and mark in (b"", b" ", b"-"))
        if is_odd or len(line) > MAX_LINE_OCTETS or self._lines_octets > MAX_REPLY_OCTETS:
            self._fail(f"it sent what is no reply: {line[:100].decode('utf-8', 'replace')}")
            return
        self._lines.append(line[4:].strip())
        if mark != b"-":
            text = b"\n".join(self._lines).decode("utf-8", "surrogateescape")
            self._replies.append(Reply(int(code), text))
            self._lines.clear()
            self._lines_octets = 0

    def eof_received(self) -> bool:
        """The peer has closed its side; close ours."""
        self._fail("it closed the connection")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._fail(str(exc) if exc is not None and str(exc) else "the connection was lost")
        self._can_write.set()

    def pause_writing(self) -> None:
        """The transport holds enough."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """The transport takes more."""
        self._can_write.set()

    def _fail(self, problem: str) -> None:
        self._problem = self._problem or problem
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- called by us

    @property
    def is_open(self) -> bool:
        """The peer has not hung up, as far as is known."""
        return not self._problem and not self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send octets, buffered. Raises Broken."""
        if not self.is_open:
            raise Broken(self._problem or "the connection was closed")
        self._transport.write(data)

    def say(self, *commands: bytes) -> None:
        """Send commands in one write; each will have its reply. Raises Broken; ValueError: a line break in one."""
        if any(b"\r" in command or b"\n" in command or b"\0" in command for command in commands):
            raise ValueError("a command with a line break in it")
        self.expect(len(commands))
        self.write(b"\r\n".join(commands) + b"\r\n")

    def expect(self, count: int = 1) -> None:
        """So many more replies are due."""
        self._expected_count += count

    async def drain(self, timeout_s: float) -> None:
        """Wait until the transport takes more. Raises Broken, TimeoutError."""
        if not self._can_write.is_set():
            async with asyncio.timeout(timeout_s):
                await self._can_write.wait()
        if self._problem:
            raise Broken(self._problem)

    async def reply(self, timeout_s: float) -> Reply:
        """The next reply, replies that came before a break included. Raises Broken, TimeoutError."""
        if not self._replies:
            await self._wait(timeout_s)
        if not self._replies:
            raise Broken(self._problem)
        self._expected_count -= 1
        return self._replies.popleft()

    async def _wait(self, timeout_s: float) -> None:
        end = self._loop.time() + timeout_s
        while not self._replies and not self._problem:
            self._waiter = self._loop.create_future()
            timer = self._loop.call_at(end, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
            if not self._replies and not self._problem and self._loop.time() >= end:
                raise TimeoutError(f"no reply within {timeout_s:.0f} s")

    def finish(self) -> None:
        """Hang up once what is buffered has gone out."""
        self._fail("the connection was closed")
        self._transport.close()

    def close(self) -> None:
        """Hang up, what is buffered included."""
        self._fail("the connection was closed")
        self._transport.abort()
