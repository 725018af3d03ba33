"""Tag lists of DKIM signatures, DKIM keys and DMARC records (RFC 6376 §3.2): `a=b; c=d`."""

from __future__ import annotations

import base64
import binascii
import re

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_VALUE = re.compile(r"[\x20-\x7e]*\Z")
_BLANKS = re.compile(r"[ \t\r\n]+")
_MAX_TAGS = 64


class TagError(ValueError):
    """The list cannot be read, or says something twice."""


def parse_tags(octets: bytes) -> dict[str, str]:
    """The tags by name, in order; values without the blanks around them, folds as one blank. TagError: unreadable.

    A tag that stands twice makes the whole list invalid (RFC 6376 §3.2), so that two readers cannot differ over it.
    """
    try:
        text = octets.decode("ascii")
    except UnicodeDecodeError:
        raise TagError("not ASCII") from None
    tags: dict[str, str] = {}
    specs = text.split(";")
    if not specs[-1].strip(" \t\r\n"):
        specs.pop()
    if len(specs) > _MAX_TAGS:
        raise TagError("too many tags")
    for spec in specs:
        name, equals, value = spec.partition("=")
        name = name.strip(" \t\r\n")
        if not equals or _NAME.match(name) is None:
            raise TagError("not a list of tags")
        if name in tags:
            raise TagError(f"{name}= stands twice")
        value = _BLANKS.sub(" ", value).strip(" ")
        if _VALUE.match(value) is None:
            raise TagError(f"{name}= holds what it may not")
        tags[name] = value
    return tags


def unspaced(value: str) -> str:
    """The value without any blank."""
    return value.replace(" ", "")


def octets_of(value: str) -> bytes:
    """The octets of a base64 value, blanks between them allowed, nothing else; TagError."""
    try:
        return base64.b64decode(unspaced(value), validate=True)
    except (binascii.Error, ValueError):
        raise TagError("not base64") from None


def words_of(value: str) -> tuple[str, ...]:
    """The words of a list parted by colons, in lower case."""
    return tuple(word.strip(" ").lower() for word in value.split(":"))
