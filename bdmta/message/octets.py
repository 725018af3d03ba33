"""Looking through octets of whatever kind at the speed of C, without copying them whole."""

from __future__ import annotations

import mmap
from typing import TypeAlias

Octets: TypeAlias = "bytes | bytearray | memoryview | mmap.mmap"

_FIRST_WINDOW_OCTETS = 4 * 1024
_LAST_WINDOW_OCTETS = 128 * 1024  # its copy stays in the CPU's cache, and malloc has it in its heap


def flat(octets: Octets) -> Octets:
    """The same octets, one-dimensional and indexable; only an odd memoryview is copied."""
    if isinstance(octets, memoryview) and (octets.ndim != 1 or octets.format != "B" or not octets.c_contiguous):
        return octets.cast("B") if octets.c_contiguous and octets.format in ("b", "c") else octets.tobytes()
    return octets


def cut(octets: Octets, start: int, end: int) -> bytes:
    """A copy of `octets[start:end]`; for small pieces."""
    return bytes(octets[start:end])


def find(octets: Octets, needle: bytes, start: int, end: int) -> int:
    """The first `needle` within `start:end`, or -1; linear.

    mmap.find compares octet by octet before Python 3.13 and memoryview has no find at all, so both are looked through
    in windows that bytes.find reads; they grow, so that many near hits do not copy much.
    """
    if isinstance(octets, (bytes, bytearray)):
        return octets.find(needle, start, end)
    window = _FIRST_WINDOW_OCTETS
    overlap = len(needle) - 1
    while end - start > overlap:
        stop = min(end, start + window + overlap)
        hit = bytes(octets[start:stop]).find(needle)
        if hit >= 0:
            return start + hit
        start = stop - overlap
        window = min(window * 4, _LAST_WINDOW_OCTETS)
    return -1


def count(octets: Octets, octet: bytes, start: int, end: int) -> int:
    """How often the one octet occurs within `start:end`."""
    if isinstance(octets, (bytes, bytearray)):
        return octets.count(octet, start, end)
    windows = range(start, end, _LAST_WINDOW_OCTETS)
    return sum(bytes(octets[at : min(end, at + _LAST_WINDOW_OCTETS)]).count(octet) for at in windows)
