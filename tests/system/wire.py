"""An SMTP client that says what it is told to, octet by octet, and a few letters."""

from __future__ import annotations

import base64
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from bdmta.office.client import call
from bdmta.site import Site
from tests.site import DOMAIN, PASSWORDS, SiteUnderTest

OUTSIDE = "someone@elsewhere.example"
UTF8 = ("MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit")


def here(local: str) -> str:
    """The address of a mailbox of the site."""
    return f"{local}@{DOMAIN}"


def office(site: SiteUnderTest, name: str, /, **arguments: Any) -> Any:
    """Ask the running office, as a command does, without a command's start."""
    return call(Site.open(str(site.config)), name, **arguments)


def letter(text: str = "Gửi anh chị.", *fields: str, author: str = OUTSIDE) -> bytes:
    """A plain letter with these further header fields."""
    head = [f"From: <{author}>", "Subject: Test", *fields, *UTF8]
    return ("\r\n".join(head) + "\r\n\r\n" + text + "\r\n").encode()


@dataclass(frozen=True)
class Answer:
    """A reply: its code, and all of its lines."""

    code: int
    text: str

    def __bool__(self) -> bool:
        return self.code < 400


class Wire:
    """One connection. `ask` sends a line and gives the answer; nothing is checked and nothing is added."""

    def __init__(self, site: SiteUnderTest, listener: str = "smtp", *, hello: bool = True, host: str = "127.0.0.1",
                 source: str | None = None, port: int | None = None) -> None:  # fmt: skip
        self._site = site
        self.sock: socket.socket = socket.create_connection(
            (host, port or site.port(listener)), 20, source_address=(source, 0) if source else None
        )
        self._in = b""
        if listener == "submissions":
            self._wrap()
        self.greeting = self.answer()
        if hello and self.greeting:
            self.ehlo = self.ask("EHLO client.example")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *unused: object) -> None:
        self.sock.close()

    def _wrap(self) -> None:
        self.sock = self._site.tls().wrap_socket(self.sock, server_hostname="localhost")

    def send(self, octets: bytes) -> None:
        self.sock.sendall(octets)

    def answer(self) -> Answer:
        """The next reply; ConnectionError when the server has hung up."""
        lines: list[str] = []
        while True:
            while b"\r\n" not in self._in:
                block = self.sock.recv(65536)
                if not block:
                    raise ConnectionError(f"the server hung up after {lines}")
                self._in += block
            line, _, self._in = self._in.partition(b"\r\n")
            lines.append(line.decode("utf-8", "replace"))
            if line[3:4] != b"-":
                return Answer(int(line[:3]), "\n".join(lines))

    def ask(self, line: str) -> Answer:
        self.send(line.encode() + b"\r\n")
        return self.answer()

    def is_closed(self) -> bool:
        """The server has ended the connection (waits for it)."""
        try:
            return not self._in and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except ssl.SSLError:
            return True

    def starttls(self) -> None:
        assert self.ask("STARTTLS").code == 220
        self._wrap()
        self.ehlo = self.ask("EHLO client.example")

    def login(self, local: str, password: str | None = None) -> Answer:
        octets = f"\0{here(local)}\0{PASSWORDS[local] if password is None else password}".encode()
        return self.ask("AUTH PLAIN " + base64.b64encode(octets).decode())

    def envelope(self, sender: str, *recipients: str, parameters: str = "") -> list[Answer]:
        """MAIL and every RCPT; the answers."""
        return [self.ask(f"MAIL FROM:<{sender}>{parameters}"), *(self.ask(f"RCPT TO:<{r}>") for r in recipients)]

    def data(self, octets: bytes) -> Answer:
        """DATA with `octets`, their dots doubled; the last answer."""
        ready = self.ask("DATA")
        if ready.code != 354:
            return ready
        stuffed = octets.replace(b"\r\n.", b"\r\n..")
        self.send((b"." + stuffed if stuffed.startswith(b".") else stuffed) + b".\r\n")
        return self.answer()

    def deliver(self, octets: bytes, *recipients: str, sender: str = OUTSIDE, parameters: str = "") -> Answer:
        """A whole transaction; the first refusal, else the last answer."""
        for answer in self.envelope(sender, *recipients, parameters=parameters):
            if not answer:
                self.ask("RSET")
                return answer
        return self.data(octets)


def submit(site: SiteUnderTest, octets: bytes, *recipients: str, local: str = "minhnv") -> Answer:
    """Hand in a letter as one of the site's people."""
    with Wire(site, "submissions") as wire:
        assert wire.login(local).code == 235
        return wire.deliver(octets, *recipients, sender=here(local))


def deliver(site: SiteUnderTest, octets: bytes, *recipients: str, sender: str = OUTSIDE) -> Answer:
    """Bring a letter from outside."""
    with Wire(site) as wire:
        return wire.deliver(octets, *recipients, sender=sender)
