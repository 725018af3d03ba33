"""What a signature is made over: header fields and the body in the forms of RFC 6376 §3.4."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

_RUNS = re.compile(rb" {2,}")
_BLOCK_OCTETS = 1 << 17
_EMPTY_LINES = b"\r\n" * 4096

Piece: TypeAlias = bytes | bytearray | memoryview
RawField: TypeAlias = tuple[str, bytes]
"""A header field: its name in lower case, and its octets with the line break."""


def relaxed_field(raw: bytes) -> bytes:
    """A header field in relaxed form, with its CRLF (§3.4.2)."""
    name, _, value = raw.partition(b":")
    value = value.replace(b"\r\n", b"").replace(b"\t", b" ")
    if b"  " in value:
        value = _RUNS.sub(b" ", value)
    return b"%b:%b\r\n" % (name.strip(b" \t").lower(), value.strip(b" "))


def covered_fields(fields: Sequence[RawField], names: Iterable[str]) -> Iterator[bytes]:
    """The fields that `h=` names, in its order; a name that stands again means the next field above (§5.4.2).

    A name for which no field is left yields nothing: this is what seals a field against being added (§5.4.2).
    """
    stacks: dict[str, list[bytes]] = {}
    wanted = tuple(names)
    known = set(wanted)
    for name, raw in fields:
        if name in known:
            stacks.setdefault(name, []).append(raw)
    for name in wanted:
        stack = stacks.get(name)
        if stack:
            yield stack.pop()


def without_signature(raw: bytes) -> bytes:
    """A DKIM-Signature field with the value of its `b=` left out, all else as it stands (§3.5)."""
    head, colon, value = raw.partition(b":")
    specs = value.removesuffix(b"\r\n").split(b";")
    for number, spec in enumerate(specs):
        name, equals, _ = spec.partition(b"=")
        if equals and name.strip(b" \t\r\n") == b"b":
            specs[number] = name + equals
            break
    return head + colon + b";".join(specs)


def signed_octets(fields: Sequence[RawField], names: Iterable[str], signature: bytes, *, relaxed: bool) -> bytes:
    """What the signature itself is made over: the fields covered, then the signature's own without `b=` (§3.7)."""
    own = without_signature(signature)
    covered = covered_fields(fields, names)
    if not relaxed:
        return b"".join((*covered, own))
    return b"".join((*(relaxed_field(raw) for raw in covered), relaxed_field(own + b"\r\n")[:-2]))


class BodyHash:
    """SHA-256 of a body in canonical form, block by block; a body of any size takes the memory of a few blocks."""

    def __init__(self, *, relaxed: bool) -> None:
        self._relaxed = relaxed
        self._hash = hashlib.sha256()
        self._rest = b""
        self._empty_lines = 0
        self.size_octets = 0
        """Octets of the canonical body so far; what `l=` counts."""
        self.has_bare_breaks = False
        """A CR or LF stands alone: two programs may read this body differently."""

    def update(self, block: Piece) -> None:
        """Take the next octets, cut anywhere."""
        octets = self._rest + block if self._rest else bytes(block)
        end = octets.rfind(b"\r\n") + 2
        if end == 1:
            self._rest = octets
            return
        self._rest = octets[end:]
        self._lines(octets[:end] if self._rest else octets)

    def digest(self) -> bytes:
        """The hash. Call it once, at the end."""
        if self._rest:
            self._lines(self._rest + b"\r\n")
            self._rest = b""
        if self.size_octets or not self._relaxed:
            self._take(b"\r\n")  # §3.4.3: an empty body is one CRLF; §3.4.4: it is nothing
        return self._hash.digest()

    def _lines(self, lines: bytes) -> None:
        pairs = lines.count(b"\r\n")
        if lines.count(b"\n") != pairs or lines.count(b"\r") != pairs:
            self.has_bare_breaks = True
        if self._relaxed:
            if b"\t" in lines:
                lines = lines.replace(b"\t", b" ")
            while b"  " in lines:  # halves every run: no pattern for a stranger to make slow
                lines = lines.replace(b"  ", b" ")
            lines = lines.replace(b" \r\n", b"\r\n")
        text = lines.rstrip(b"\r\n")
        ended = (len(lines) - len(text)) // 2
        if not text:
            self._empty_lines += ended
            return
        self._flush_empty_lines()
        self._take(text)
        self._empty_lines = ended

    def _flush_empty_lines(self) -> None:
        whole, rest = divmod(self._empty_lines, 4096)
        for _ in range(whole):
            self._take(_EMPTY_LINES)
        if rest:
            self._take(b"\r\n" * rest)

    def _take(self, octets: bytes) -> None:
        self._hash.update(octets)
        self.size_octets += len(octets)


def hash_body(pieces: Iterable[Piece], *, relaxed: bool) -> BodyHash:
    """The hash of a body that lies in these pieces, read a block at a time; call `digest()` on it."""
    body = BodyHash(relaxed=relaxed)
    for piece in pieces:
        if len(piece) <= _BLOCK_OCTETS:
            body.update(piece)
            continue
        view = memoryview(piece)
        for start in range(0, len(view), _BLOCK_OCTETS):
            body.update(view[start : start + _BLOCK_OCTETS])
    return body
