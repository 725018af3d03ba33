"""PDF: names that act (JavaScript, Launch …), embedded files, encryption; ISO 32000-1 read by tokens, not by its table.

Readers rebuild a broken cross-reference table by searching for objects; so do we, which sees hidden revisions as well.
Object streams are unpacked, names like `/J#61vaScript` are read as they mean (§7.3.5).
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator

from bdmta.examine.errors import Unreadable
from bdmta.examine.readers.opening import Member, Opening

_STREAM = re.compile(rb"(?<!end)stream(?:\r\n|\n|\r)")
_LENGTH = re.compile(rb"/Length\s+(\d{1,10})(?!\d)(?!\s+\d+\s+R)")
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")


def _spelled(name: str) -> bytes:
    """A pattern for `/name` in which each letter may be written as `#xx`."""
    letters = "".join(f"(?:{c}|#(?i:{ord(c):02x}))" for c in name)
    return f"/{letters}(?![A-Za-z0-9_.+#\\-])".encode("ascii")


def _any(*names: str) -> re.Pattern[bytes]:
    return re.compile(b"|".join(_spelled(name) for name in names))


_ACTIONS = (
    ("pdf-javascript", _any("JavaScript", "JS")),
    ("pdf-launch", _any("Launch", "ImportData")),
    ("pdf-embedded", _any("EmbeddedFiles", "EmbeddedFile", "FileAttachment", "GoToE")),
    ("pdf-richmedia", _any("RichMedia", "RichMediaContent")),
    ("encrypted", re.compile(_spelled("Encrypt") + rb"(?:\s{1,20}\d{1,10}\s{1,20}\d{1,10}\s{1,20}R|\s{0,20}<<)")),
)
_STRICT_JAVASCRIPT = re.compile(rb"/S\s{0,20}" + _spelled("JavaScript"))
_STRICT_LAUNCH = re.compile(rb"/S\s{0,20}" + _spelled("Launch"))
_NAME = re.compile(rb"/(?:UF|F)\s*(?:\(((?:[^()\\]|\\.){1,500})\)|<([0-9A-Fa-f\s]{2,2000})>)", re.S)
_MAX_STREAMS = 100_000
_MAX_FILES = 200
_FORM_OCTETS = 4 << 20
_LZW_OCTETS = 512 * 1024  # it is unpacked in Python
_DICTIONARY_OCTETS = 16 * 1024


def read_pdf(opening: Opening) -> Iterator[Member]:
    """Notes what acts; yields the files that the document carries."""
    data = opening.data
    outside: list[bytes] = []
    at = files = 0
    names = _file_names(data)
    has_forms = b"/XFA" in data
    for match in _STREAM.finditer(data):
        if match.start() < at:
            continue
        outside.append(data[at : match.start()])
        opening.purse.check_time()
        dictionary = _dictionary(outside[-1])
        end = _stream_end(data, match.end(), dictionary)
        body = data[match.end() : end]
        _look_at_stream(opening, dictionary, body, has_forms)
        if b"/EmbeddedFile" in dictionary and files < _MAX_FILES:
            files += 1
            opening.purse.check_time()
            yield Member(tuple(names[files - 1 : files]), _decoded(opening, dictionary, body), role="embedded")
        at = end
        if len(outside) > _MAX_STREAMS:
            opening.problems.add("entries")
            break
    outside.append(data[at:])
    _note(opening, b"\n".join(outside))


def _dictionary(before: bytes) -> bytes:
    """The stream's dictionary: what stands between the last `obj` and `stream`, escapes undone."""
    tail = before[-_DICTIONARY_OCTETS:]
    start = tail.rfind(b"obj")
    return _plain(tail[start + 3 :] if start >= 0 else tail)


def _plain(text: bytes) -> bytes:
    return _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]), text) if b"#" in text else text


def _stream_end(data: bytes, start: int, dictionary: bytes) -> int:
    stated = _LENGTH.search(dictionary)
    if stated is not None:
        end = start + int(stated[1])
        if data[end : end + 20].lstrip().startswith(b"endstream"):
            return end
    end = data.find(b"endstream", start)
    return end if end >= 0 else len(data)


def _look_at_stream(opening: Opening, dictionary: bytes, body: bytes, has_forms: bool) -> None:
    if b"/ObjStm" in dictionary:
        try:
            _note(opening, _decoded(opening, dictionary, body))
        except Unreadable:
            if "encrypted" not in opening.problems and b"/Encrypt" not in opening.data:
                opening.problems.add("unreadable")
    elif has_forms and len(body) < _FORM_OCTETS and b"/Image" not in dictionary:
        _look_at_form(opening, dictionary, body)
    elif b"/Filter" not in dictionary and b"/Image" not in dictionary:
        if _STRICT_JAVASCRIPT.search(body):
            opening.problems.add("pdf-javascript")
        if _STRICT_LAUNCH.search(body):
            opening.problems.add("pdf-launch")


def _look_at_form(opening: Opening, dictionary: bytes, body: bytes) -> None:
    """A piece of an XFA form: scripts stand in its XML."""
    try:
        text = _decoded(opening, dictionary, body)
    except Unreadable:
        return
    if b"<script" in text and (b"xfa" in text or b"<template" in text or b"<xdp" in text):
        opening.problems.add("pdf-javascript")


def _note(opening: Opening, text: bytes) -> None:
    for problem, pattern in _ACTIONS:
        if problem not in opening.problems and pattern.search(text):
            opening.problems.add(problem)


_FILTER = re.compile(
    rb"/(FlateDecode|Fl|ASCIIHexDecode|AHx|ASCII85Decode|A85|LZWDecode|LZW|RunLengthDecode|RL|Crypt|DCTDecode|JPXDecode|CCITTFaxDecode|JBIG2Decode)(?![A-Za-z0-9])"
)


def _decoded(opening: Opening, dictionary: bytes, body: bytes) -> bytes:
    """`body` through its filters. Raises Unreadable for those that are not known here."""
    at = dictionary.find(b"/Filter")
    if at < 0:
        return body
    chain = dictionary[at + 7 :]
    chain = chain[: chain.find(b"]") + 1] if chain.lstrip().startswith(b"[") else chain.lstrip()[:40]
    filters = [m[1] for m in _FILTER.finditer(chain)]
    for name in filters[:8] if chain.startswith((b"[", b" [", b"\n[", b"\r[")) or b"[" in chain[:4] else filters[:1]:
        body = _undo(opening, name, body)
    return body


def _undo(opening: Opening, name: bytes, body: bytes) -> bytes:
    if name in (b"FlateDecode", b"Fl"):
        return _inflate(opening, body.lstrip(b"\r\n"))
    if name in (b"ASCIIHexDecode", b"AHx"):
        digits = re.sub(rb"[^0-9A-Fa-f]", b"", body.partition(b">")[0])
        return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii"))
    if name in (b"ASCII85Decode", b"A85"):
        try:
            return base64.a85decode(body.strip().removeprefix(b"<~").partition(b"~")[0])
        except ValueError as error:
            raise Unreadable("ASCII85") from error
    if name in (b"RunLengthDecode", b"RL"):
        return _run_length(opening, body)
    if name in (b"LZWDecode", b"LZW"):
        return _lzw(opening, body)
    raise Unreadable(name.decode("ascii"))


def _inflate(opening: Opening, body: bytes) -> bytes:
    """As readers do: what came out before an error counts."""
    return opening.purse.unpack(body, zlib.decompressobj(), is_lenient=True)[0]


def _run_length(opening: Opening, body: bytes) -> bytes:
    out, at = bytearray(), 0
    while at < len(body) and body[at] != 128:
        length = body[at]
        if length < 128:
            out += body[at + 1 : at + 2 + length]
            at += 2 + length
        else:
            out += body[at + 1 : at + 2] * (257 - length)
            at += 2
        if len(out) > opening.purse.octets_left:
            opening.purse.grow(len(out))
    return bytes(out)


def _lzw(opening: Opening, body: bytes) -> bytes:
    """LZW with early change (§7.4.4), the default."""
    table: list[bytes] = []
    out, width, value, bits, before = bytearray(), 9, 0, 0, b""
    for octet in body[:_LZW_OCTETS]:
        value, bits = (value << 8 | octet) & 0xFFFFFF, bits + 8
        if bits < width:
            continue
        bits -= width
        code = value >> bits & ((1 << width) - 1)
        if code == 257:
            break
        if code == 256 or not table:
            table, width, before = [bytes([i]) for i in range(256)] + [b"", b""], 9, b""
            if code == 256:
                continue
        word = table[code] if code < len(table) else before + before[:1]
        out += word
        if len(out) > opening.purse.octets_left:
            opening.purse.grow(len(out))
        if before and len(table) < 4096:
            table.append(before + word[:1])
        before = word
        width = min(12, max(9, (len(table) + 1).bit_length()))
    return bytes(out)


def _file_names(data: bytes) -> list[str]:
    """The names in file specifications, in order of appearance; only to show them to a person."""
    if b"EmbeddedFile" not in data:
        return []
    names: dict[str, None] = {}
    for match in _NAME.finditer(data):
        raw = (
            match[1]
            if match[1] is not None
            else bytes.fromhex(re.sub(rb"\s", b"", match[2])[:1000].decode() + "0")[:-1]
        )
        text = raw.decode("utf-16", "replace") if raw[:2] in (b"\xfe\xff", b"\xff\xfe") else raw.decode("latin-1")
        names[text] = None
        if len(names) >= _MAX_FILES:
            break
    return list(names)
