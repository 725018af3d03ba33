r"""RTF: objects that the author embedded (`\objdata`), as OLE 1 in hexadecimal ([MS-OLEDS] §2.2)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from bdmta.examine.readers.ole import native_object
from bdmta.examine.readers.opening import Member, Opening

_OBJECT = re.compile(rb"\\objdata(?![a-z])")
_TEMPLATE = re.compile(rb"\\\*\s*\\template\s+(?:https?:|\\\\\\\\|//|ftp:)", re.I)
_DDE = re.compile(rb"\\fldinst\b[^}]{0,200}\bDDE(?:AUTO)?\b", re.I)
_BINARY = re.compile(rb"\\bin(\d{1,9}) ?")
_WORD = re.compile(rb"\\(?:[a-zA-Z]+-?\d*|\*|'..|[^a-zA-Z])")
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MAX_OBJECTS = 200
_MAX_BRACES = 20_000
_BRACE = re.compile(rb"[{}]")


def read_rtf(opening: Opening) -> Iterator[Member]:
    """What is embedded, and templates and links that fetch from elsewhere."""
    data = opening.data
    if _TEMPLATE.search(data):
        opening.problems.add("remote-template")
    if b"DDE" in data and _DDE.search(data):
        opening.problems.add("dde")
    for number, match in enumerate(_OBJECT.finditer(data)):
        if number >= _MAX_OBJECTS:
            opening.problems.add("entries")
            return
        opening.purse.check_time()
        yield from _object(_octets(opening, data, match.end()))


def _octets(opening: Opening, data: bytes, start: int) -> bytes:
    """The hexadecimal that follows, to the end of its group; control words and groups within it are passed over."""
    depth, at = 1, start
    stop = start
    for number, brace in enumerate(_BRACE.finditer(data, start)):
        depth += 1 if brace[0] == b"{" else -1
        stop = brace.start()
        if depth == 0 or number >= _MAX_BRACES:
            break
    else:
        stop = len(data)
    body = data[at:stop]
    opening.purse.grow(len(body))
    binary = _BINARY.search(body)
    if binary is not None:
        return body[binary.end() : binary.end() + int(binary[1])]
    digits = re.sub(rb"[^0-9A-Fa-f]", b"", _WORD.sub(b"", body))
    return bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))


def _object(octets: bytes) -> Iterator[Member]:
    found = False
    for content in _ole1(octets):
        found = True
        yield from content
    if not found:
        at = octets.find(_COMPOUND)
        yield Member((), octets[at:] if at >= 0 else octets, role="embedded")


def _ole1(octets: bytes) -> Iterator[Iterator[Member]]:
    """EmbeddedObject: version, format, three counted strings, size, data."""
    if len(octets) < 24:
        return
    at, texts = 8, []
    for _ in range(3):
        size = struct.unpack_from("<L", octets, at)[0] if at + 4 <= len(octets) else 0xFFFF
        if size > 1024:
            return
        texts.append(octets[at + 4 : at + 4 + size].rstrip(b"\0"))
        at += 4 + size
    if at + 4 > len(octets):
        return
    size = struct.unpack_from("<L", octets, at)[0]
    content = octets[at + 4 : at + 4 + size]
    if texts[0].lower() == b"package":
        yield native_object(struct.pack("<L", len(content)) + content)
    elif content.startswith(_COMPOUND):
        yield iter((Member((), content, role="embedded"),))
