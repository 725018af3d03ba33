"""An SMTP server that misbehaves by script, and keeps what it was given: the other end for tests of sending.

A script is a mapping of moments to deeds: the moments are `connect`, `EHLO`, `STARTTLS`, `MAIL`, `RCPT`, `DATA` (the
reply to the command), `letter` (the reply to the letter), `QUIT`. A deed is a reply (`"451 4.7.1 Later"`), or one of

    hang            say nothing more
    drop            close the connection
    half            send half a reply, without its line end, and hang
    half-drop       send half a reply and close
    slow            send the good reply, one octet at a time
    bad-tls         (STARTTLS) say 220 and then something that is no TLS
    flood           send an endless reply
    odd             send octets that are no reply

A list of deeds is used up one by one, the last one stays; RCPT may have a mapping of addresses instead.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Deed = str | Sequence[str] | Mapping[str, str]

_GOOD = {
    "connect": "220 sink.example ESMTP",
    "STARTTLS": "220 2.0.0 Go ahead",
    "AUTH": "235 2.7.0 Welcome",
    "MAIL": "250 2.1.0 Sender OK",
    "RCPT": "250 2.1.5 Recipient OK",
    "DATA": "354 Go ahead",
    "letter": "250 2.0.0 Taken",
    "RSET": "250 2.0.0 Reset",
    "NOOP": "250 2.0.0 Yes",
    "QUIT": "221 2.0.0 Bye",
}
_EXTENSIONS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")
_MAX_LINE_OCTETS = 1 << 26


@dataclass
class Taken:
    """One letter that the sink said 250 to, or that it got whole: `is_taken` tells."""

    mail: str
    rcpt: list[str]
    octets: bytes
    is_taken: bool
    has_tls: bool
    connection: int
    helo: str = ""


@dataclass
class Sink:
    """`async with Sink({...}) as sink:` listens on `address`:`port` (0: any that is free)."""

    script: Mapping[str, Deed] = field(default_factory=dict)
    address: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    extensions: Sequence[str] = _EXTENSIONS
    user: str = ""
    letters: list[Taken] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    open_now: int = 0
    most_open: int = 0

    async def __aenter__(self) -> Sink:
        self._used: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._server = await asyncio.start_server(self._serve, self.address, self.port, limit=_MAX_LINE_OCTETS)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *unused: object) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait_for(self, condition: Any, seconds: float = 10.0) -> None:
        """Return when `condition()` holds; looked at after each command. TimeoutError."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def wait_letters(self, count: int, seconds: float = 10.0) -> list[Taken]:
        """The letters taken, once there are `count`."""
        await self.wait_for(lambda: sum(letter.is_taken for letter in self.letters) >= count, seconds)
        return [letter for letter in self.letters if letter.is_taken]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            await _Session(self, reader, writer, self.connections).run()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, TimeoutError):
            pass
        except asyncio.CancelledError:
            pass  # the sink is closed; asyncio would log it as a failure of the session
        finally:
            self.open_now -= 1
            self._tasks.discard(task)
            writer.close()
            self._changed.set()

    def deed(self, moment: str, argument: str = "") -> str:
        """What the script says for this moment now; "" is good behaviour."""
        found = self.script.get(moment, "")
        if isinstance(found, str):
            return found
        if isinstance(found, Mapping):
            return found.get(argument, "")
        at = self._used.get(moment, 0)
        self._used[moment] = at + 1
        return found[min(at, len(found) - 1)]


class _Session:
    """One connection."""

    def __init__(self, sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.sink = sink
        self.reader = reader
        self.writer = writer
        self.number = number
        self.mail = ""
        self.rcpt: list[str] = []
        self.has_tls = False
        self.helo = ""

    async def run(self) -> None:
        await self.do("connect")
        while True:
            line = (await self.reader.readuntil(b"\r\n"))[:-2].decode("utf-8", "replace")
            self.sink.commands.append(line)
            self.sink._changed.set()
            verb, _, argument = line.partition(" ")
            if not await self.verb(verb.upper(), argument):
                return

    async def verb(self, verb: str, argument: str) -> bool:
        """False ends the session."""
        if verb in ("EHLO", "HELO"):
            self.helo = argument
            await self.do(verb, good=self.ehlo() if verb == "EHLO" else "250 sink.example")
        elif verb == "STARTTLS":
            await self.starttls()
        elif verb == "MAIL":
            self.rcpt = []
            self.mail = argument if (await self.do(verb)).startswith("2") else ""
        elif verb == "RCPT" and not self.mail:
            await self.say("503 5.5.1 MAIL first")
        elif verb == "DATA" and not self.rcpt and not self.sink.script.get("DATA"):
            await self.say("554 5.5.1 No valid recipients")
        elif verb == "RCPT":
            address = argument.partition("<")[2].partition(">")[0]
            if (await self.do(verb, address)).startswith("2"):
                self.rcpt.append(argument)
        elif verb == "DATA":
            if (await self.do(verb)).startswith("354"):
                await self.letter()
        elif verb in _GOOD:
            await self.do(verb)
            return verb != "QUIT"
        else:
            await self.say("500 5.5.1 What?")
        return True

    def ehlo(self) -> str:
        offered = list(self.sink.extensions)
        if self.sink.tls is not None and not self.has_tls:
            offered.append("STARTTLS")
        if self.sink.user:
            offered.append("AUTH PLAIN LOGIN")
        lines = ["sink.example", *offered]
        return "\r\n".join(f"250{'-' if line is not lines[-1] else ' '}{line}" for line in lines)

    async def letter(self) -> None:
        if not self.rcpt:  # pipelined behind refusals: RFC 2920 §3.1 has the client end it at once
            while await self.reader.readuntil(b"\r\n") != b".\r\n":
                continue
            await self.say("554 5.5.1 No valid recipients")
            return
        octets = await self.reader.readuntil(b"\r\n.\r\n")
        body = octets[:-3]
        body = (body[1:] if body.startswith(b".") else body).replace(b"\r\n..", b"\r\n.")
        taken = Taken(self.mail, self.rcpt, body, False, self.has_tls, self.number, self.helo)
        self.sink.letters.append(taken)
        deed = self.sink.deed("letter")
        taken.is_taken = deed.startswith("2") or deed in ("", "slow")
        self.sink._changed.set()
        await self.act("letter", deed, _GOOD["letter"])

    async def starttls(self) -> None:
        deed = self.sink.deed("STARTTLS")
        if deed == "bad-tls":
            await self.say(_GOOD["STARTTLS"])
            self.writer.write(b"this is no handshake\r\n")
            await self.writer.drain()
            raise ConnectionResetError
        if self.sink.tls is None:
            await self.say("454 4.7.0 TLS not available")
            return
        if (await self.act("STARTTLS", deed, _GOOD["STARTTLS"])).startswith("2"):
            await self.writer.start_tls(self.sink.tls)
            self.has_tls = True

    async def do(self, moment: str, argument: str = "", good: str = "") -> str:
        return await self.act(moment, self.sink.deed(moment, argument), good or _GOOD[moment])

    async def act(self, moment: str, deed: str, good: str) -> str:
        """Do what the script says, or say what is `good`; the reply that was given, "" for none."""
        if not deed:
            await self.say(good)
            return good
        if deed == "hang":
            await asyncio.Event().wait()
        if deed == "drop":
            raise ConnectionResetError
        if deed in ("half", "half-drop"):
            self.writer.write(good[: len(good) // 2].encode())
            await self.writer.drain()
            if deed == "half":
                await asyncio.Event().wait()
            raise ConnectionResetError
        if deed == "slow":
            for octet in good.encode() + b"\r\n":
                self.writer.write(bytes([octet]))
                await asyncio.sleep(0.002)
            return good
        if deed == "flood":
            while True:
                self.writer.write(b"250-and so on\r\n" * 1000)
                await self.writer.drain()
        if deed == "odd":
            await self.say("\x00\xff what is this")
            return ""
        await self.say(deed)
        if deed.startswith("421"):
            raise ConnectionResetError
        return deed

    async def say(self, text: str) -> None:
        self.writer.write(text.encode("latin-1", "replace") + b"\r\n")
        await self.writer.drain()
