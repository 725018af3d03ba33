"""Whether a letter's text holds a word: by its octets when they are plain ASCII, by the folded text that the index
keeps otherwise.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

from storage.box_types import Octets
from storage.index_letters import unpacked

SearchRow = tuple[int, bytes, bytes | None, bytes | None]  # header octets, spans, folded header, folded text


def text_matches(
    row: SearchRow, needle: str, with_header: bool, uid: int, octets_of: Callable[[int], Octets | None]
) -> bool:
    """Whether the text parts (and with `with_header` the header) of a letter hold the folded needle.

    The file is read only if it must be.
    """
    header_octets, spans, header, text = row
    wanted = needle.encode("utf-8", "surrogatepass")
    if text is not None and wanted in unpacked(text):
        return True
    if with_header and header is not None and wanted in unpacked(header):
        return True
    reads_header = with_header and header is None
    if not needle.isascii() or not (reads_header or spans):
        return False
    octets = octets_of(uid)
    if octets is None:
        return False
    if reads_header and wanted in octets[:header_octets].lower():
        return True
    ends = array("Q")
    ends.frombytes(spans)
    return any(wanted in octets[start:end].lower() for start, end in zip(ends[::2], ends[1::2], strict=True))
