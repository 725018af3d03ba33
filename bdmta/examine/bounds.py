"""How much one letter may cost, and the purse that pays for it while containers are opened."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from bdmta.examine.errors import NeedsWorker, OverBound, Unreadable

_BLOCK_OCTETS = 1 << 18


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

    def unpack(self, packed: bytes | memoryview, engine: object) -> tuple[bytes, int]:
        """What `engine` (zlib, bz2 or lzma decompressor) makes of `packed`, and how many octets it took."""
        if hasattr(engine, "unconsumed_tail"):
            return self._unpack_zlib(packed, engine)
        return self._unpack_other(packed, engine)

    def _unpack_zlib(self, packed: bytes | memoryview, engine: object) -> tuple[bytes, int]:
        decompress = engine.decompress  # type: ignore[attr-defined]
        pieces: list[bytes] = []
        total = 0
        rest: bytes | memoryview = packed
        try:
            while True:
                piece = decompress(rest, _BLOCK_OCTETS)
                rest = engine.unconsumed_tail  # type: ignore[attr-defined]
                total += len(piece)
                self.grow(len(piece))
                self.check_ratio(len(packed) - len(rest), total)
                pieces.append(piece)
                if engine.eof or not rest:  # type: ignore[attr-defined]
                    break
        except zlib.error as error:
            raise Unreadable("deflate") from error
        if not engine.eof:  # type: ignore[attr-defined]
            raise Unreadable("the deflate stream ends early")
        return b"".join(pieces), len(packed) - len(engine.unused_data)  # type: ignore[attr-defined]

    def _unpack_other(self, packed: bytes | memoryview, engine: object) -> tuple[bytes, int]:
        pieces: list[bytes] = []
        total = 0
        feed: bytes | memoryview = packed
        try:
            while not engine.eof:  # type: ignore[attr-defined]
                piece = engine.decompress(feed, _BLOCK_OCTETS)  # type: ignore[attr-defined]
                feed = b""
                total += len(piece)
                self.grow(len(piece))
                self.check_ratio(len(packed), total)
                pieces.append(piece)
                if not piece and engine.needs_input:  # type: ignore[attr-defined]
                    break
        except (OSError, ValueError, EOFError, RuntimeError) as error:
            raise Unreadable(type(error).__name__) from error
        except Exception as error:  # lzma.LZMAError has no public base of its own
            if type(error).__name__ != "LZMAError":
                raise
            raise Unreadable("lzma") from error
        unused = len(engine.unused_data) if engine.eof else 0  # type: ignore[attr-defined]
        return b"".join(pieces), len(packed) - unused
