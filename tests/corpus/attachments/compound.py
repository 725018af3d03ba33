"""A writer of compound files ([MS-CFB]), as small as the tests need."""

from __future__ import annotations

import itertools
import struct

_SECTOR = 512
_END = 0xFFFFFFFE
_FREE = 0xFFFFFFFF


def compound(streams: dict[str, bytes], class_id: bytes = bytes(16)) -> bytes:
    """A compound file of `streams`; a name `a/b` lies in the storage `a`. Streams are padded to 4,096 octets."""
    entries: list[list[object]] = [["Root Entry", 5, _FREE, _END, 0]]
    storages: dict[str, int] = {"": 0}
    children: dict[int, list[int]] = {0: []}
    sectors: list[bytes] = []
    fat: list[int] = []
    for path, content in streams.items():
        *folders, name = path.split("/")
        parent = 0
        for depth in range(len(folders)):
            key = "/".join(folders[: depth + 1])
            if key not in storages:
                storages[key] = len(entries)
                children[parent].append(len(entries))
                children[len(entries)] = []
                entries.append([folders[depth], 1, _FREE, 0, 0])
            parent = storages[key]
        body = content.ljust(4096, b"\0")
        start = len(sectors)
        count = (len(body) + _SECTOR - 1) // _SECTOR
        sectors += [body[i * _SECTOR : (i + 1) * _SECTOR].ljust(_SECTOR, b"\0") for i in range(count)]
        fat += [*range(start + 1, start + count), _END]
        children[parent].append(len(entries))
        entries.append([name, 2, _FREE, start, len(body)])
    right: dict[int, int] = {}
    for parent, members in children.items():
        if members:
            entries[parent][2] = members[0]
            right.update(itertools.pairwise(members))
    directory = b"".join(_entry(entry, right.get(number, _FREE), class_id if number == 0 else bytes(16))
                         for number, entry in enumerate(entries))  # fmt: skip
    directory = directory.ljust((len(directory) + _SECTOR - 1) // _SECTOR * _SECTOR, b"\0")
    directory_at = len(sectors)
    count = len(directory) // _SECTOR
    sectors += [directory[i * _SECTOR : (i + 1) * _SECTOR] for i in range(count)]
    fat += [*range(directory_at + 1, directory_at + count), _END]
    fat_count = 1
    while fat_count * 128 < len(fat) + fat_count:
        fat_count += 1
    fat_at = len(sectors)
    fat += [0xFFFFFFFD] * fat_count
    table = struct.pack(f"<{len(fat)}L", *fat).ljust(fat_count * _SECTOR, b"\xff")
    sectors += [table[i * _SECTOR : (i + 1) * _SECTOR] for i in range(fat_count)]
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<9L", 0, fat_count, directory_at, 0, 4096, _END, 0, _END, 0)
    header += struct.pack("<109L", *([*range(fat_at, fat_at + fat_count)] + [_FREE] * (109 - fat_count)))
    return header + b"".join(sectors)


def _entry(entry: list[object], right: int, class_id: bytes) -> bytes:
    name, kind, child, start, size = entry
    raw = str(name).encode("utf-16-le")
    return (
        raw.ljust(64, b"\0") + struct.pack("<HBB", len(raw) + 2, kind, 1) + struct.pack("<3L", _FREE, right, child)
        + class_id + bytes(20) + struct.pack("<LQ", start, size)
    )  # fmt: skip
