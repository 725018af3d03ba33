"""Find the headers and parts of a letter. (Being written.)"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

Octets: TypeAlias = "bytes | bytearray | memoryview | mmap.mmap"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds; over one, the scan stops there and says so in `defects`."""

    headers: int = 1000
    header_block_octets: int = 256 * 1024
    parameters: int = 100
    depth: int = 20
    parts: int = 1000


@dataclass(frozen=True, slots=True)
class Header:
    """One header field: `name` in lower case, `start:end` its octets with the CRLF, `value` raw without the name."""

    name: str
    start: int
    end: int
    value: bytes

    @property
    def text(self) -> str:
        """The value unfolded and with RFC 2047 words decoded; never raises."""
        raise NotImplementedError


@dataclass(slots=True)
class Part:
    """One body part (the whole letter is the first)."""

    headers: tuple[Header, ...]
    media_type: str
    parameters: dict[str, str]
    disposition: str
    names: tuple[str, ...]
    transfer_encoding: str
    start: int
    body_start: int
    end: int
    depth: int
    children: tuple[Part, ...]
    defects: tuple[str, ...]

    def raw(self) -> memoryview:
        """The body as it stands, still encoded."""
        raise NotImplementedError

    def decoded(self, max_octets: int) -> bytes:
        """The body with its transfer encoding undone, at most `max_octets`; junk is skipped as clients skip it."""
        raise NotImplementedError


@dataclass(slots=True)
class Message:
    """One scanned letter."""

    octets: Octets
    root: Part
    defects: tuple[str, ...]

    @property
    def headers(self) -> tuple[Header, ...]:
        """The letter's own header fields, in order."""
        return self.root.headers

    def all(self, name: str) -> list[Header]:
        """Every field called `name` (lower case)."""
        raise NotImplementedError

    def first(self, name: str) -> Header | None:
        """The first field called `name`, or None."""
        raise NotImplementedError

    def walk(self) -> Iterator[Part]:
        """Every part, outermost first, without recursion."""
        raise NotImplementedError


def scan(octets: Octets, limits: Limits = Limits()) -> Message:
    """Read a letter; linear in its size, never raises."""
    raise NotImplementedError
