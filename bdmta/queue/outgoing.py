"""A stored letter made fit to leave: no Return-Path, only CRLF, no line over 998 octets, 7-bit where it must be.

What already is fit is streamed from its file; only what must be re-encoded is held in memory. Runs off the loop.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bdmta.message.part import Part
from bdmta.message.scan import scan
from storage.letter import Letter

MAX_LINE_OCTETS = 998  # RFC 5321 §4.5.3.1.6, without CRLF
BLOCK_OCTETS = 65_536
_SMALL_OCTETS = 262_144
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_RETURN_PATH = re.compile(rb"Return-Path:[^\r\n]*\r\n", re.IGNORECASE)
_QP_TOO_DEAR = 3


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The octets to send, in order: `head` in memory, then `letter` from `start` on."""

    head: bytes
    letter: Letter
    start: int
    has_8bit: bool
    has_8bit_header: bool = False
    """Only then a letter that came with SMTPUTF8 needs it (RFC 6531 §3.4)."""

    @property
    def size_octets(self) -> int:
        """What SIZE announces (RFC 1870), dots not doubled."""
        return len(self.head) + self.letter.size_octets - self.start

    def octets(self) -> Iterator[bytes]:
        """The octets in blocks; reads the file."""
        if self.head:
            yield self.head
        left = self.start
        for block in self.letter.blocks(BLOCK_OCTETS):
            if left >= len(block):
                left -= len(block)
                continue
            yield block[left:] if left else block
            left = 0

    def data(self) -> Iterator[bytes]:
        """The octets as DATA has them: dots doubled, ended by CRLF and the dot (RFC 5321 §4.5.2).

        In few blocks, for each is a packet and a wakeup of the other side: a small letter is one, signature and dot
        included.
        """
        rest = b""
        for block in self.octets():
            if len(rest) >= BLOCK_OCTETS and (end := rest.rfind(b"\n") + 1):
                yield _stuffed(rest[:end])
                rest = rest[end:]
            rest += block
        yield _stuffed(rest) + (b".\r\n" if rest.endswith(b"\n") or not rest else b"\r\n.\r\n")

    def with_head(self, *fields: bytes) -> Outgoing:
        """The same with `fields` on top: a signature, Delivered-To."""
        return replace(self, head=b"".join((*fields, self.head)))


def _stuffed(lines: bytes) -> bytes:
    """Whole lines with their leading dots doubled."""
    doubled = lines.replace(b"\n.", b"\n..")
    return b"." + doubled if doubled.startswith(b".") else doubled


def prepare(letter: Letter, *, seven_bit: bool) -> Outgoing:
    """The letter, fit to be sent; `seven_bit`: to a host that does not offer 8BITMIME. Blocks. Raises OSError."""
    if letter.size_octets <= _SMALL_OCTETS:
        octets = b"".join(letter.blocks())
        shape = _shape([octets])
        whole = Letter.from_octets([octets])
    else:
        shape = _shape(letter.blocks(BLOCK_OCTETS))
        whole = letter
    beginning = next(whole.blocks(BLOCK_OCTETS), b"")
    start = _return_path_octets(beginning)
    header_8bit = not beginning[start:].partition(b"\r\n\r\n")[0].isascii()
    if not (shape.has_bare or shape.has_long or (seven_bit and shape.has_8bit)):
        return Outgoing(b"", whole, start, shape.has_8bit, header_8bit)
    octets = b"".join(whole.blocks())[start:]
    if shape.has_bare:
        octets = _BARE.sub(b"\r\n", octets)
    if shape.has_long or (seven_bit and shape.has_8bit):
        octets = reencoded(octets, seven_bit=seven_bit)
    return Outgoing(b"", Letter.from_octets([octets]), 0, not octets.isascii(), header_8bit)


def _return_path_octets(beginning: bytes) -> int:
    """The length of the Return-Path on top, which is for final delivery only (RFC 5321 §4.4); else 0."""
    found = _RETURN_PATH.match(beginning)
    return found.end() if found is not None else 0


@dataclass(slots=True)
class _Shape:
    has_8bit: bool = False
    has_bare: bool = False
    has_long: bool = False


def _shape(blocks: Iterator[bytes] | Sequence[bytes]) -> _Shape:
    """What of the letter may not leave as it is; one pass."""
    shape = _Shape()
    last, line_octets = b"", 0
    for block in blocks:
        shape.has_8bit = shape.has_8bit or not block.isascii()
        joined = last + block  # a CR at the end of one block belongs to the LF of the next
        last = b"\r" if joined.endswith(b"\r") else b""
        seen = joined[: len(joined) - len(last)]
        pairs = seen.count(b"\r\n")
        if seen.count(b"\n") != pairs or seen.count(b"\r") != pairs:
            shape.has_bare = True
        lines = seen.split(b"\n")
        if line_octets + len(lines[0]) > MAX_LINE_OCTETS + 1 or max(map(len, lines)) > MAX_LINE_OCTETS + 1:
            shape.has_long = True
        line_octets = len(lines[-1]) + (line_octets if len(lines) == 1 else 0)
    shape.has_bare = shape.has_bare or bool(last)
    return shape


def reencoded(octets: bytes, *, seven_bit: bool) -> bytes:
    """The letter with every part that does not fit in quoted-printable or base64, the parts around it called 7bit.

    What a signature of its sender covers (multipart/signed, and what is in it) is left alone, whatever comes of it.
    """
    message = scan(octets)
    pieces: list[bytes] = []
    at = 0
    for part in _to_change(message.root, octets, seven_bit):
        if part.start < at:
            continue
        pieces.append(octets[at : part.start])
        headers, body = _encoded(part, octets)
        pieces += [headers, body]
        at = part.end if body else part.body_start
    return b"".join((*pieces, octets[at:]))


def _to_change(root: Part, octets: bytes, seven_bit: bool) -> list[Part]:
    """The parts to write anew, in order. Attached letters as a whole are containers; their parts are changed."""
    found: list[Part] = []
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if part.media_type == "multipart/signed" or part.octets is not octets:
            continue
        body = octets[part.body_start : part.end]
        is_unfit = (seven_bit and not body.isascii()) or _has_long(body)
        if part.children:
            if part.transfer_encoding in ("8bit", "binary") and seven_bit:
                found.append(part)
            if is_unfit:
                waiting.extend(reversed(part.children))
        elif is_unfit:
            found.append(part)
    return found


def _has_long(body: bytes) -> bool:
    return max(map(len, body.split(b"\n"))) > MAX_LINE_OCTETS + 1


def _encoded(part: Part, octets: bytes) -> tuple[bytes, bytes]:
    """A part's new header block and body; of a container the block alone, and b""."""
    body = octets[part.body_start : part.end]
    if part.children:
        name, encoded = "7bit", b""
    elif part.transfer_encoding in ("", "7bit", "8bit", "binary"):
        name, encoded = _shorter(body, is_text=part.media_type.startswith("text/"))
    elif part.transfer_encoding == "base64":
        name, encoded = "base64", _base64(part.decoded(len(body)))  # one endless line of it
    else:
        name, encoded = "base64", _base64(part.decoded(len(body) * 2))
    kept: list[bytes] = []
    at = part.start
    for header in part.headers:
        if header.name == "content-transfer-encoding":
            kept.append(octets[at : header.start])
            at = header.end
    kept.append(octets[at : part.header_end])
    field = b"Content-Transfer-Encoding: " + name.encode("ascii") + b"\r\n"
    if part.depth == 0 and part.first("mime-version") is None:  # RFC 2045 §4: without it the encoding means nothing
        field = b"MIME-Version: 1.0\r\n" + field
        if not part.types:
            field += b"Content-Type: text/plain; charset=" + _charset(body) + b"\r\n"
    blank = octets[part.header_end : part.body_start] or b"\r\n"
    return b"".join((*kept, field, blank)), encoded


def _charset(body: bytes) -> bytes:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return b"unknown-8bit"  # RFC 1428 §3
    return b"utf-8"


def _shorter(body: bytes, *, is_text: bool) -> tuple[str, bytes]:
    if not is_text:
        return "base64", _base64(body)
    printable = binascii.b2a_qp(body, istext=True)
    if len(printable) * _QP_TOO_DEAR > len(body) * 5:  # Vietnamese in UTF-8 triples; base64 adds a third
        return "base64", _base64(body)
    return "quoted-printable", printable


def _base64(octets: bytes) -> bytes:
    lines = (octets[at : at + 57] for at in range(0, len(octets), 57))
    return b"".join(binascii.b2a_base64(line, newline=False) + b"\r\n" for line in lines)
