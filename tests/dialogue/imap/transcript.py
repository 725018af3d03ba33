r"""Transcripts of IMAP and POP3 sessions, played against real listeners.

# a comment; `#! listener: imaps` and `#! letters: a.eml b.eml` set the scene
C: a1 NOOP                  a line, sent with CRLF
R: a\r\n                    octets with Python's escapes, sent as they are
S: * <> EXISTS              one line; <> stands for anything
S: {n}                      (with `OR`) one of several: `S: a <or> b`
S?: * OK Still here         a line that may come or not
S...: a1 OK                 lines up to and with one that begins so
D: Subject: x\r\n\r\nbody   a letter is delivered
T:                          a TLS handshake
X:                          the server hangs up
C2: S2: ...                 the same on a second connection
"""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path

from tests.dialogue.imap.harness import OTHER, PASSWORD, USER, MailServer


class Side:
    """One connection."""

    def __init__(self, server: MailServer, listener: str) -> None:
        self._server = server
        self._sock: socket.socket = socket.create_connection(("127.0.0.1", server.ports[listener]), 10)
        self._in = b""
        if listener.endswith("s"):
            self.handshake()

    def handshake(self) -> None:
        self._sock = self._server.client_tls().wrap_socket(self._sock, server_hostname="localhost")

    def send(self, octets: bytes) -> None:
        self._sock.sendall(octets)

    def line(self) -> str | None:
        """The next line, None when the server has hung up."""
        while b"\n" not in self._in:
            try:
                block = self._sock.recv(65536)
            except (ConnectionError, ssl.SSLError):
                return None
            if not block:
                return None
            self._in += block
        line, _, self._in = self._in.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def close(self) -> None:
        self._sock.close()


class Transcript:
    """One file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text()

    def setting(self, name: str, default: str = "") -> str:
        found = re.search(rf"(?m)^#! {name}: (.*)$", self.text)
        return found[1].strip() if found else default

    def play(self, server: MailServer) -> None:
        """Go through the file; AssertionError at the first answer that does not fit."""
        listener = self.setting("listener", "imap")
        sides: dict[str, Side] = {}
        heard: list[str] = []
        values = {"user": USER, "other": OTHER, "password": PASSWORD}
        try:
            for number, line in enumerate(self.text.splitlines(), 1):
                if not line.strip() or line.startswith("#"):
                    continue
                kind, _, text = line.partition(":")
                text = text.removeprefix(" ")
                for name, value in values.items():
                    text = text.replace("{" + name + "}", value)
                which = "2" if "2" in kind else ""
                if which not in sides:
                    sides[which] = Side(server, listener)
                try:
                    self._step(kind.replace("2", ""), text, sides[which], server, heard)
                except (AssertionError, TimeoutError) as error:
                    raise AssertionError(f"{self.path.name}:{number}: {error}\n" + "\n".join(heard[-15:])) from None
        finally:
            for side in sides.values():
                side.close()

    def _step(self, kind: str, text: str, side: Side, server: MailServer, heard: list[str]) -> None:
        if kind == "C":
            heard.append(f"C: {text}")
            side.send(text.encode() + b"\r\n")
        elif kind == "R":
            heard.append(f"R: {text[:200]}")
            side.send(text.encode().decode("unicode_escape").encode("latin-1"))
        elif kind == "D":
            server.deliver(text.encode().decode("unicode_escape").encode("latin-1"))
        elif kind == "T":
            side.handshake()
        elif kind == "X":
            line = side.line()
            assert line is None, f"the server did not hang up; it said {line!r}"
        elif kind == "S...":
            while True:
                line = self._hear(side, heard)
                if line.startswith(text):
                    return
        elif kind == "S":
            line = self._hear(side, heard)
            assert any(fits(pattern, line) for pattern in text.split(" <or> ")), f"wanted {text!r}, heard {line!r}"
        else:
            raise AssertionError(f"no such kind of line: {kind}")

    @staticmethod
    def _hear(side: Side, heard: list[str]) -> str:
        line = side.line()
        assert line is not None, "the server hung up"
        heard.append(f"S: {line}")
        return line


def fits(pattern: str, line: str) -> bool:
    """`<>` in the pattern stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("<>"))), line) is not None
