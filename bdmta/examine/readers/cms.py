"""S/MIME wrappings (RFC 5652): what a `signed-data` letter holds is looked at; `enveloped-data` cannot be."""

from __future__ import annotations

from collections.abc import Iterator

from bdmta.examine.errors import Unreadable
from bdmta.examine.readers.opening import Member, Opening

_SIGNED, _ENVELOPED, _ENCRYPTED, _AUTH_ENVELOPED, _COMPRESSED = (
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06", b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09",
)  # fmt: skip
_MAX_STEPS = 200_000


class _Reader:
    """BER, definite and indefinite; every step is counted."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.steps = 0

    def head(self, at: int) -> tuple[int, int, int]:
        """Tag, where the content begins, where it ends (-1: at the end-of-contents mark)."""
        self.steps += 1
        if self.steps > _MAX_STEPS or at + 2 > len(self.data):
            raise Unreadable("BER")
        tag, size, at = self.data[at], self.data[at + 1], at + 2
        if size == 0x80:
            return tag, at, -1
        if size > 0x80:
            count = size & 0x7F
            if count > 8:
                raise Unreadable("BER length")
            size = int.from_bytes(self.data[at : at + count], "big")
            at += count
        return tag, at, at + size

    def skip(self, at: int) -> int:
        """Where the value at `at` ends."""
        _, start, end = self.head(at)
        if end >= 0:
            return end
        depth, at = 1, start
        while depth:
            if self.data[at : at + 2] == b"\0\0":
                depth, at = depth - 1, at + 2
                continue
            _, start, end = self.head(at)
            depth, at = (depth + 1, start) if end < 0 else (depth, end)
        return at

    def octet_string(self, at: int, depth: int = 0) -> bytes:
        """The octets of a primitive or constructed OCTET STRING."""
        tag, start, end = self.head(at)
        if tag == 0x04:
            return self.data[start:end]
        if tag != 0x24 or depth > 8:
            raise Unreadable("OCTET STRING")
        pieces = []
        at = start
        while (end < 0 and self.data[at : at + 2] != b"\0\0") or at < end:
            pieces.append(self.octet_string(at, depth + 1))
            at = self.skip(at)
        return b"".join(pieces)


def read_cms(opening: Opening) -> Iterator[Member]:
    """The letter or file within a signature; for what is encrypted the problem `encrypted-letter`."""
    reader = _Reader(opening.data)
    _, at, _ = reader.head(0)
    _, start, end = reader.head(at)
    kind = opening.data[start:end]
    if kind in (_ENVELOPED, _ENCRYPTED, _AUTH_ENVELOPED):
        opening.problems.add("encrypted-letter")
    elif kind == _COMPRESSED:
        opening.problems.add("unreadable")
    elif kind == _SIGNED:
        content = _signed_content(opening, reader, end)
        if content:
            opening.purse.grow(len(content))
            yield Member((), content, declared="message/rfc822", role="letter")


def _signed_content(opening: Opening, reader: _Reader, at: int) -> bytes:
    """What is signed, b"" when the signature is detached. A detached part that is damaged hides nothing."""
    try:
        _, at, _ = reader.head(at)  # [0] content
        _, at, _ = reader.head(at)  # SignedData
        at = reader.skip(reader.skip(at))  # version, digest algorithms
        _, at, end = reader.head(at)  # encapsulated content
        at = reader.skip(at)  # its type
        if (end < 0 and opening.data[at : at + 2] == b"\0\0") or 0 <= end <= at:
            return b""
        _, at, _ = reader.head(at)
        return reader.octet_string(at)
    except Unreadable:
        if opening.declared.endswith("pkcs7-signature"):
            return b""
        raise
