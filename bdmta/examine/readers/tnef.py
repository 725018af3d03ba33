"""TNEF, the `winmail.dat` of Outlook ([MS-OXTNEF]): its attachments under every name they are given."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from bdmta.examine.errors import Unreadable
from bdmta.examine.readers.opening import Member, Opening

_RENDER, _TITLE, _DATA, _PROPERTIES = 0x9002, 0x8010, 0x800F, 0x9005
_NAME_TAGS = frozenset({0x3704, 0x3707, 0x3703, 0x3001})
_DATA_TAG = 0x3701
_FIXED = {0x0002: 4, 0x0003: 4, 0x000A: 4, 0x000B: 4, 0x0004: 4, 0x0005: 8, 0x0006: 8, 0x0007: 8, 0x0014: 8,
          0x0040: 8, 0x0048: 16, 0x0001: 4}  # fmt: skip
_MAX_VALUES = 4096
_MAX_ATTRIBUTES = 50_000


def read_tnef(opening: Opening) -> Iterator[Member]:
    """Every attachment; a message within it comes as a TNEF again."""
    data, at = opening.data, 6
    names: list[str] = []
    contents: list[tuple[bytes, str]] = []
    for _ in range(_MAX_ATTRIBUTES):
        if at + 9 > len(data):
            break
        level, attribute, size = (
            data[at],
            struct.unpack_from("<H", data, at + 1)[0],
            struct.unpack_from("<L", data, at + 5)[0],
        )
        body = data[at + 9 : at + 9 + size]
        if len(body) < size or level not in (1, 2):
            opening.problems.add("unreadable")
            break
        at += 9 + size + 2
        if level == 1:
            continue
        if attribute == _RENDER:
            yield from _attachment(opening, names, contents)
            names, contents = [], []
        elif attribute == _TITLE:
            names.append(_text8(body))
        elif attribute == _DATA:
            contents.append((body, "member"))
        elif attribute == _PROPERTIES:
            _read_properties(body, names, contents)
    yield from _attachment(opening, names, contents)


def _text8(raw: bytes) -> str:
    raw = raw.rstrip(b"\0")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1258", "replace")


def _attachment(opening: Opening, names: list[str], contents: list[tuple[bytes, str]]) -> Iterator[Member]:
    known = tuple(dict.fromkeys(n for n in names if n))
    if not known and not contents:
        return
    for content, role in contents or [(b"", "member")]:
        opening.purse.check_time()
        opening.purse.grow(len(content))
        yield Member(known, content, role=role)


def _read_properties(body: bytes, names: list[str], contents: list[tuple[bytes, str]]) -> None:
    """The MAPI properties of an attachment (§2.1.3.4). Raises Unreadable where one cannot be passed over."""
    if len(body) < 4:
        return
    count, at = struct.unpack_from("<L", body, 0)[0], 4
    for _ in range(min(count, _MAX_VALUES)):
        if at + 4 > len(body):
            raise Unreadable("tnef properties")
        kind, tag = struct.unpack_from("<HH", body, at)
        at += 4
        if tag >= 0x8000:
            at = _skip_name(body, at)
        values, at = _values(body, at, kind)
        for value in values:
            if tag in _NAME_TAGS and kind & 0xFFF in (0x1E, 0x1F):
                wide = kind & 0xFFF == 0x1F
                names.append(value.decode("utf-16-le", "replace").rstrip("\0") if wide else _text8(value))
            elif tag == _DATA_TAG and kind & 0xFFF in (0x102, 0x0D):
                contents.append((value[16:], "embedded") if kind & 0xFFF == 0x0D else (value, "member"))


def _skip_name(body: bytes, at: int) -> int:
    kind = int.from_bytes(body[at + 16 : at + 20], "little")
    size = int.from_bytes(body[at + 20 : at + 24], "little")
    if kind == 0:
        return at + 24
    return at + 24 + (size + 3) // 4 * 4


def _values(body: bytes, at: int, kind: int) -> tuple[list[bytes], int]:
    base = kind & 0xFFF
    count = 1
    if kind & 0x1000 or base in (0x1E, 0x1F, 0x102, 0x0D):
        count = struct.unpack_from("<L", body, at)[0]
        at += 4
    if count > _MAX_VALUES:
        raise Unreadable("tnef values")
    values = []
    for _ in range(count):
        if base in _FIXED:
            size, head = _FIXED[base], 0
        elif base in (0x1E, 0x1F, 0x102, 0x0D):
            size, head = struct.unpack_from("<L", body, at)[0], 4
        else:
            raise Unreadable("tnef type")
        value = body[at + head : at + head + size]
        if len(value) < size:
            raise Unreadable("tnef value")
        values.append(value)
        at += head + (size + 3) // 4 * 4
    return values, at
