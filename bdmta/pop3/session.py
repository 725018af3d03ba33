"""One POP3 session: its states and verbs (RFC 1939). Verbs are methods of the same name; each returns its answer.

It reads and writes through a `Wire` and knows no socket.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from bdmta.auth import Failure, Login
from bdmta.pop3.maildrop import InUse, Maildrop
from bdmta.pop3.server import Pop3Server
from bdmta.pop3.stuffing import Stuffer, stuffed, top_of
from bdmta.session import Bye
from storage.errors import StoreError

T = TypeVar("T")
MAX_LINE_OCTETS = 255  # RFC 2449 §4
_STREAM_OCTETS = 262_144
_MAX_CREDENTIAL_OCTETS = 1024
_NUMBER = re.compile(r"\d{1,9}")
_TWO_NUMBERS = re.compile(r"(\d{1,9}) +(\d{1,9})")


class Err(Exception):
    """`-ERR text`."""


class Wire(Protocol):
    """The connection, as a session sees it."""

    has_tls: bool
    remote_ip: str

    def send(self, octets: bytes) -> None:
        """Queue octets."""

    async def flush(self) -> None:
        """Write what is queued; wait until the peer takes more. Raises Gone."""

    async def line(self) -> bytes:
        """The next line, flushing first. Raises Gone, Bye."""

    async def start_tls(self) -> None:
        """Answer STLS and upgrade. Raises Gone, Bye."""


class Session:
    """AUTHORIZATION while `drop` is None, TRANSACTION afterwards; QUIT does the UPDATE."""

    __slots__ = ("account", "closing", "drop", "errors", "failures", "login", "server", "user", "wire")

    def __init__(self, server: Pop3Server, wire: Wire) -> None:
        self.server = server
        self.wire = wire
        self.drop: Maildrop | None = None
        self.account = ""
        self.login: Login | None = None
        self.user = ""
        self.failures = 0
        self.errors = 0
        self.closing = False

    async def command(self, line: bytes) -> None:
        """Answer one line. Raises Bye, Gone."""
        try:
            answer = await self._dispatch(line)
            if answer:
                self.wire.send(answer)
        except Err as error:
            self.errors += 1
            if self.errors >= self.server.settings.max_errors:
                raise Bye("Too many errors") from None
            self.wire.send(b"-ERR " + str(error).encode("ascii", "replace") + b"\r\n")
        except StoreError:
            self.wire.send(b"-ERR [SYS/TEMP] Temporary failure (ref %b)\r\n" % self._logged().encode())

    async def _dispatch(self, line: bytes) -> bytes:
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise Err("not UTF-8") from None
        name, _, arguments = text.partition(" ")
        verb = (_TRANSACTION if self.drop is not None else _AUTHORIZATION).get(name.upper())
        if verb is None or len(line) > (MAX_LINE_OCTETS if self.drop is not None else 2 * _MAX_CREDENTIAL_OCTETS):
            raise Err("Unknown command")
        if self.login is not None and not self.login.holds():  # nothing is removed then (RFC 1939 §6)
            raise Bye("[AUTH] The login is no longer valid")
        return await verb(self, arguments)

    def _logged(self) -> str:
        reference = f"{int(self.server.clock.time() * 1000):x}"
        self.server.log.error("pop3 command failed", reference=reference, account=self.account, exc_info=True)
        return reference

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        return await self.server.mailboxes.run(function, *arguments)

    def _fact(self, event: str, **detail: Any) -> None:
        who = self.login.detail() if self.login is not None else {}
        detail = {"protocol": "pop3", "ip": self.wire.remote_ip, **who, **detail}
        try:
            self.server.facts.write(
                [{"at": self.server.clock.time(), "event": event, "recipient": self.account, "detail": detail}]
            )
        except OSError as error:
            self.server.log.error("fact not written", fact=event, error=str(error))

    def close(self) -> None:
        """The connection is gone: nothing is removed (RFC 1939 §6), the lock ends."""
        if self.drop is not None:
            if self.drop.read:
                self._fact("read", folder="INBOX", count=len(self.drop.read))
            self.drop.close()
            self.drop = None

    # -- AUTHORIZATION

    def _takes_passwords(self) -> bool:
        return self.wire.has_tls or self.server.settings.plaintext_login

    async def capa(self, arguments: str) -> bytes:
        """RFC 2449."""
        names = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"]
        if self._takes_passwords():
            names += ["USER", "SASL PLAIN LOGIN"]
        if self.server.tls is not None and not self.wire.has_tls and self.drop is None:
            names.append("STLS")
        return b"+OK\r\n" + "".join(f"{name}\r\n" for name in names).encode() + b".\r\n"

    async def stls(self, arguments: str) -> bytes:
        """RFC 2595 §4. The wire answers."""
        if self.server.tls is None or self.wire.has_tls or arguments:
            raise Err("TLS is not offered now")
        await self.wire.start_tls()
        self.user = ""  # what was said in the clear is void
        return b""

    async def user_(self, arguments: str) -> bytes:
        """USER: any name is welcome; PASS decides."""
        self._needs_tls()
        if not arguments:
            raise Err("USER name")
        self.user = arguments
        return b"+OK\r\n"

    async def pass_(self, arguments: str) -> bytes:
        """PASS: the password may hold spaces."""
        if not self.user:
            raise Err("USER first")
        user, self.user = self.user, ""
        return await self._log_in(user, arguments)

    async def auth(self, arguments: str) -> bytes:
        """RFC 5034: PLAIN and LOGIN."""
        mechanism, _, initial = arguments.partition(" ")
        if not mechanism:
            return b"+OK\r\nPLAIN\r\nLOGIN\r\n.\r\n" if self._takes_passwords() else b"+OK\r\n.\r\n"
        self._needs_tls()
        if mechanism.upper() == "PLAIN":
            pieces = (await self._response(b"", initial)).split("\0")
            if len(pieces) != 3 or not pieces[1] or pieces[0] not in ("", pieces[1]):
                raise Err("authzid NUL user NUL password expected")
            return await self._log_in(pieces[1], pieces[2])
        if mechanism.upper() == "LOGIN":
            user = await self._response(b"Username:", initial)
            return await self._log_in(user, await self._response(b"Password:", ""))
        raise Err("Unknown mechanism")

    async def _response(self, challenge: bytes, initial: str) -> str:
        octets = initial.encode()
        if not initial:
            self.wire.send(b"+ " + base64.b64encode(challenge) + b"\r\n")
            octets = await self.wire.line()
        elif initial == "=":
            return ""
        if octets == b"*":
            raise Err("authentication given up")
        try:
            return base64.b64decode(octets, validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            raise Err("base64 malformed") from None

    def _needs_tls(self) -> None:
        if not self._takes_passwords():
            raise Err("Use STLS first")

    async def _log_in(self, user: str, password: str) -> bytes:
        self._needs_tls()
        server = self.server
        wrong = max(len(user), len(password)) > _MAX_CREDENTIAL_OCTETS
        found = (
            Failure("malformed")
            if wrong
            else await server.authenticator.login(user, password, self.wire.remote_ip, "pop3")
        )
        if isinstance(found, Failure):
            self.failures += 1
            if self.failures >= server.settings.max_failures:
                raise Bye("[AUTH] Too many wrong passwords")
            raise Err(f"[AUTH] {found.told or 'Wrong user or password'}")
        self.account = found.account.address
        try:
            self.drop = await self._run(Maildrop.open, server.mailboxes, *server.mail.locate(self.account))
        except InUse:
            raise Err("[IN-USE] Another session has the mailbox") from None
        self.login = found
        self._fact("login")
        return b"+OK Logged in\r\n"

    # -- TRANSACTION

    def _drop(self) -> Maildrop:
        assert self.drop is not None
        return self.drop

    def _row(self, text: str) -> int:
        """The row of a message number that exists and is not deleted."""
        row = int(text) - 1 if _NUMBER.fullmatch(text) else -1
        if not 0 <= row < self._drop().count or row in self._drop().deleted:
            raise Err("No such message")
        return row

    async def stat(self, arguments: str) -> bytes:
        """Count and octets of what is not marked deleted."""
        drop = self._drop()
        rows = drop.rows()
        return b"+OK %d %d\r\n" % (len(rows), sum(map(drop.size_octets, rows)))

    async def list_(self, arguments: str) -> bytes:
        """Octets of one or of all."""
        drop = self._drop()
        if arguments:
            row = self._row(arguments)
            return b"+OK %d %d\r\n" % (row + 1, drop.size_octets(row))
        return (
            b"+OK\r\n" + b"".join([b"%d %d\r\n" % (row + 1, drop.size_octets(row)) for row in drop.rows()]) + b".\r\n"
        )

    async def uidl(self, arguments: str) -> bytes:
        """Unique ids of one or of all."""
        drop = self._drop()
        if arguments:
            row = self._row(arguments)
            return f"+OK {row + 1} {drop.unique_id(row)}\r\n".encode()
        return b"+OK\r\n" + "".join([f"{row + 1} {drop.unique_id(row)}\r\n" for row in drop.rows()]).encode() + b".\r\n"

    async def retr(self, arguments: str) -> bytes:
        """The letter; a large one in pieces."""
        drop = self._drop()
        row = self._row(arguments)
        octets = drop.octets(row) if drop.held(row) else await self._run(drop.octets, row)
        if octets is None:
            raise Err("[SYS/PERM] The message is gone")
        drop.read.add(row)
        if isinstance(octets, bytes):
            return b"+OK %d octets\r\n" % len(octets) + stuffed(octets)
        self.wire.send(b"+OK %d octets\r\n" % len(octets))
        stuffer = Stuffer()
        for start in range(0, len(octets), _STREAM_OCTETS):
            piece = await self._run(_piece, octets, start)
            self.wire.send(stuffer.feed(piece))
            await self.wire.flush()
        return stuffer.end()

    async def top(self, arguments: str) -> bytes:
        """The header and some lines."""
        match = _TWO_NUMBERS.fullmatch(arguments)
        if match is None:
            raise Err("TOP message lines")
        drop = self._drop()
        row = self._row(match[1])
        octets = drop.octets(row) if drop.held(row) else await self._run(drop.octets, row)
        if octets is None:
            raise Err("[SYS/PERM] The message is gone")
        return b"+OK\r\n" + await self._run(_top, octets, int(match[2]))

    async def dele(self, arguments: str) -> bytes:
        """Marks; QUIT removes."""
        self._drop().deleted.add(self._row(arguments))
        return b"+OK\r\n"

    async def rset(self, arguments: str) -> bytes:
        """Takes all marks back."""
        self._drop().deleted.clear()
        return b"+OK\r\n"

    async def noop(self, arguments: str) -> bytes:
        """Nothing."""
        return b"+OK\r\n"

    async def quit(self, arguments: str) -> bytes:
        """The UPDATE state (RFC 1939 §6)."""
        self.closing = True
        drop = self.drop
        if drop is None:
            return b"+OK Bye\r\n"
        try:
            await self._run(drop.update)
        except StoreError:
            return b"-ERR [SYS/TEMP] Some messages were not removed (ref %b)\r\n" % self._logged().encode()
        finally:
            self.close()
        return b"+OK Bye\r\n"


def _piece(octets: Any, start: int) -> bytes:
    return bytes(octets[start : start + _STREAM_OCTETS])


def _top(octets: Any, line_count: int) -> bytes:
    return stuffed(top_of(octets if isinstance(octets, bytes) else octets[:], line_count))


Verb = Callable[[Session, str], Awaitable[bytes]]
_AUTHORIZATION: dict[str, Verb] = {
    "CAPA": Session.capa, "STLS": Session.stls, "USER": Session.user_, "PASS": Session.pass_, "AUTH": Session.auth,
    "QUIT": Session.quit,
}  # fmt: skip
_TRANSACTION: dict[str, Verb] = {
    "CAPA": Session.capa, "STAT": Session.stat, "LIST": Session.list_, "UIDL": Session.uidl, "RETR": Session.retr,
    "TOP": Session.top, "DELE": Session.dele, "RSET": Session.rset, "NOOP": Session.noop, "QUIT": Session.quit,
}  # fmt: skip
