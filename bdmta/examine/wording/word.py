"""The words of a Word 97-2003 document ([MS-DOC]): the piece table, else whatever looks like text in its stream."""

from __future__ import annotations

import re
import struct

from bdmta.charset.codec import western_text
from bdmta.examine.errors import Unreadable
from bdmta.examine.readers.compound import Compound

_ENCRYPTED, _ONE_TABLE = 0x0100, 0x0200
_CLX_AT = 0x01A2
_COMPRESSED = 0x40000000
_MAX_PIECES = 100_000
_FIELD_CODE = re.compile("\x13[^\x13\x14\x15]{0,2000}\x14?")
_BREAKS = str.maketrans({"\r": "\n", "\x07": "\n", "\x0b": "\n", "\x0c": "\n", "\x0e": "\n", "\x15": None, "\x14": None,
                         "\x1e": "-", "\x1f": None, "\x01": None, "\x08": None, "\x13": None})  # fmt: skip
_WIDE_RUN = re.compile(rb"(?:[\x20-\xff\r\t\x07][\x00\x01\x03\x1e]){4,}")
_NARROW_RUN = re.compile(rb"[\x20-\x7e\x80-\xff\r\t\x07]{6,}")


def words(compound: Compound, max_characters: int) -> str:
    """The text of every story: body, headers, notes, text boxes; "" when this is none of Word. Raises Unreadable."""
    node = compound.find("WordDocument")
    if node is None:
        return ""
    stream = compound.read(node)
    try:
        text = _by_pieces(compound, stream, max_characters)
    except (struct.error, Unreadable, IndexError):
        text = ""
    if not text:
        text = _by_runs(stream, max_characters)
    return _FIELD_CODE.sub("", text).translate(_BREAKS)


def _by_pieces(compound: Compound, stream: bytes, max_characters: int) -> str:
    flags = struct.unpack_from("<H", stream, 0x0A)[0]
    if flags & _ENCRYPTED or struct.unpack_from("<H", stream, 2)[0] < 0x00C1:  # before Word 97 there is another layout
        return ""
    node = compound.find("1Table" if flags & _ONE_TABLE else "0Table")
    if node is None:
        return ""
    table = compound.read(node)
    at, size = struct.unpack_from("<LL", stream, _CLX_AT)
    pieces = _piece_table(table[at : at + size])
    count = min((len(pieces) - 4) // 12, _MAX_PIECES)
    out: list[str] = []
    room = max_characters
    for index in range(count):
        first, after = struct.unpack_from("<LL", pieces, index * 4)
        position = struct.unpack_from("<L", pieces, (count + 1) * 4 + index * 8 + 2)[0]
        length = min(after - first, room) if after > first else 0
        if position & _COMPRESSED:
            start = (position & ~_COMPRESSED) // 2
            out.append(western_text(stream[start : start + length]))
        else:
            out.append(stream[position : position + 2 * length].decode("utf-16-le", "replace"))
        room -= length
        if room <= 0:
            break
    return "".join(out)


def _piece_table(clx: bytes) -> bytes:
    """The PlcPcd behind the property modifiers ([MS-DOC] §2.9.38)."""
    at = 0
    while at < len(clx):
        if clx[at] == 1:
            at += 3 + int(struct.unpack_from("<H", clx, at + 1)[0])
        elif clx[at] == 2:
            size = struct.unpack_from("<L", clx, at + 1)[0]
            return clx[at + 5 : at + 5 + size]
        else:
            break
    return b""


def _by_runs(stream: bytes, max_characters: int) -> str:
    wide = "\n".join(run.decode("utf-16-le", "replace") for run in _WIDE_RUN.findall(stream[512:]))
    narrow = "\n".join(western_text(run) for run in _NARROW_RUN.findall(stream[512:]))
    return (wide + "\n" + narrow)[:max_characters]
