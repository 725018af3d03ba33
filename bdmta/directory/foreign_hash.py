"""Password hashes of other servers: Dovecot's and LDAP's prefixes, and the bare forms of crypt(3)."""

from __future__ import annotations

import re
import unicodedata
import warnings
from functools import cache
from typing import TYPE_CHECKING

from bdmta.errors import BdmtaError

if TYPE_CHECKING:
    from passlib.context import CryptContext

# Dovecot's name for it -> what stands behind the prefix. None: passlib wants the prefix itself.
_CRYPT_PREFIXES = ("CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "BLF-CRYPT", "MD5-CRYPT", "ARGON2ID", "ARGON2I")
_LDAP_PREFIXES = ("SSHA", "SSHA256", "SSHA512", "PBKDF2-SHA512", "PBKDF2-SHA256")
_PREFIX = re.compile(r"\{([A-Za-z0-9-]{1,20})(?:\.(?:b64|hex))?\}")
_BCRYPT_OCTETS = 72  # what bcrypt looks at; newer libraries raise beyond it

_ROUNDS = (
    (re.compile(r"\$[56]\$rounds=(\d{1,9})\$"), 5_000_000),
    (re.compile(r"\$2[abxy]\$(\d\d)\$"), 14),
    (re.compile(r"\$argon2\w{1,2}\$(?:v=\d+\$)?m=(\d{1,9}),"), 262_144),
    (re.compile(r"\$argon2\w{1,2}\$(?:v=\d+\$)?m=\d+,t=(\d{1,9}),"), 16),
    (re.compile(r"(?:\{PBKDF2-SHA\d+\}|\$pbkdf2-sha\d+\$)(\d{1,9})\$"), 1_000_000),
)


class HashRefused(BdmtaError):
    """A stored hash that is not taken over; the text says why."""


def accept_hash(text: str) -> str:
    """The form to keep of another server's hash, or HashRefused: unknown, plain text, or too dear to verify."""
    stored = _plain_form(text.strip())
    if not stored.isascii() or len(stored) > 512:
        raise HashRefused("the password hash is not one")
    for pattern, most in _ROUNDS:
        found = pattern.match(stored)
        if found and int(found[1]) > most:
            raise HashRefused(f"the password hash costs too much to verify ({found[1]} rounds or KiB, at most {most})")
    if _context().identify(stored) is None:
        raise HashRefused("the password hash is of no known kind (SHA512-CRYPT, BLF-CRYPT, ARGON2ID, SSHA, PBKDF2 …)")
    return stored


def _plain_form(text: str) -> str:
    prefix = _PREFIX.match(text)
    if prefix is None:
        return text
    name = prefix[1].upper()
    if name in ("PLAIN", "CLEARTEXT", "CLEAR"):
        raise HashRefused("a password in plain text is not taken over; leave the column empty and one is generated")
    rest = text[prefix.end() :]
    if "." in prefix[0]:
        raise HashRefused(f"the encoding {prefix[0]} is not supported")
    if name in _CRYPT_PREFIXES:
        return rest
    if name in _LDAP_PREFIXES:
        return f"{{{name}}}{rest}"
    raise HashRefused(f"the password scheme {{{name}}} is not supported")


def verify_foreign(stored: str, given: str) -> bool:
    """Whether `given` is the password of this hash; False also for what cannot be read. Never raises."""
    forms = dict.fromkeys((given, unicodedata.normalize("NFC", given)))
    return any(_verify(stored, form) for form in forms)


def _verify(stored: str, given: str) -> bool:
    secret = given.encode("utf-8", "surrogatepass")
    if stored.startswith("$2"):
        secret = secret[:_BCRYPT_OCTETS]
    try:
        return bool(_context().verify(secret, stored))
    except Exception:  # passlib raises ValueError, TypeError and its own on damaged hashes
        return False


@cache
def _context() -> CryptContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # passlib warns of its own age
        from passlib.context import CryptContext

        return CryptContext(
            schemes=[
                "argon2", "sha512_crypt", "sha256_crypt", "bcrypt", "ldap_salted_sha1", "ldap_salted_sha256",
                "ldap_salted_sha512", "ldap_pbkdf2_sha512", "ldap_pbkdf2_sha256",
                "pbkdf2_sha512", "pbkdf2_sha256", "md5_crypt",
            ]
        )  # fmt: skip
