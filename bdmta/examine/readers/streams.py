"""Files packed one by one: gzip, bzip2, xz, lzma, compress. A packed tar is a tar within."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterator

from bdmta.examine.errors import Unreadable
from bdmta.examine.names import extension
from bdmta.examine.readers.opening import Member, Opening

_MAX_STREAMS = 1000
_SHORT = {"tgz": ".tar", "tbz": ".tar", "tbz2": ".tar", "txz": ".tar", "tlz": ".tar", "taz": ".tar", "svgz": ".svg"}
_PACKED = frozenset({"gz", "bz2", "xz", "lzma", "z", "gzip"})
_MEMLIMIT_OCTETS = 160 << 20


def _inner_names(opening: Opening) -> tuple[str, ...]:
    """What the file would be called when it is unpacked: its name without `.gz`."""
    names = []
    for name in opening.names:
        kind = extension(name)
        if kind in _SHORT:
            names.append(name[: -len(kind) - 1] + _SHORT[kind])
        elif kind in _PACKED:
            names.append(name.rstrip()[: -len(kind) - 1])
        else:
            names.append(name)
    return tuple(dict.fromkeys(n for n in names if n))


def read_gzip(opening: Opening) -> Iterator[Member]:
    """All members of a gzip file as one, as `gunzip` gives them, with each name that a header holds (RFC 1952)."""
    data, at, pieces = opening.data, 0, []
    names = dict.fromkeys(_inner_names(opening))
    for _ in range(_MAX_STREAMS):
        header_end, name = _gzip_header(data, at)
        if name:
            names[name] = None
        try:
            octets, taken = opening.purse.inflate(memoryview(data)[header_end:])
        except Unreadable:
            opening.problems.add("unreadable")
            break
        pieces.append(octets)
        at = header_end + taken
        if data[at : at + 4] != zlib.crc32(octets).to_bytes(4, "little"):
            opening.problems.add("unreadable")
        at += 8
        if data[at : at + 2] != b"\x1f\x8b":
            break
    else:
        opening.problems.add("entries")
    if data[at:].strip(b"\0"):
        opening.problems.add("polyglot")
        yield Member(tuple(names), data[at:])
    if pieces:
        yield Member(tuple(names), b"".join(pieces))


def _gzip_header(data: bytes, at: int) -> tuple[int, str]:
    if len(data) < at + 18 or data[at + 2] != 8 or data[at + 3] & 0xE0:
        raise Unreadable("gzip header")
    flags, end, name = data[at + 3], at + 10, ""
    if flags & 4:
        end += 2 + int.from_bytes(data[end : end + 2], "little")
    if flags & 8:
        stop = data.find(b"\0", end, end + 4096)
        if stop < 0:
            raise Unreadable("gzip name")
        raw = data[end:stop]
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            name = raw.decode("latin-1")
        end = stop + 1
    if flags & 16:
        stop = data.find(b"\0", end)
        if stop < 0:
            raise Unreadable("gzip comment")
        end = stop + 1
    if flags & 2:
        end += 2
    return end, name


def read_bzip2(opening: Opening) -> Iterator[Member]:
    """All streams of a bzip2 file as one."""
    yield from _read_all(opening, lambda: bz2.BZ2Decompressor(), b"BZh")


def read_xz(opening: Opening) -> Iterator[Member]:
    """All streams of an xz file as one."""
    engine = lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMLIMIT_OCTETS)  # noqa: E731
    yield from _read_all(opening, engine, b"\xfd7zXZ\0")


def read_lzma(opening: Opening) -> Iterator[Member]:
    """An lzma file of the old kind."""
    engine = lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MEMLIMIT_OCTETS)  # noqa: E731
    yield from _read_all(opening, engine, b"\x5d\0\0")


def _read_all(opening: Opening, engine: object, magic: bytes) -> Iterator[Member]:
    data, at, pieces = opening.data, 0, []
    for _ in range(_MAX_STREAMS):
        try:
            octets, taken = opening.purse.unpack(memoryview(data)[at:], engine())  # type: ignore[operator]
        except Unreadable:
            opening.problems.add("unreadable")
            break
        pieces.append(octets)
        if not taken:
            break
        at += taken
        if not data.startswith(magic, at):
            break
    if data[at:].strip(b"\0") and "unreadable" not in opening.problems:
        opening.problems.add("polyglot")
        yield Member(_inner_names(opening), data[at:])
    yield Member(_inner_names(opening), b"".join(pieces))


def read_compress(opening: Opening) -> Iterator[Member]:
    """`.Z` (LZW) is not unpacked here."""
    opening.problems.add("unreadable")
    yield Member(_inner_names(opening))
