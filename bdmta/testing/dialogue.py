r"""Dialogues as text: what a client says and what the server must answer, run against a real listener.

# a comment
S: 220 *                 one line that matches this pattern (fnmatch)
S: ...                   the rest of a reply of several lines
C: EHLO client.example   a line, sent with CRLF
R: a\r\n\.\n             octets, with Python's escapes, sent as they are
P: plain USER PASSWORD   the base64 of AUTH PLAIN, sent as a line; {...} takes a named value of the test
T:                       a TLS handshake
X:                       the server hangs up
"""

from __future__ import annotations

import base64
import fnmatch
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path


class DialogueError(AssertionError):
    """The server said something else; the text holds the dialogue so far."""


class Dialogue:
    """One file's lines, played against one connection."""

    def __init__(self, path: Path, values: Mapping[str, str] = {}) -> None:
        self.path = path
        self._values = values
        self._heard: list[str] = []

    @property
    def listener(self) -> str:
        """The listener that the file's first `# listener: NAME` names; smtp when it names none."""
        match = re.search(r"^# listener: (\S+)", self.path.read_text(), re.M)
        return match[1] if match else "smtp"

    def play(self, host: str, port: int, context: ssl.SSLContext | None = None, timeout_s: float = 10.0) -> None:
        """Connect and go through the file; DialogueError at the first answer that does not fit."""
        with socket.create_connection((host, port), timeout_s) as plain:
            self._sock: socket.socket = plain
            self._in = b""
            if self.listener in ("submissions", "imaps", "pop3s"):
                self._start_tls(context)
            for number, kind, text in self._lines():
                self._step(number, kind, text, context)

    def _lines(self) -> Iterator[tuple[int, str, str]]:
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                yield number, line[0], self._fill(line[2:].removeprefix(" "))

    def _fill(self, text: str) -> str:
        for name, value in self._values.items():
            text = text.replace("{" + name + "}", value)
        return text

    def _step(self, number: int, kind: str, text: str, context: ssl.SSLContext | None) -> None:
        match kind:
            case "C":
                self._send(text.encode() + b"\r\n")
            case "R":
                self._send(text.encode().decode("unicode_escape").encode("latin-1"))
            case "P":
                mechanism, user, password = text.split(" ", 2)
                octets = f"\0{user}\0{password}" if mechanism == "plain" else {"user": user}.get(mechanism, password)
                self._send(base64.b64encode(octets.encode()) + b"\r\n")
            case "T":
                self._start_tls(context)
            case "X":
                rest = self._sock.recv(65536) if not self._in else self._in
                if rest:
                    self._fail(number, f"the server did not hang up; it said {rest!r}")
            case "S":
                self._hear(number, text)
            case _:
                self._fail(number, f"no such kind of line: {kind}")

    def _hear(self, number: int, pattern: str) -> None:
        if pattern == "...":
            while not re.match(r"\d{3} |\d{3}$", self._line(number)):
                continue
            return
        line = self._line(number)
        if not fnmatch.fnmatchcase(line, pattern):
            self._fail(number, f"wanted {pattern!r}, heard {line!r}")

    def _line(self, number: int) -> str:
        while b"\n" not in self._in:
            try:
                block = self._sock.recv(65536)
            except (TimeoutError, OSError) as error:
                self._fail(number, f"no answer: {error}")
            if not block:
                self._fail(number, "the server hung up")
            self._in += block
        line, _, self._in = self._in.partition(b"\n")
        text = line.rstrip(b"\r").decode("utf-8", "replace")
        self._heard.append(f"S: {text}")
        return text

    def _send(self, octets: bytes) -> None:
        self._heard.append(f"C: {octets[:200]!r}")
        self._sock.sendall(octets)

    def _start_tls(self, context: ssl.SSLContext | None) -> None:
        assert context is not None
        self._sock = context.wrap_socket(self._sock, server_hostname="localhost")

    def _fail(self, number: int, why: str) -> None:
        heard = "\n".join(self._heard[-12:])
        raise DialogueError(f"{self.path.name}:{number}: {why}\n{heard}")
