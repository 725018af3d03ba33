"""Carry out a review: the letter with its legacy texts in UTF-8, NFC, and with labels, headers and meta put right."""

from __future__ import annotations

import binascii
import re

from bdmta.charset.fields import replaced
from bdmta.charset.letter import MAX_TEXT_OCTETS, Place, Review
from bdmta.charset.truth import Kind, Text, unicode_text
from bdmta.message import Header, Message, Part
from bdmta.message.octets import cut

_CHARSET = re.compile(
    rb";?[ \t\r\n]*\bcharset(?:\*\d*\*?|\*)?[ \t]*=[ \t\r\n]*(?:\"[^\"]{0,200}\"|[^\s;]{0,200})", re.IGNORECASE
)
_TYPE = re.compile(rb"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")
_DROPPED = frozenset({"content-md5", "content-length", "lines"})
_BASE64_COLUMNS = 57  # octets: 76 characters


def convert(message: Message, found: Review) -> bytes:
    """The octets of `message` with every change of `found` made; all else stays as it was, octet for octet.

    Texts come out in base64, so that no server on the way needs 8BITMIME. What is not text is not touched.
    """
    edits: list[tuple[int, int, bytes]] = []
    bodies = [place for place in found.changes if place.header is None]
    for place in bodies:
        edits += _body_edits(message, place)
    labelled = {id(place.part) for place in bodies}
    by_header: dict[tuple[int, int], list[Place]] = {}
    for place in found.changes:
        if place.header is not None:
            by_header.setdefault((place.header.start, place.header.end), []).append(place)
    for places in by_header.values():
        header, part = places[0].header, places[0].part
        if header is not None and not (header.name == "content-type" and id(part) in labelled):
            edits.append((header.start, header.end, _field_octets(message, header, _new_value(header.value, places))))
    return _spliced(message, edits)


def _spliced(message: Message, edits: list[tuple[int, int, bytes]]) -> bytes:
    out: list[bytes] = []
    at = 0
    for start, end, octets in sorted(edits, key=lambda edit: (edit[0], edit[1])):
        out += (cut(message.octets, at, start), octets)
        at = end
    out.append(cut(message.octets, at, len(message.octets)))
    return b"".join(out)


def _new_value(value: bytes, places: list[Place]) -> bytes:
    changes = []
    for place in sorted(places, key=lambda each: each.piece.start if each.piece else 0):
        if place.piece is not None:
            changes.append((place.piece, unicode_text(place.text, place.truth)))
    return replaced(value, changes)


def _field_octets(message: Message, header: Header, value: bytes) -> bytes:
    """The field under its own name; the value is ours or was there before."""
    name = cut(message.octets, header.start, header.end).partition(b":")[0].strip()
    return name + b": " + value + b"\r\n"


def _body_edits(message: Message, place: Place) -> list[tuple[int, int, bytes]]:
    part = place.part
    text = Text(part.decoded(MAX_TEXT_OCTETS), place.text.label, place.text.is_html)
    new = unicode_text(text, place.truth).encode("utf-8", "replace")
    is_same = place.truth.kind is Kind.RELABEL and new == text.octets
    edits = _label_edits(message, part, has_new_body=not is_same)
    if not is_same:
        edits.append((part.body_start, part.end, _base64(new)))
    return edits


def _label_edits(message: Message, part: Part, *, has_new_body: bool) -> list[tuple[int, int, bytes]]:
    edits: list[tuple[int, int, bytes]] = []
    types = part.all("content-type")
    added = b""
    kept = next((header for header in types if _type_of(header.value) == part.media_type), None)
    for header in types:  # one stays: the one that is obeyed
        octets = _field_octets(message, header, _with_utf8(header.value)) if header is kept else b""
        edits.append((header.start, header.end, octets))
    if kept is None:
        added += b"Content-Type: " + part.media_type.encode("ascii", "replace") + b"; charset=utf-8\r\n"
    if has_new_body:
        for header in part.all("content-transfer-encoding"):
            edits.append((header.start, header.end, b""))
        added += b"Content-Transfer-Encoding: base64\r\n"
        edits += [(header.start, header.end, b"") for header in part.headers if header.name in _DROPPED]
    elif not part.transfer_encodings:
        added += b"Content-Transfer-Encoding: 8bit\r\n"
    if part is message.root and part.first("mime-version") is None:
        added = b"MIME-Version: 1.0\r\n" + added
    at = part.headers[-1].end if part.headers else part.start
    if not part.headers and part.body_start == part.start:
        added += b"\r\n"
    return [*edits, (at, at, added)] if added else edits


def _type_of(value: bytes) -> str:
    """The media type in lower case, "" when it is malformed."""
    token = value.partition(b";")[0].strip()
    return token.decode("ascii").lower() if _TYPE.fullmatch(token) is not None else ""


def _with_utf8(value: bytes) -> bytes:
    """The Content-Type's value with its charset named UTF-8 once, the other parameters as they were."""
    media_type, semicolon, rest = _CHARSET.sub(b"", value).strip(b" \t\r\n;").partition(b";")
    return media_type.strip() + b"; charset=utf-8" + semicolon + rest


def _base64(octets: bytes) -> bytes:
    lines = [
        binascii.b2a_base64(octets[at : at + _BASE64_COLUMNS], newline=False)
        for at in range(0, len(octets), _BASE64_COLUMNS)
    ]
    return b"\r\n".join([*lines, b""])
