"""Cuts what arrives into commands, without reading or writing anything itself. What it holds is bounded here.

A command is kept inline with its literals. Of an APPEND's letter only the announcement is kept: it is read by the one
who stores it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ANNOUNCED = re.compile(rb"~?\{(\d{1,19})(\+)?\}\r?\n\Z")
_APPEND = re.compile(rb"[^ ]{1,255} +APPEND +[^{~ ]", re.IGNORECASE)
_APPEND_TO_LITERAL = re.compile(rb"[^ ]{1,255} +APPEND +\{\d+\+?\}\r?\n", re.IGNORECASE)
_TAIL_OCTETS = 32


@dataclass(frozen=True, slots=True)
class Command:
    """A whole command, without its line end."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Announced:
    """A literal is about to come: answer `+` when `is_sync`, then `accept`; or `refuse` it.

    `is_letter`: it is the letter of an APPEND, whose octets the framer does not keep: `text` is the command so far,
    with the announcement, and the caller takes `size` octets out of the buffer himself.
    """

    text: bytes
    size: int
    is_sync: bool
    is_letter: bool


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line or a literal beyond the bounds: what follows cannot be told from it, so the session ends."""

    what: str


@dataclass(slots=True)
class Bounds:
    """Octets. `line`: a command without its literals; `literal`: one literal; `command`: all of it."""

    line: int = 8192
    literal: int = 4096
    command: int = 16384


class Framer:
    """Feed it octets, ask it for events until None."""

    __slots__ = ("_line_start", "_literal_octets", "_scanned", "_waiting", "bounds", "buffer")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.buffer = bytearray()
        self._reset()

    def _reset(self) -> None:
        self._scanned = 0  # no line end before here
        self._line_start = 0  # of the command's line that is being read
        self._literal_octets = 0
        self._waiting: Announced | None = None  # told, and not yet answered

    @property
    def is_empty(self) -> bool:
        """Nothing has arrived that was not handed out."""
        return not self.buffer

    def next(self) -> Command | Announced | TooLong | None:
        """The next event; None until more arrives."""
        if self._waiting is not None:
            return self._waiting
        if self._scanned > len(self.buffer):
            return None  # within a literal
        end = self.buffer.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self.buffer)
            return TooLong("line") if self._line_octets(len(self.buffer)) > self.bounds.line else None
        if self._line_octets(end) > self.bounds.line:
            return TooLong("line")
        return self._line_ended(end + 1)

    def _line_octets(self, end: int) -> int:
        return end - self._literal_octets

    def _line_ended(self, end: int) -> Command | Announced | TooLong:
        tail_start = max(self._line_start, end - _TAIL_OCTETS)
        announced = _ANNOUNCED.search(bytes(self.buffer[tail_start:end]))
        if announced is None:
            text = bytes(self.buffer[: end - 1])
            del self.buffer[:end]
            self._reset()
            return Command(text[:-1] if text.endswith(b"\r") else text)
        size, is_sync = int(announced[1]), announced[2] is None
        event = Announced(bytes(self.buffer[:end]), size, is_sync, self._is_letter(end))
        if event.is_letter:
            del self.buffer[:end]
            self._reset()
            return event
        if not is_sync and (size > self.bounds.literal or end + size > self.bounds.command):
            return TooLong("literal")
        self._waiting = event
        return event

    def _is_letter(self, end: int) -> bool:
        """The literal that ends an APPEND's line is its letter, unless it is the folder's name."""
        head = bytes(self.buffer[: min(end, 600)])
        if _APPEND.match(head):
            return True
        return self._line_start > 0 and _APPEND_TO_LITERAL.match(head) is not None

    def accept(self) -> None:
        """Collect the literal that was announced."""
        assert self._waiting is not None
        end = len(self._waiting.text)
        self._literal_octets += self._waiting.size
        self._line_start = self._scanned = end + self._waiting.size
        self._waiting = None

    def refuse(self) -> None:
        """Forget the command whose (synchronising) literal was announced: the peer will not send it."""
        assert self._waiting is not None
        del self.buffer[: len(self._waiting.text)]
        self._reset()

    def take(self, count: int) -> bytes:
        """Up to `count` octets out of the buffer: an APPEND's letter."""
        block = bytes(self.buffer[:count])
        del self.buffer[:count]
        return block
