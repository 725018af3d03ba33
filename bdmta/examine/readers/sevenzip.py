"""7z archives: the header (packed or not), the names, and the content where `lzma`, `bz2` and `zlib` can unpack it.

Written after 7zFormat.txt of the 7-Zip project. What needs another method, or a password, is a member without octets.
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Iterator
from dataclasses import dataclass, field

from bdmta.examine.errors import Unreadable
from bdmta.examine.names import is_traversal
from bdmta.examine.readers.opening import Member, Opening

_COPY, _LZMA2, _LZMA, _BZIP2, _DEFLATE, _AES = (
    b"\0", b"\x21", b"\x03\x01\x01", b"\x04\x02\x02", b"\x04\x01\x08", b"\x06\xf1\x07\x01",
)  # fmt: skip
_BRANCH = {
    b"\x03\x03\x01\x03": lzma.FILTER_X86, b"\x03\x03\x02\x05": lzma.FILTER_POWERPC,
    b"\x03\x03\x05\x01": lzma.FILTER_ARM,
    b"\x03\x03\x07\x01": lzma.FILTER_ARMTHUMB, b"\x03\x03\x08\x05": lzma.FILTER_SPARC, b"\x04": lzma.FILTER_X86,
}  # fmt: skip
_MAX_DICTIONARY_OCTETS = 128 << 20
_MAX_COUNT = 100_000


@dataclass(slots=True)
class _Folder:
    """Streams packed together: its coders (method, properties), sizes unpacked, and the packed streams it takes."""

    coders: list[tuple[bytes, bytes]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    packed_count: int = 1
    out_count: int = 1
    main_out: int = 0
    is_simple: bool = True
    has_digest: bool = False
    files: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Streams:
    packed_at: int = 0
    packed_sizes: list[int] = field(default_factory=list)
    folders: list[_Folder] = field(default_factory=list)


class _Header:
    """Reads the header's numbers. Raises Unreadable at its end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def octets(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) < count or count < 0:
            raise Unreadable("7z header")
        self.at += count
        return piece

    def byte(self) -> int:
        return self.octets(1)[0]

    def number(self) -> int:
        first, mask, value = self.byte(), 0x80, 0
        for shift in range(8):
            if not first & mask:
                return value | (first & (mask - 1)) << (8 * shift)
            value |= self.byte() << (8 * shift)
            mask >>= 1
        return value

    def count(self) -> int:
        number = self.number()
        if number > _MAX_COUNT:
            raise Unreadable("7z count")
        return number

    def bits(self, count: int) -> list[bool]:
        octets = self.octets((count + 7) // 8)
        return [bool(octets[i >> 3] & (0x80 >> (i & 7))) for i in range(count)]

    def digests(self, count: int) -> list[bool]:
        """Which of `count` digests are there; they are passed over."""
        defined = [True] * count if self.byte() else self.bits(count)
        self.octets(4 * sum(defined))
        return defined


def read_7z(opening: Opening) -> Iterator[Member]:
    """Every file of a 7z archive."""
    data = opening.data
    if len(data) < 32:
        raise Unreadable("7z")
    at = 32 + int.from_bytes(data[12:20], "little")
    size = int.from_bytes(data[20:28], "little")
    header = _Header(data[at : at + size])
    for _ in range(4):
        kind = header.byte()
        if kind == 1:
            yield from _read_files(opening, header)
            return
        if kind != 0x17:
            raise Unreadable("7z header")
        streams = _read_streams(header)
        octets = _unpack_folder(opening, streams, 0)
        if octets is None:
            opening.problems.add("encrypted" if _is_encrypted(streams.folders[0]) else "unreadable")
            return
        header = _Header(octets)


def _read_streams(header: _Header) -> _Streams:
    streams = _Streams()
    while (kind := header.byte()) != 0:
        if kind == 6:
            _read_pack_info(header, streams)
        elif kind == 7:
            _read_folders(header, streams)
        elif kind == 8:
            _read_substreams(header, streams)
        else:
            raise Unreadable("7z streams")
    return streams


def _read_pack_info(header: _Header, streams: _Streams) -> None:
    streams.packed_at = 32 + header.number()
    count = header.count()
    while (kind := header.byte()) != 0:
        if kind == 9:
            streams.packed_sizes = [header.number() for _ in range(count)]
        elif kind == 0x0A:
            header.digests(count)
        else:
            raise Unreadable("7z pack info")


def _read_folders(header: _Header, streams: _Streams) -> None:
    if header.byte() != 0x0B:
        raise Unreadable("7z folders")
    count = header.count()
    if header.byte():
        raise Unreadable("7z external folders")
    streams.folders = [_read_folder(header) for _ in range(count)]
    if header.byte() != 0x0C:
        raise Unreadable("7z sizes")
    for folder in streams.folders:
        folder.sizes = [header.number() for _ in range(folder.out_count)]
    while (kind := header.byte()) != 0:
        if kind != 0x0A:
            raise Unreadable("7z folders")
        for folder, is_defined in zip(streams.folders, header.digests(count), strict=True):
            folder.has_digest = is_defined
    for folder in streams.folders:
        folder.files = [_whole_size(folder)]


def _read_folder(header: _Header) -> _Folder:
    folder, ins, outs = _Folder(), 0, 0
    count = header.count()
    if not 0 < count <= 32:
        raise Unreadable("7z coders")
    for _ in range(count):
        flags = header.byte()
        method = header.octets(flags & 0x0F)
        inputs, outputs = (header.count(), header.count()) if flags & 0x10 else (1, 1)
        properties = header.octets(header.count()) if flags & 0x20 else b""
        folder.coders.append((method, properties))
        folder.is_simple = folder.is_simple and inputs == outputs == 1
        ins, outs = ins + inputs, outs + outputs
    bonds = [(header.count(), header.count()) for _ in range(outs - 1)]
    folder.packed_count = ins - len(bonds)
    if folder.packed_count > 1:
        for _ in range(folder.packed_count):
            header.count()
    folder.out_count = outs
    _put_in_order(folder, dict(bonds))
    return folder


def _put_in_order(folder: _Folder, bonds: dict[int, int]) -> None:
    """The coder that gives the files first, then the one it takes from, and so on."""
    ends = [number for number in range(folder.out_count) if number not in bonds.values()]
    order = ends[:1]
    while order and order[-1] in bonds and len(order) < len(folder.coders):
        order.append(bonds[order[-1]])
    folder.is_simple = folder.is_simple and sorted(order) == list(range(len(folder.coders)))
    if folder.is_simple:
        folder.coders = [folder.coders[number] for number in order]
    folder.main_out = order[0] if order else 0


def _read_substreams(header: _Header, streams: _Streams) -> None:
    counts = [1] * len(streams.folders)
    kind = header.byte()
    if kind == 0x0D:
        counts = [header.count() for _ in streams.folders]
        kind = header.byte()
    for folder, count in zip(streams.folders, counts, strict=True):
        whole = _whole_size(folder)
        sizes = [header.number() for _ in range(count - 1)] if kind == 9 and count else []
        folder.files = [*sizes, whole - sum(sizes)] if count else []
    if kind == 9:
        kind = header.byte()
    while kind != 0:
        if kind != 0x0A:
            raise Unreadable("7z substreams")
        header.digests(sum(n for n, f in zip(counts, streams.folders, strict=True) if n != 1 or not f.has_digest))
        kind = header.byte()


def _whole_size(folder: _Folder) -> int:
    return folder.sizes[folder.main_out] if folder.main_out < len(folder.sizes) else 0


def _read_files(opening: Opening, header: _Header) -> Iterator[Member]:
    streams = _Streams()
    kind = header.byte()
    if kind == 2:
        raise Unreadable("7z archive properties")
    if kind == 4:
        streams = _read_streams(header)
        kind = header.byte()
    if kind != 5:
        return
    names, is_empty, is_folder = _read_names(header)
    contents = _contents(opening, streams)
    for name, empty, folder in zip(names, is_empty, is_folder, strict=True):
        problems: tuple[str, ...] = ("traversal",) if is_traversal(name) else ()
        if empty:
            if not folder:
                yield Member((name,), b"", problems=problems)
            continue
        octets, problem = next(contents, (None, "unreadable"))
        yield Member((name,), octets, problems=(*problems, problem) if problem else problems)


def _read_names(header: _Header) -> tuple[list[str], list[bool], list[bool]]:
    count = header.count()
    names, is_empty, is_folder = [""] * count, [False] * count, [True] * count
    while (kind := header.byte()) != 0:
        size = header.number()
        end = header.at + size
        if end > len(header.data):
            raise Unreadable("7z files")
        if kind == 0x0E:
            is_empty = header.bits(count)
        elif kind == 0x0F:
            flags = iter(header.bits(sum(is_empty)))
            is_folder = [not next(flags, False) if empty else False for empty in is_empty]
        elif kind == 0x11:
            if header.byte():
                raise Unreadable("7z external names")
            text = header.octets(end - header.at).decode("utf-16-le", "replace")
            names = (text.split("\0") + names)[:count]
        header.at = end
    return names, is_empty, is_folder


def _contents(opening: Opening, streams: _Streams) -> Iterator[tuple[bytes | None, str]]:
    """The files' octets in order; a folder that cannot be unpacked gives its files without."""
    for number, folder in enumerate(streams.folders):
        octets = _unpack_folder(opening, streams, number)
        problem = "" if octets is not None else "encrypted" if _is_encrypted(folder) else "unreadable"
        at = 0
        for size in folder.files:
            yield (None if octets is None else octets[at : at + size]), problem
            at += size


def _is_encrypted(folder: _Folder) -> bool:
    return any(method == _AES for method, _ in folder.coders)


def _unpack_folder(opening: Opening, streams: _Streams, number: int) -> bytes | None:
    folder = streams.folders[number]
    first = sum(f.packed_count for f in streams.folders[:number])
    if not folder.is_simple or folder.packed_count != 1 or first >= len(streams.packed_sizes):
        return None
    at = streams.packed_at + sum(streams.packed_sizes[:first])
    packed = opening.data[at : at + streams.packed_sizes[first]]
    try:
        return _decode(opening, folder, packed)
    except (Unreadable, lzma.LZMAError, EOFError, ValueError):
        return None


def _decode(opening: Opening, folder: _Folder, packed: bytes) -> bytes | None:
    methods = [method for method, _ in folder.coders]
    size = _whole_size(folder)
    if methods == [_COPY]:
        opening.purse.grow(len(packed))
        return packed
    if methods == [_DEFLATE]:
        return opening.purse.inflate(packed)[0]
    if methods == [_BZIP2]:
        return opening.purse.unpack(packed, bz2.BZ2Decompressor())[0]
    filters = []
    for method, properties in folder.coders:
        if method in _BRANCH:
            filters.append({"id": _BRANCH[method]})
        elif method in (_LZMA, _LZMA2):
            filters.append(_lzma_filter(method, properties))
        else:
            return None
    engine = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
    return _raw(opening, engine, packed, size)


def _raw(opening: Opening, engine: lzma.LZMADecompressor, packed: bytes, size: int) -> bytes:
    """Raw LZMA has no mark at its end: as much as the header says."""
    opening.purse.check_ratio(len(packed), size)
    pieces: list[bytes] = []
    feed, left = packed, size
    while left > 0:
        piece = engine.decompress(feed, min(left, 1 << 18))
        feed = b""
        opening.purse.grow(len(piece))
        pieces.append(piece)
        left -= len(piece)
        if not piece and (engine.eof or engine.needs_input):
            break
    return b"".join(pieces)


def _lzma_filter(method: bytes, properties: bytes) -> dict[str, int]:
    if method == _LZMA2:
        bits = properties[0] if properties else 41
        dictionary = 0xFFFFFFFF if bits >= 40 else (2 | (bits & 1)) << (bits // 2 + 11)
        found = {"id": lzma.FILTER_LZMA2}
    else:
        if len(properties) < 5 or properties[0] >= 225:
            raise Unreadable("lzma properties")
        dictionary = int.from_bytes(properties[1:5], "little")
        rest, lc = divmod(properties[0], 9)
        pb, lp = divmod(rest, 5)
        found = {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb}
    if dictionary > _MAX_DICTIONARY_OCTETS:
        raise Unreadable("dictionary")
    return found | {"dict_size": max(dictionary, 4096)}
