"""A connection to a server: where it is, TLS as it is offered, lines in and octets out, each with a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from bdmta.errors import UsageError

MAX_LINE_OCTETS = 1 << 20
PORTS = {
    "smtp": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995,
}  # fmt: skip


_BROKEN = (OSError, TimeoutError, ssl.SSLError, RuntimeError)  # uvloop says RuntimeError of a transport that was closed


class WireError(Exception):
    """The other side was not there, hung up, or said what no server says; the text says which."""


class Silence(WireError):
    """Nothing was said in the time that was given; the connection stands."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service: `imap://host:port`. The schemes with an `s` speak TLS from the start; the others by STARTTLS."""

    scheme: str
    host: str
    port: int

    @property
    def is_tls(self) -> bool:
        """TLS before the first octet."""
        return self.scheme in ("submissions", "imaps", "pop3s")

    @property
    def is_loopback(self) -> bool:
        """Every address of the host is this machine's own."""
        return all(ipaddress.ip_address(address).is_loopback for address in self.addresses())

    def addresses(self) -> list[str]:
        """What the host name leads to; raises UsageError."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise UsageError(f"{self}: the host cannot be found ({error.strerror or error})") from error
        return sorted({str(entry[4][0]).partition("%")[0] for entry in found})

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def endpoint(text: str, schemes: tuple[str, ...]) -> Endpoint:
    """Read `scheme://host[:port]`, or `host[:port]` of the first scheme. Raises UsageError."""
    given = text if "://" in text else f"{schemes[0]}://{text}"
    try:
        parts = urlsplit(given)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise UsageError(f"{text}: {error}") from error
    if parts.scheme not in schemes or not parts.hostname or parts.path.strip("/"):
        raise UsageError(f"{text}: is not {' or '.join(f'{scheme}://host:port' for scheme in schemes)}")
    return Endpoint(parts.scheme, parts.hostname, port)


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How servers are believed. `name`: what the certificate must be for (empty: the host)."""

    context: ssl.SSLContext
    name: str = ""
    is_required: bool = False
    """A server that offers no STARTTLS is not spoken with."""


class Wire:
    """One connection. Every wait is bounded by `timeout_s`; WireError when it fails, and then it is of no more use."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: Endpoint, timeout_s: float
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._to = to
        self._timeout_s = timeout_s

    @classmethod
    async def open(cls, to: Endpoint, tls: TlsSettings, timeout_s: float) -> Wire:
        """Connect; with TLS where the scheme says so."""
        name = (tls.name or to.host) if to.is_tls else None
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(
                    to.host,
                    to.port,
                    limit=MAX_LINE_OCTETS,
                    ssl=tls.context if to.is_tls else None,
                    server_hostname=name,
                )
        except _BROKEN as error:
            raise WireError(f"{to}: no connection ({_said(error)})") from error
        return cls(reader, writer, to, timeout_s)

    async def start_tls(self, tls: TlsSettings) -> None:
        """The handshake after STARTTLS was granted."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._writer.start_tls(tls.context, server_hostname=tls.name or self._to.host)
        except _BROKEN as error:
            raise WireError(f"{self._to}: no TLS ({_said(error)})") from error

    async def send(self, octets: bytes) -> None:
        """Hand over; waits while the other side does not take it."""
        try:
            async with asyncio.timeout(self._timeout_s):
                self._writer.write(octets)
                await self._writer.drain()
        except _BROKEN as error:
            raise WireError(f"{self._to}: the connection broke in sending ({_said(error)})") from error

    async def line(self, timeout_s: float | None = None) -> bytes:
        """The next line, without its CRLF. Silence when it does not come in time."""
        try:
            async with asyncio.timeout(timeout_s or self._timeout_s):
                line = await self._reader.readuntil(b"\n")
        except TimeoutError as error:
            raise Silence(f"{self._to}: no answer in time") from error
        except (*_BROKEN, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise WireError(f"{self._to}: no answer ({_said(error)})") from error
        return line.rstrip(b"\r\n")

    async def octets(self, count: int) -> bytes:
        """Exactly so many."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._reader.readexactly(count)
        except (*_BROKEN, asyncio.IncompleteReadError) as error:
            raise WireError(f"{self._to}: the answer ended early ({_said(error)})") from error

    async def close(self) -> None:
        """End it, however it stands."""
        with contextlib.suppress(*_BROKEN):
            self._writer.close()
            async with asyncio.timeout(1):
                await self._writer.wait_closed()


def _said(error: BaseException) -> str:
    if isinstance(error, asyncio.IncompleteReadError):
        return "it was closed"
    return str(error) or type(error).__name__


def tls_context(ca_file: str, *, is_verified: bool) -> ssl.SSLContext:
    """Trusts `ca_file` (empty: the system's), or nobody in particular. Raises UsageError."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"--ca {ca_file}: {error}") from error
    if not is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
