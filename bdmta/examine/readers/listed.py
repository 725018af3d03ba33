"""Archives that are only listed: RAR 4 and 5, cabinets, LHA, ARJ, ACE. Stored files are looked at, packed ones not.

None of them is a format of Điều 13; the names tell whom to refuse and why, and what cannot be seen is `unreadable`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from bdmta.examine.errors import Unreadable
from bdmta.examine.names import is_traversal
from bdmta.examine.readers.opening import Member, Opening


def _listed(name: str, content: bytes | None, problem: str = "unreadable") -> Member:
    problems = ("traversal",) if is_traversal(name) else ()
    return Member((name,), content, problems=problems if content is not None else (*problems, problem))


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp437", "replace")


def read_rar(opening: Opening) -> Iterator[Member]:
    """Every file of a RAR archive, by its headers."""
    if opening.data.startswith(b"Rar!\x1a\x07\x01\0"):
        yield from _read_rar5(opening)
    elif opening.data.startswith(b"Rar!\x1a\x07\0"):
        yield from _read_rar4(opening)
    else:
        opening.problems.add("unreadable")


def _read_rar4(opening: Opening) -> Iterator[Member]:
    data, at = opening.data, 7
    while at + 7 <= len(data):
        _, kind, flags, size = struct.unpack_from("<HBHH", data, at)
        more = struct.unpack_from("<L", data, at + 7)[0] if flags & 0x8000 or kind == 0x74 else 0
        if kind == 0x7B:
            return
        if kind == 0x73 and flags & 0x80:
            opening.problems.add("encrypted")
            return
        if kind == 0x74 and size >= 32:
            opening.purse.check_time()
            name_octets = struct.unpack_from("<H", data, at + 26)[0]
            method = data[at + 25]
            name_at = at + (40 if flags & 0x100 else 32)
            name = _text(data[name_at : name_at + name_octets].split(b"\0")[0]).replace("\\", "/")
            if flags & 0xE0 != 0xE0:
                content = data[at + size : at + size + more] if method == 0x30 and not flags & 4 else None
                yield _listed(name, content, "encrypted" if flags & 4 else "unreadable")
        if size < 7:
            raise Unreadable("rar")
        at += size + more


def _vint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(10):
        octet = data[at + shift]
        value |= (octet & 0x7F) << (7 * shift)
        if not octet & 0x80:
            return value, at + shift + 1
    raise Unreadable("rar number")


def _read_rar5(opening: Opening) -> Iterator[Member]:
    data, at = opening.data, 8
    while at + 7 <= len(data):
        size, body = _vint(data, at + 4)
        end = body + size
        kind, pos = _vint(data, body)
        flags, pos = _vint(data, pos)
        extra, packed = 0, 0
        if flags & 1:
            extra, pos = _vint(data, pos)
        if flags & 2:
            packed, pos = _vint(data, pos)
        if kind == 5:
            return
        if kind == 4:
            opening.problems.add("encrypted")
            return
        if kind == 2:
            opening.purse.check_time()
            yield from _rar5_file(data, pos, end, (extra, packed))
        if size < 2:
            raise Unreadable("rar")
        at = end + packed


def _rar5_file(data: bytes, pos: int, end: int, sizes: tuple[int, int]) -> Iterator[Member]:
    extra, packed = sizes
    flags, pos = _vint(data, pos)
    _, pos = _vint(data, pos)
    _, pos = _vint(data, pos)
    pos += 4 * bool(flags & 2) + 4 * bool(flags & 4)
    compression, pos = _vint(data, pos)
    _, pos = _vint(data, pos)
    name_octets, pos = _vint(data, pos)
    name = _text(data[pos : pos + name_octets])
    if flags & 1:
        return
    is_encrypted = _rar5_is_encrypted(data[end - extra : end] if extra else b"")
    is_stored = not compression >> 7 & 7 and not is_encrypted
    yield _listed(name, data[end : end + packed] if is_stored else None, "encrypted" if is_encrypted else "unreadable")


def _rar5_is_encrypted(extra: bytes) -> bool:
    at = 0
    while at + 2 < len(extra):
        size, at = _vint(extra, at)
        kind, _ = _vint(extra, at)
        if kind == 1:
            return True
        at += size
    return False


def read_cab(opening: Opening) -> Iterator[Member]:
    """Every file of a cabinet ([MS-CAB]), by name."""
    data = opening.data
    if not data.startswith(b"MSCF") or len(data) < 36:
        opening.problems.add("unreadable")
        return
    at = struct.unpack_from("<L", data, 16)[0]
    for _ in range(struct.unpack_from("<H", data, 28)[0]):
        stop = data.find(b"\0", at + 16, at + 16 + 1024)
        if stop < 0:
            raise Unreadable("cabinet")
        opening.purse.check_time()
        yield _listed(_text(data[at + 16 : stop]).replace("\\", "/"), None)
        at = stop + 1


def read_lzh(opening: Opening) -> Iterator[Member]:
    """Every file of an LHA archive of the levels 0 to 2, by name."""
    data, at = opening.data, 0
    while at + 22 <= len(data) and data[at]:
        level = data[at + 20]
        packed = struct.unpack_from("<L", data, at + 7)[0]
        opening.purse.check_time()
        if level in (0, 1):
            name_octets = data[at + 21]
            yield _listed(_text(data[at + 22 : at + 22 + name_octets]).replace("\\", "/"), None)
            at += 2 + data[at] + packed
        else:
            size = struct.unpack_from("<H", data, at)[0]
            yield _listed(_lzh_name(data[at + 24 : at + size]), None)
            at += max(size, 26) + packed


def _lzh_name(headers: bytes) -> str:
    at = 0
    while at + 3 <= len(headers):
        size = struct.unpack_from("<H", headers, at)[0]
        if size < 3:
            break
        if headers[at + 2] == 1:
            return _text(headers[at + 3 : at + size])
        at += size
    return ""


def read_arj(opening: Opening) -> Iterator[Member]:
    """Every file of an ARJ archive, by name."""
    data, at, is_first = opening.data, 0, True
    while at + 4 < len(data) and data[at : at + 2] == b"\x60\xea":
        size = struct.unpack_from("<H", data, at + 2)[0]
        if not size:
            return
        header = data[at + 4 : at + 4 + size]
        name = header[header[0] :].split(b"\0")[0]
        packed = 0 if is_first else struct.unpack_from("<L", header, 12)[0]
        at += 4 + size + 4
        while at + 2 <= len(data) and (extended := struct.unpack_from("<H", data, at)[0]):
            at += 2 + extended + 4
        at += 2
        if not is_first:
            opening.purse.check_time()
            yield _listed(_text(name), None)
        at += packed
        is_first = False


def read_unopened(opening: Opening) -> Iterator[Member]:
    """A container that is known by its mark alone."""
    opening.problems.add("unreadable")
    yield from ()
