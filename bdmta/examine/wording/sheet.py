"""The words of an Excel 97-2003 workbook ([MS-XLS]): shared strings, labels, text boxes, page headers."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from bdmta.charset.codec import western_text
from bdmta.examine.readers.compound import Compound

_SST, _CONTINUE, _LABEL, _HEADER, _FOOTER, _TEXT_BOX, _ENCRYPTED = 0xFC, 0x3C, 0x204, 0x14, 0x15, 0x1B6, 0x2F
_MAX_RECORDS = 1_000_000


def words(compound: Compound, max_characters: int) -> str:
    """Every text of the workbook, one a line; "" when this is none. Raises Unreadable."""
    node = compound.find("Workbook") or compound.find("Book")
    if node is None:
        return ""
    out: list[str] = []
    room = max_characters
    for text in _texts(compound.read(node), has_flags=node.name.lower() == "workbook"):
        out.append(text)
        room -= len(text)
        if room <= 0:
            break
    return "\n".join(out).replace("\r", "\n")


def _texts(stream: bytes, *, has_flags: bool) -> Iterator[str]:
    strings: list[bytes] = []
    last = 0
    for kind, body in _records(stream):
        if kind == _ENCRYPTED:
            return
        if kind == _SST:
            strings = [body]
        elif kind == _CONTINUE and last == _SST:
            strings.append(body)
            continue
        elif kind == _CONTINUE and last == _TEXT_BOX and len(body) > 1:
            yield _letters(body[1:], body[0])
        elif kind == _LABEL:
            yield _counted(body, 6, has_flags=has_flags)
        elif kind in (_HEADER, _FOOTER):
            yield _counted(body, 0, has_flags=has_flags)
        if kind == _CONTINUE:
            continue
        last = kind
    yield from _shared(strings)


def _records(stream: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for _ in range(_MAX_RECORDS):
        if at + 4 > len(stream):
            return
        kind, size = struct.unpack_from("<HH", stream, at)
        yield kind, stream[at + 4 : at + 4 + size]
        at += 4 + size


def _letters(octets: bytes, flags: int) -> str:
    return octets.decode("utf-16-le", "replace") if flags & 1 else western_text(octets)


def _counted(body: bytes, at: int, *, has_flags: bool) -> str:
    """A string behind its count; Excel 95 has no flags, and one octet a letter (a header's count is one octet too)."""
    if len(body) < at + 3:
        return ""
    if not has_flags:
        return western_text(body[at + 2 :] if at else body[1:])
    count = struct.unpack_from("<H", body, at)[0]
    flags = body[at + 2]
    return _letters(body[at + 3 : at + 3 + count * (2 if flags & 1 else 1)], flags)


def _shared(blocks: list[bytes]) -> Iterator[str]:
    """The shared string table ([MS-XLS] §2.4.265); a string cut by a block begins anew with its flags."""
    if not blocks or len(blocks[0]) < 8:
        return
    index, at = 0, 8
    while index < len(blocks):
        block = blocks[index]
        if at + 3 > len(block):
            index, at = index + 1, 0
            continue
        count, flags = struct.unpack_from("<HB", block, at)
        at += 3
        tail = 0
        if flags & 8 and at + 2 <= len(block):
            tail += 4 * int(struct.unpack_from("<H", block, at)[0])
            at += 2
        if flags & 4 and at + 4 <= len(block):
            tail += int(struct.unpack_from("<L", block, at)[0])
            at += 4
        pieces: list[str] = []
        while count > 0 and index < len(blocks):
            width = 2 if flags & 1 else 1
            taken = blocks[index][at : at + count * width]
            pieces.append(_letters(taken, flags))
            count -= len(taken) // width
            at += len(taken)
            if count > 0:
                index += 1
                flags, at = (blocks[index][0] if index < len(blocks) and blocks[index] else 0), 1
                if not taken and index >= len(blocks):
                    break
        yield "".join(pieces)
        while tail > 0 and index < len(blocks):
            step = min(tail, len(blocks[index]) - at)
            tail -= step
            at += step
            if tail > 0:
                index, at = index + 1, 0
