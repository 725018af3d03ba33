"""Zip archives: the central directory held against the local headers, entry by entry (APPNOTE 6.3.10).

Two programs may disagree on what a zip holds; so every entry that either reading finds is looked at, and a difference
is itself a problem (`mismatch`, `overlap`, `hidden-entry`, `polyglot`).
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from bdmta.examine.errors import OverBound, Unreadable
from bdmta.examine.names import is_traversal
from bdmta.examine.readers.opening import Member, Opening

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_METHODS = frozenset({0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 14, 16, 18, 19, 20, 93, 94, 95, 96, 97, 98, 99})
_MAX32 = 0xFFFFFFFF
_MAX_HIDDEN = 64


@dataclass(slots=True)
class Entry:
    """One entry as the central directory (or a local header alone) tells it."""

    names: tuple[str, ...]
    flags: int
    method: int
    crc: int
    packed_octets: int
    octets: int
    at: int
    mode: int = 0
    raw_name: bytes = b""
    is_hidden: bool = False

    @property
    def is_folder(self) -> bool:
        """It is a folder and holds nothing."""
        return self.names[0].endswith("/") and not self.octets and self.packed_octets <= 2

    @property
    def is_encrypted(self) -> bool:
        """Its content cannot be seen without a password."""
        return bool(self.flags & 0x2041) or self.method == 99

    @property
    def is_link(self) -> bool:
        """A symbolic link or a device, by its Unix mode."""
        return (self.mode >> 28) in (0xA, 0x2, 0x6, 0x1)


@dataclass(slots=True)
class Directory:
    """All entries of one zip. `shift` is where its first octet lies in the file."""

    entries: list[Entry] = field(default_factory=list)
    shift: int = 0
    start: int = 0
    end: int = 0
    problems: set[str] = field(default_factory=set)

    @property
    def names(self) -> frozenset[str]:
        """Every name of every entry."""
        return frozenset(name for entry in self.entries for name in entry.names)


def find_end(data: bytes) -> int:
    """Where the end record of a zip lies in `data`, or -1. The last one that is sound counts."""
    at = len(data)
    floor = max(0, len(data) - 66 * 1024 - 4096)
    for _ in range(64):
        at = data.rfind(b"PK\x05\x06", floor, at)
        if at < 0:
            return -1
        if at + _END.size <= len(data):
            _, _, _, here, total, size, start, _ = _END.unpack_from(data, at)
            if (start == _MAX32 or start + size <= at) and here <= total:
                return at
    return -1


def read_directory(opening: Opening) -> Directory:
    """The entries by the central directory, plus those that only local headers know. Raises Unreadable."""
    data = opening.data
    end = find_end(data)
    directory = Directory()
    if end < 0:
        directory.problems.add("unreadable")
        _add_hidden(opening, directory, [(0, 0)])
        return directory
    _, disk, first_disk, _, total, size, start, comment = _END.unpack_from(data, end)
    directory.end = min(len(data), end + _END.size + comment)
    if disk or first_disk:
        directory.problems.add("unreadable" if disk != 0xFFFF else "mismatch")
    central_end = end
    if start == _MAX32 or total == 0xFFFF or size == _MAX32:
        central_end, total, size, start = _zip64(data, end, (total, size, start))
    directory.shift = max(0, central_end - size - start)
    directory.start = start + directory.shift
    _read_central(opening, directory, total, central_end)
    _check_layout(opening, directory)
    return directory


def _zip64(data: bytes, end: int, known: tuple[int, int, int]) -> tuple[int, int, int, int]:
    locator = end - 20
    if locator < 0 or data[locator : locator + 4] != b"PK\x06\x07":
        total, size, start = known
        if start == _MAX32 or size == _MAX32:
            raise Unreadable("zip64 without its locator")
        return end, total, size, start
    at = data.rfind(b"PK\x06\x06", max(0, locator - 1024), locator)
    if at < 0 or at + _END64.size > len(data):
        raise Unreadable("zip64 without its end record")
    fields = _END64.unpack_from(data, at)
    return at, fields[7], fields[8], fields[9]


def _read_central(opening: Opening, directory: Directory, total: int, end: int) -> None:
    data, at = opening.data, directory.start
    while at + _CENTRAL.size <= end and data[at : at + 4] == b"PK\x01\x02":
        if len(directory.entries) > opening.purse.bounds.entries:
            raise OverBound("entries")
        fields = _CENTRAL.unpack_from(data, at)
        flags, method, crc, packed, octets = fields[3], fields[4], fields[7], fields[8], fields[9]
        name_octets, extra_octets, comment_octets = fields[10], fields[11], fields[12]
        name_at = at + _CENTRAL.size
        raw = data[name_at : name_at + name_octets]
        extra = data[name_at + name_octets : name_at + name_octets + extra_octets]
        packed, octets, where = _sizes64(extra, packed, octets, fields[16])
        mode = fields[15] if fields[1] >> 8 in (3, 19) or fields[15] >> 28 == 0xA else 0
        entry = Entry(_names(raw, flags, extra), flags, method, crc, packed, octets, where, mode, raw)
        directory.entries.append(entry)
        at = name_at + name_octets + extra_octets + comment_octets
    if len(directory.entries) != total:
        directory.problems.add("mismatch")
    if at < end and data[at : at + 4] != b"PK\x05\x05":
        directory.problems.add("mismatch")


def _sizes64(extra: bytes, packed: int, octets: int, where: int) -> tuple[int, int, int]:
    if _MAX32 not in (packed, octets, where):
        return packed, octets, where
    for kind, body in _extras(extra):
        if kind == 1:
            values = list(struct.unpack_from(f"<{len(body) // 8}Q", body))
            octets = values.pop(0) if octets == _MAX32 and values else octets
            packed = values.pop(0) if packed == _MAX32 and values else packed
            where = values.pop(0) if where == _MAX32 and values else where
    return packed, octets, where


def _extras(extra: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        yield kind, extra[at + 4 : at + 4 + size]
        at += 4 + size


def _names(raw: bytes, flags: int, extra: bytes) -> tuple[str, ...]:
    """The name in each coding that programs try: UTF-8, the DOS page, the Unicode Path field."""
    names: dict[str, None] = {}
    try:
        names[raw.decode("utf-8")] = None
    except UnicodeDecodeError:
        names[raw.decode("utf-8" if flags & 0x800 else "cp437", "replace")] = None
    for kind, body in _extras(extra):
        if kind == 0x7075 and len(body) > 5:
            names[body[5:].decode("utf-8", "replace")] = None
    return tuple(names)


def _check_layout(opening: Opening, directory: Directory) -> None:
    """Hold each entry against its local header; find overlaps, gaps, and what stands before and after."""
    data, spans = opening.data, []
    for entry in directory.entries:
        span = _check_local(data, entry, directory)
        if span is not None:
            spans.append(span)
    spans.sort()
    gaps, reached = [], 0
    for start, stop in spans:
        if start < reached:
            directory.problems.add("overlap")
        elif start > reached:
            gaps.append((reached, start))
        reached = max(reached, stop)
    if reached > directory.start:
        directory.problems.add("overlap")
    gaps.append((reached, directory.start))
    _add_hidden(opening, directory, gaps)
    first = spans[0][0] if spans else directory.start
    if first > 0 and not data.startswith((b"PK\x07\x08", b"PK00PK")):
        directory.problems.add("polyglot")
    rest = data[directory.end :]
    if rest.strip(b"\0\r\n\t \x1a"):
        directory.problems.add("polyglot")


def _check_local(data: bytes, entry: Entry, directory: Directory) -> tuple[int, int] | None:
    at = entry.at + directory.shift
    if at + _LOCAL.size > len(data) or data[at : at + 4] != b"PK\x03\x04":
        directory.problems.add("unreadable")
        return None
    _, _, flags, method, _, _, _, packed, octets, name_octets, extra_octets = _LOCAL.unpack_from(data, at)
    name_at = at + _LOCAL.size
    raw = data[name_at : name_at + name_octets]
    extra = data[name_at + name_octets : name_at + name_octets + extra_octets]
    if raw != entry.raw_name:
        local_names = _names(raw, flags, extra)
        if set(local_names) != set(entry.names):
            directory.problems.add("mismatch")
            entry.names = tuple(dict.fromkeys((*entry.names, *local_names)))
    packed, octets, _ = _sizes64(extra, packed, octets, 0)
    if not flags & 8 and (packed, octets) != (entry.packed_octets, entry.octets):
        directory.problems.add("mismatch")
    if method != entry.method or (flags ^ entry.flags) & 1:
        directory.problems.add("mismatch")
        entry.flags |= flags & 0x2041
    entry.at = name_at + name_octets + extra_octets - directory.shift
    return at, entry.at + directory.shift + entry.packed_octets


def _add_hidden(opening: Opening, directory: Directory, gaps: list[tuple[int, int]]) -> None:
    """Entries that a program reading from the front would find, and the central directory does not tell."""
    data = opening.data
    for start, stop in gaps:
        stop = stop or len(data)
        at = data.find(b"PK\x03\x04", start, stop)
        while at >= 0:
            opening.purse.check_time()
            entry = local_entry(data, at)
            if entry is not None:
                entry.at -= directory.shift
                entry.is_hidden = True
                directory.entries.append(entry)
                directory.problems.add("hidden-entry")
                if len(directory.entries) > opening.purse.bounds.entries:
                    raise OverBound("entries")
            at = data.find(b"PK\x03\x04", at + 4, stop)


def local_entry(data: bytes, at: int) -> Entry | None:
    """The entry whose local header lies at `at`, if it is one that a program would take; its `at` is the content's."""
    if at + _LOCAL.size > len(data):
        return None
    _, version, flags, method, _, _, crc, packed, octets, name_octets, extra_octets = _LOCAL.unpack_from(data, at)
    if method not in _METHODS or version & 0xFF > 63 or not 0 < name_octets <= 4096:
        return None
    name_at = at + _LOCAL.size
    raw = data[name_at : name_at + name_octets]
    if len(raw) < name_octets or any(octet < 32 for octet in raw):
        return None
    extra = data[name_at + name_octets : name_at + name_octets + extra_octets]
    packed, octets, _ = _sizes64(extra, packed, octets, 0)
    content_at = name_at + name_octets + extra_octets
    if not packed and flags & 8:
        packed = len(data) - content_at
    return Entry(_names(raw, flags, extra), flags, method, crc, packed, octets, content_at, 0, raw)


def read_entry(opening: Opening, directory: Directory, entry: Entry) -> Member:
    """One entry unpacked; what cannot be is a member without octets and with the reason as its problem."""
    problems: list[str] = []
    if any(is_traversal(name) for name in entry.names):
        problems.append("traversal")
    if entry.is_link:
        problems.append("link")
    if entry.is_encrypted:
        return Member(entry.names, None, problems=(*problems, "encrypted"), size_octets=entry.octets)
    at = entry.at + directory.shift
    packed = opening.data[at : at + entry.packed_octets]
    try:
        octets, taken = _unpack(opening, entry, packed)
    except Unreadable:
        return Member(entry.names, None, problems=(*problems, "unreadable"), size_octets=entry.octets)
    if not entry.is_hidden:
        if len(octets) != entry.octets or taken < len(packed):
            problems.append("mismatch")
        elif zlib.crc32(octets) != entry.crc:
            problems.append("unreadable")
    return Member(entry.names, octets, problems=tuple(problems), size_octets=len(octets))


def _unpack(opening: Opening, entry: Entry, packed: bytes) -> tuple[bytes, int]:
    purse = opening.purse
    match entry.method:
        case 0:
            purse.grow(len(packed))
            return packed, len(packed)
        case 8:
            return purse.inflate(packed)
        case 12:
            return purse.unpack(packed, bz2.BZ2Decompressor())
        case 14:
            return _unpack_lzma(opening, entry, packed)
        case 95:
            return purse.unpack(packed, lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=128 << 20))
        case _:
            raise Unreadable(f"method {entry.method}")


def _unpack_lzma(opening: Opening, entry: Entry, packed: bytes) -> tuple[bytes, int]:
    if len(packed) < 9:
        raise Unreadable("lzma")
    size = int.from_bytes(packed[2:4], "little")
    properties = packed[4 : 4 + size]
    if size != 5 or properties[0] >= 225 or int.from_bytes(properties[1:5], "little") > 128 << 20:
        raise Unreadable("lzma properties")
    head = properties + entry.octets.to_bytes(8, "little")
    engine = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=160 << 20)
    octets, _ = opening.purse.unpack(head + packed[9:], engine)
    return octets, len(packed)


def read_zip(opening: Opening) -> Iterator[Member]:
    """Every file of a plain zip archive."""
    directory = read_directory(opening)
    yield from members(opening, directory)


def members(opening: Opening, directory: Directory, role: str = "member") -> Iterator[Member]:
    """Every entry of `directory` that is not a folder."""
    opening.problems |= directory.problems
    for entry in directory.entries:
        if any(is_traversal(name) for name in entry.names):
            opening.problems.add("traversal")
        if entry.is_folder:
            continue
        member = read_entry(opening, directory, entry)
        member.role = role
        yield member
