"""IMAP strings from a letter's own octets (RFC 3501 §4.3): quoted where that is allowed, else a literal."""

from __future__ import annotations

import re

_PLAIN = re.compile(rb"[ !#-\[\]-~]*")
_UNFOLD = re.compile(rb"[\r\n]+")
_QUOTED_OCTETS = 8000  # longer ones as literals: some clients read lines into small buffers


def string(octets: bytes) -> bytes:
    """Return a string; NUL cannot be sent and is left out."""
    if _PLAIN.fullmatch(octets) is not None and len(octets) <= _QUOTED_OCTETS:
        return b'"%b"' % octets
    octets = octets.replace(b"\0", b"")
    if octets.isascii() and len(octets) <= _QUOTED_OCTETS and b"\r" not in octets and b"\n" not in octets:
        return b'"%b"' % octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b"{%d}\r\n%b" % (len(octets), octets)


def nstring(octets: bytes | None) -> bytes:
    """Return a string, or NIL for None."""
    return b"NIL" if octets is None else string(octets)


def unfolded(value: bytes) -> bytes:
    """Return a field's value on one line (RFC 5322 §2.2.3): the line breaks go, the blanks stay."""
    if b"\n" not in value and b"\r" not in value:
        return value
    return _UNFOLD.sub(b"", value)
