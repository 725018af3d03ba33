"""Modified UTF-7, the names of folders on disk and in IMAP4rev1 (RFC 3501 §5.1.3)."""

from __future__ import annotations

import base64
import binascii
import re

from storage.errors import Invalid

_SHIFTED = re.compile(r"[^\x20-\x7e]+")
_ENCODED = re.compile(r"&([A-Za-z0-9+,]*)-")


def mutf7_encode(text: str) -> str:
    """Encode `text`; printable ASCII stays as it is, `&` becomes `&-`. Raises Invalid on lone surrogates."""
    try:
        return _SHIFTED.sub(_shift, text.replace("&", "&-"))
    except UnicodeEncodeError as error:
        raise Invalid(f"{text!r} is not Unicode text") from error


def _shift(found: re.Match[str]) -> str:
    octets = found.group().encode("utf-16-be")
    return "&" + base64.b64encode(octets).rstrip(b"=").replace(b"/", b",").decode("ascii") + "-"


def mutf7_decode(text: str) -> str:
    """Decode modified UTF-7; only the one right spelling of a name is taken. Raises Invalid."""
    parts: list[str] = []
    at = 0
    for found in _ENCODED.finditer(text):
        parts.append(text[at : found.start()])
        parts.append(_unshift(found.group(1)) if found.group(1) else "&")
        at = found.end()
    parts.append(text[at:])
    decoded = "".join(parts)
    if mutf7_encode(decoded) != text:
        raise Invalid(f"{text!r} is not modified UTF-7")
    return decoded


def _unshift(encoded: str) -> str:
    try:
        octets = base64.b64decode(encoded.replace(",", "/") + "=" * (-len(encoded) % 4), validate=True)
        return octets.decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Invalid(f"&{encoded}- is not modified UTF-7") from error
