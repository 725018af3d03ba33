"""How much one letter may cost, and the purse that pays for it while containers are opened."""

from __future__ import annotations

import lzma
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bdmta.examine.errors import NeedsWorker, OverBound, Unreadable

_BLOCK_OCTETS = 1 << 18
_FEED_OCTETS = 1 << 16


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of one letter; over one, the item gets the problem of that name and the look ends there.

    `depth` counts containers within containers (attached letters too), `entries` all files of the letter,
    `expanded_octets` everything that was unpacked, `ratio` unpacked to packed octets of one stream once it has given
    more than `ratio_floor_octets`, `seconds` from start to end (less than the chain's 10 s for a step,
    so that a slow letter is refused for what it is).
    """

    depth: int = 8
    entries: int = 4000
    expanded_octets: int = 256 << 20
    ratio: int = 200
    ratio_floor_octets: int = 4 << 20
    seconds: float = 8.0


class Purse:
    """What is left of the bounds of one letter. `is_edge`: nothing may be opened here; the pool takes over."""

    def __init__(
        self, bounds: Bounds, *, is_edge: bool = False, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.bounds = bounds
        self.is_edge = is_edge
        self.entries_left = bounds.entries
        self.octets_left = bounds.expanded_octets
        self._monotonic = monotonic
        self._deadline = monotonic() + bounds.seconds

    def opening(self, depth: int) -> None:
        """Called before a container is opened `depth` containers deep. Raises OverBound or NeedsWorker."""
        if self.is_edge:
            raise NeedsWorker
        if depth > self.bounds.depth:
            raise OverBound("depth")
        self.check_time()

    def entry(self) -> None:
        """One more file. Raises OverBound."""
        self.entries_left -= 1
        if self.entries_left < 0:
            raise OverBound("entries")

    def grow(self, octets: int) -> None:
        """`octets` more have been unpacked. Raises OverBound."""
        self.octets_left -= octets
        if self.octets_left < 0:
            raise OverBound("expanded")
        self.check_time()

    def check_time(self) -> None:
        """Raises OverBound when the letter's seconds are spent."""
        if self._monotonic() > self._deadline:
            raise OverBound("time")

    def check_ratio(self, packed_octets: int, unpacked_octets: int) -> None:
        """Raises OverBound when a stream grows more than any honest file does."""
        if unpacked_octets > self.bounds.ratio_floor_octets and unpacked_octets > self.bounds.ratio * packed_octets:
            raise OverBound("ratio")

    def inflate(self, packed: bytes | memoryview, wbits: int = -15) -> tuple[bytes, int]:
        """Deflate data unpacked, and how many packed octets it took; bounded. Raises Unreadable, OverBound."""
        return self.unpack(packed, zlib.decompressobj(wbits))

    def unpack(self, packed: bytes | memoryview, engine: Any, *, is_lenient: bool = False) -> tuple[bytes, int]:
        """What `engine` (zlib, bz2 or lzma decompressor) makes of `packed`, and how many octets it took.

        Raises OverBound, and Unreadable when the stream is broken or ends early; `is_lenient` takes what came until
        there, as readers of PDF do. Fed in pieces: the engines copy what they have not used yet.
        """
        pieces: list[bytes] = []
        view = memoryview(packed)
        total = fed = 0
        try:
            while not engine.eof and fed < len(view):
                piece = view[fed : fed + _FEED_OCTETS]
                fed += len(piece)
                for out in _drained(engine, piece):
                    total += len(out)
                    self.grow(len(out))
                    self.check_ratio(fed, total)
                    pieces.append(out)
        except _BROKEN as error:
            if not (is_lenient and pieces):
                raise Unreadable(type(error).__name__) from error
        if not engine.eof and not is_lenient:
            raise Unreadable("the stream ends early")
        return b"".join(pieces), fed - len(engine.unused_data if engine.eof else b"")


_BROKEN = (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError)


def _drained(engine: Any, feed: memoryview) -> Iterator[bytes]:
    """All that comes out of one piece, in blocks."""
    if hasattr(engine, "unconsumed_tail"):
        rest: Any = feed
        while True:
            out = engine.decompress(rest, _BLOCK_OCTETS)
            rest = engine.unconsumed_tail
            yield out
            if engine.eof or not (rest or len(out) == _BLOCK_OCTETS):
                return
    rest = feed
    while True:
        out = engine.decompress(rest, _BLOCK_OCTETS)
        rest = b""
        yield out
        if engine.eof or engine.needs_input:
            return
