"""The grammars of AUTH PLAIN (RFC 4616) and AUTH LOGIN; one implementation for SMTP, IMAP and POP3."""

from __future__ import annotations

import base64
import binascii

MAX_RESPONSE_OCTETS = 12288  # RFC 4954 §4
LOGIN_USER = b"Username:"
LOGIN_PASSWORD = b"Password:"


class SaslError(ValueError):
    """The response is not what the mechanism wants."""


def decode(response: bytes) -> bytes:
    """A base64 response's octets; SaslError. `=` is the empty one (RFC 4954 §4)."""
    if len(response) > MAX_RESPONSE_OCTETS:
        raise SaslError("response too long")
    if response == b"=":
        return b""
    try:
        return base64.b64decode(response, validate=True)
    except (binascii.Error, ValueError):
        raise SaslError("not base64") from None


def plain(response: bytes) -> tuple[str, str]:
    """User and password of AUTH PLAIN, already out of base64. Acting as another (authzid) is not offered."""
    pieces = response.split(b"\0")
    if len(pieces) != 3 or not pieces[1]:
        raise SaslError("not authzid NUL user NUL password")
    if pieces[0] and pieces[0] != pieces[1]:
        raise SaslError("acting as another is not offered")
    return text(pieces[1]), text(pieces[2])


def text(octets: bytes) -> str:
    """A user name or a password; UTF-8 (RFC 4616 §2)."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        raise SaslError("not UTF-8") from None
