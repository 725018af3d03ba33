"""The words of a PowerPoint 97-2003 presentation ([MS-PPT]): its text atoms, in order."""

from __future__ import annotations

import struct

from bdmta.charset.codec import western_text
from bdmta.examine.readers.compound import Compound

_TEXT_WIDE, _TEXT_NARROW, _STRING = 0x0FA0, 0x0FA8, 0x0FBA
_CONTAINER = 0x0F
_MAX_RECORDS = 500_000


def words(compound: Compound, max_characters: int) -> str:
    """The text of slides and notes; "" when this is no presentation. Raises Unreadable."""
    node = compound.find("PowerPoint Document")
    if node is None:
        return ""
    stream = compound.read(node)
    out: list[str] = []
    at, room = 0, max_characters
    for _ in range(_MAX_RECORDS):
        if at + 8 > len(stream) or room <= 0:
            break
        version, kind, size = struct.unpack_from("<HHL", stream, at)
        at += 8
        if version & 0x0F == _CONTAINER:
            continue  # its children follow
        body = stream[at : at + size]
        if kind in (_TEXT_WIDE, _STRING):
            out.append(body.decode("utf-16-le", "replace"))
            room -= len(out[-1])
        elif kind == _TEXT_NARROW:
            out.append(western_text(body))
            room -= len(out[-1])
        at += size
    return "\n".join(out).replace("\r", "\n").replace("\x0b", "\n")
