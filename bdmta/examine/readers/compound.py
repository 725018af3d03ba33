"""The compound file of Microsoft ([MS-CFB]): sectors, chains and a tree of streams; every walk is bounded."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from bdmta.examine.bounds import Purse
from bdmta.examine.errors import Unreadable

_FREE = 0xFFFFFFFA  # from here on a sector number means something else
_NONE = 0xFFFFFFFF
_MAX_ENTRIES = 20_000


@dataclass(slots=True)
class Node:
    """A storage or a stream. `path` is its way from the root, without the root."""

    path: tuple[str, ...]
    is_storage: bool
    start: int
    size: int
    class_id: bytes

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path[-1]


class Compound:
    """A compound file. Raises Unreadable when it is none, or when a chain runs in a circle."""

    def __init__(self, data: bytes, purse: Purse) -> None:
        if len(data) < 512 or not data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
            raise Unreadable("compound file header")
        self._data = data
        self._purse = purse
        shift, self._mini_shift = struct.unpack_from("<HH", data, 30)
        if shift not in (9, 12) or not 3 <= self._mini_shift <= shift:
            raise Unreadable("compound file sector size")
        self._sector = 1 << shift
        fields = struct.unpack_from("<9L", data, 40)
        _, fat_count, directory_at, _, self._cutoff, mini_at, mini_count, difat_at, difat_count = fields
        self._fat = self._read_fat(fat_count, difat_at, difat_count)
        self.nodes: list[Node] = []
        self.root_class_id = b""
        self._mini_stream = b""
        directory = self._chain(directory_at)
        self._mini_fat = self._numbers(self._chain(mini_at)) if mini_count else ()
        self._read_tree(directory)

    def _block(self, number: int) -> bytes:
        at = (number + 1) * self._sector
        return self._data[at : at + self._sector]

    @staticmethod
    def _numbers(octets: bytes) -> tuple[int, ...]:
        return struct.unpack(f"<{len(octets) // 4}L", octets[: len(octets) // 4 * 4])

    def _read_fat(self, fat_count: int, difat_at: int, difat_count: int) -> tuple[int, ...]:
        sectors = [n for n in self._numbers(self._data[76:512]) if n < _FREE]
        limit = len(self._data) // self._sector + 2
        seen = 0
        while difat_at < _FREE and seen < difat_count and seen < limit:
            numbers = self._numbers(self._block(difat_at))
            if not numbers:
                raise Unreadable("compound file DIFAT")
            sectors.extend(n for n in numbers[:-1] if n < _FREE)
            difat_at = numbers[-1]
            seen += 1
        return self._numbers(b"".join(self._block(n) for n in sectors[: min(fat_count, limit)]))

    def _chain(self, start: int, size: int | None = None) -> bytes:
        """The octets of a chain of sectors; at most `size` of them."""
        pieces: list[bytes] = []
        number, left = start, len(self._fat) + 1
        wanted = None if size is None else (size + self._sector - 1) // self._sector
        while number < _FREE:
            if wanted is not None and len(pieces) >= wanted:
                break
            left -= 1
            if left < 0 or number >= len(self._fat):
                raise Unreadable("compound file chain")
            pieces.append(self._block(number))
            number = self._fat[number]
        octets = b"".join(pieces)
        return octets if size is None else octets[:size]

    def _read_tree(self, directory: bytes) -> None:
        entries = [directory[at : at + 128] for at in range(0, min(len(directory), _MAX_ENTRIES * 128), 128)]
        if not entries or len(entries[0]) < 128:
            raise Unreadable("compound file directory")
        root = entries[0]
        self.root_class_id = root[80:96]
        start, size = struct.unpack_from("<LQ", root, 116)
        self._mini_stream = self._chain(start, size & 0xFFFFFFFF) if start < _FREE else b""
        seen: set[int] = set()
        todo: list[tuple[int, tuple[str, ...]]] = [(struct.unpack_from("<L", root, 76)[0], ())]
        while todo:
            number, parent = todo.pop()
            if number == _NONE:
                continue
            if number >= len(entries) or number in seen or len(parent) > 64 or len(entries[number]) < 128:
                raise Unreadable("compound file tree")
            seen.add(number)
            self._purse.check_time()
            entry = entries[number]
            name_octets = struct.unpack_from("<H", entry, 64)[0]
            name = entry[: max(0, min(name_octets, 64) - 2)].decode("utf-16-le", "replace")
            left, right, child = struct.unpack_from("<3L", entry, 68)
            start, size = struct.unpack_from("<LQ", entry, 116)
            path = (*parent, name)
            self.nodes.append(Node(path, entry[66] == 1, start, size & 0xFFFFFFFF, entry[80:96]))
            todo += [(left, parent), (right, parent)]
            if entry[66] == 1:
                todo.append((child, path))

    def read(self, node: Node) -> bytes:
        """The octets of a stream. Raises Unreadable, OverBound."""
        self._purse.grow(min(node.size, len(self._data)))
        if node.size >= self._cutoff:
            return self._chain(node.start, node.size)
        pieces, number, width = [], node.start, 1 << self._mini_shift
        for _ in range(min((node.size + width - 1) // width, len(self._mini_fat))):
            if number >= len(self._mini_fat):
                raise Unreadable("compound file mini chain")
            pieces.append(self._mini_stream[number * width : (number + 1) * width])
            number = self._mini_fat[number]
        return b"".join(pieces)[: node.size]

    def find(self, *path: str) -> Node | None:
        """The node at `path`, names compared without case."""
        wanted = tuple(p.lower() for p in path)
        return next((n for n in self.nodes if tuple(p.lower() for p in n.path) == wanted), None)
