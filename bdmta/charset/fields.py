"""Header fields for the detector: the encoded words and raw octets in them, each to be judged and put right in place.

What is replaced becomes encoded words in UTF-8 (RFC 2047), never raw text, and holds no control: a CR LF hidden in an
encoded word cannot become a header.
"""

from __future__ import annotations

import binascii
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from bdmta.message.words import base64_word

UNSTRUCTURED = frozenset({"subject", "comments", "keywords", "organization", "thread-topic", "content-description"})
ADDRESSES = frozenset(
    {"from", "to", "cc", "bcc", "reply-to", "sender", "resent-from", "resent-to", "resent-cc", "resent-sender"}
    | {"disposition-notification-to"}
)
PARAMETERS = frozenset({"content-type", "content-disposition"})

_WORD = re.compile(rb"=\?([^?\s=]{1,80})\?([bBqQ])\?([^?\r\n]*)\?=")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_BLANK_FREE = re.compile(rb"\S+")
_TOKENS = re.compile(  # possessive, an end may be missing: linear
    rb'"(?:[^"\\]++|\\.)*+"?|\((?:[^()\\]++|\\.)*+\)?|<[^>]*+>?'
    rb'|[^\s"(),:;<>\[\]]++(?:[ \t\r\n]++[^\s"(),:;<>\[\]]++)*+',
    re.DOTALL,
)
_PARAMETER = re.compile(rb'(\b(?:file)?name)(\*?)\s*+=\s*+("(?:[^"\\]++|\\.)*+"?|[^\s;"]++)', re.IGNORECASE | re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_WORD_OCTETS = 36  # of UTF-8 in a word: 48 of base64 and 12 around; a line stays under 76 (RFC 2047 §2)
_MAX_PIECES = 500


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch `start:end` of a field's raw value. `kind`: word, raw, quoted, comment, parameter or extended."""

    start: int
    end: int
    kind: str
    label: str
    octets: bytes
    has_split: bool = False


def pieces(name: str, value: bytes) -> list[Piece]:
    """Everything in the field `name` (lower case) that is not plain ASCII, in order; bounded."""
    if value.isascii() and b"=?" not in value and not (name in PARAMETERS and b"*" in value):
        return []
    found = list(_words(value))
    if not value.isascii() or (name in PARAMETERS and b"*" in value):
        found += _raw(name, value, found)
    return sorted(found, key=lambda piece: piece.start)[:_MAX_PIECES]


def replaced(value: bytes, changes: list[tuple[Piece, str]]) -> bytes:
    """The raw value with pieces replaced by their text, which is encoded as the place demands."""
    out: list[bytes] = []
    at = 0
    for piece, text in changes:
        out += (value[at : piece.start], _written(value, piece, text))
        at = piece.end
    out.append(value[at:])
    return b"".join(out)


def encoded_words(text: str) -> bytes:
    """`text` as encoded words in UTF-8, folded; characters are never cut."""
    words: list[bytes] = []
    chunk = bytearray()
    for letter in "".join(" " if unicodedata.category(each) == "Cc" else each for each in text):
        octets = letter.encode("utf-8", "replace")
        if len(chunk) + len(octets) > _WORD_OCTETS:
            words.append(bytes(chunk))
            chunk.clear()
        chunk += octets
    words.append(bytes(chunk))
    return b"\r\n ".join(b"=?utf-8?B?" + binascii.b2a_base64(word, newline=False) + b"?=" for word in words)


def has_control(octets: bytes) -> bool:
    """Whether an encoded word hides a control, such as the CR LF that would begin another header."""
    return any(octet < 0x20 and octet != 0x09 for octet in octets)


def _words(value: bytes) -> Iterator[Piece]:
    """Encoded words; neighbours in one charset are joined, since senders cut characters in two."""
    pending: Piece | None = None
    for count, match in enumerate(_WORD.finditer(value)):
        if count >= _MAX_PIECES:
            break
        label = match.group(1).partition(b"*")[0].decode("latin-1").lower()
        octets = _word_octets(match.group(2), match.group(3))
        if pending is not None and pending.label == label and not value[pending.end : match.start()].strip():
            has_split = pending.has_split or (label in ("utf-8", "utf8") and _is_cut(pending.octets))
            pending = Piece(pending.start, match.end(), "word", label, pending.octets + octets, has_split)
            continue
        if pending is not None:
            yield pending
        pending = Piece(match.start(), match.end(), "word", label, octets)
    if pending is not None:
        yield pending


def _is_cut(octets: bytes) -> bool:
    """Whether valid UTF-8 so far ends inside a character."""
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.end == len(octets) and "end of data" in error.reason
    return False


def _word_octets(encoding: bytes, body: bytes) -> bytes:
    if encoding in b"qQ":
        return binascii.a2b_qp(body, header=True)
    try:
        return base64_word(body)
    except binascii.Error:
        return b""


def _raw(name: str, value: bytes, words: list[Piece]) -> list[Piece]:
    if name in PARAMETERS:
        return list(_raw_parameters(value))
    if name in ADDRESSES:
        return list(_raw_addresses(value))
    out: list[Piece] = []
    at = 0
    for stop, after in [*((word.start, word.end) for word in words), (len(value), len(value))]:
        for match in _BLANK_FREE.finditer(value, at, stop):
            if not match.group().isascii():
                out.append(Piece(match.start(), match.end(), "raw", "", match.group()))
        at = after
    return _joined(value, out, words)


def _joined(value: bytes, runs: list[Piece], words: list[Piece]) -> list[Piece]:
    """One piece from the first to the last raw word, with the ASCII between, unless encoded words stand there."""
    if len(runs) < 2 or any(runs[0].end <= word.start < runs[-1].start for word in words):
        return runs
    start, end = runs[0].start, runs[-1].end
    return [Piece(start, end, "raw", "", _FOLD.sub(b"", value[start:end]))]


def _raw_addresses(value: bytes) -> Iterator[Piece]:
    for match in _TOKENS.finditer(value):
        token = match.group()
        if token.isascii() or token.startswith(b"<"):
            continue
        if token.startswith((b'"', b"(")):
            if len(token) > 2 and token.endswith((b'"', b")")) and value[match.end() : match.end() + 1] != b"@":
                kind = "quoted" if token.startswith(b'"') else "comment"
                octets = _QUOTED_PAIR.sub(rb"\1", _FOLD.sub(b"", token[1:-1]))
                yield Piece(match.start(), match.end(), kind, "", octets)
        elif b"@" not in token and b"=?" not in token:
            yield Piece(match.start(), match.end(), "raw", "", _FOLD.sub(b"", token))


def _raw_parameters(value: bytes) -> Iterator[Piece]:
    for match in _PARAMETER.finditer(value):
        given = match.group(3)
        content = _QUOTED_PAIR.sub(rb"\1", given[1:-1]) if given.startswith(b'"') else given
        if match.group(2):
            label, _, rest = content.partition(b"'")
            octets = unquote_to_bytes(rest.partition(b"'")[2])
            if not octets.isascii():
                yield Piece(match.start(), match.end(), "extended", label.decode("latin-1").lower(), octets)
        elif not content.isascii():
            yield Piece(match.start(), match.end(), "parameter", "", _FOLD.sub(b"", content))


def _written(value: bytes, piece: Piece, text: str) -> bytes:
    if piece.kind in ("parameter", "extended"):
        name = value[piece.start : piece.end].partition(b"=")[0].rstrip(b"* \t")
        return name + b"*=utf-8''" + quote(text, safe="").encode("ascii")
    if piece.kind == "comment":
        return b"(" + encoded_words(text) + b")"
    if piece.kind == "raw":  # a blank between two encoded words is not shown (RFC 2047 §6.2)
        before, after = value[: piece.start], value[piece.end :]
        text = (" " if before.rstrip() != before and before.rstrip().endswith(b"?=") else "") + text
        text += " " if after.lstrip() != after and after.lstrip().startswith(b"=?") else ""
    return encoded_words(text)
