"""Public keys as they are published (RFC 6376 §3.6.1, RFC 8301, RFC 8463)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from bdmta.mailauth.tags import TagError, octets_of, parse_tags, unspaced, words_of

_MIN_BITS = 1024  # RFC 8301 §3.2
_MAX_BITS = 4096  # §3.2 asks for no more, and the time of a check grows with the square
_MAX_EXPONENT_BITS = 33  # 65537 in practice; a long one makes each check as slow as signing
_MAX_RECORD_OCTETS = 4096


class KeyUnusable(ValueError):
    """The record is no key for this signature; the text says why."""


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """One key record."""

    key: RSAPublicKey | Ed25519PublicKey
    hashes: tuple[str, ...]
    services: tuple[str, ...]
    flags: tuple[str, ...]

    @property
    def algorithm(self) -> str:
        """The only `a=` that this key serves."""
        return "rsa-sha256" if isinstance(self.key, RSAPublicKey) else "ed25519-sha256"

    def verifies(self, signature: bytes, octets: bytes) -> bool:
        """The signature over `octets` is this key's."""
        try:
            if isinstance(self.key, RSAPublicKey):
                self.key.verify(signature, octets, padding.PKCS1v15(), hashes.SHA256())
            else:
                self.key.verify(signature, hashlib.sha256(octets).digest())  # RFC 8463 §3
        except InvalidSignature:
            return False
        return True


@lru_cache(maxsize=1024)
def read_key(record: bytes) -> PublishedKey:
    """The key in a TXT record; KeyUnusable says what is wrong with it."""
    if len(record) > _MAX_RECORD_OCTETS:
        raise KeyUnusable("key record too long")
    try:
        tags = parse_tags(record)
        if "v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v"):
            raise KeyUnusable("key record is no DKIM1")
        if "p" not in tags:
            raise KeyUnusable("key record without p=")
        octets = octets_of(tags["p"])
    except TagError as error:
        raise KeyUnusable(f"key record: {error}") from None
    if not octets:
        raise KeyUnusable("key revoked")
    kind = tags.get("k", "rsa").lower()
    if kind not in ("rsa", "ed25519"):
        raise KeyUnusable("unknown kind of key")
    key = _rsa(octets) if kind == "rsa" else _ed25519(octets)
    hashed = words_of(tags["h"]) if "h" in tags else ()
    return PublishedKey(key, hashed, words_of(tags.get("s", "*")), words_of(unspaced(tags.get("t", ""))))


def _rsa(octets: bytes) -> RSAPublicKey:
    try:
        key = load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusable("key cannot be read") from None
    if not isinstance(key, RSAPublicKey):
        raise KeyUnusable("key is not RSA")
    if key.key_size < _MIN_BITS:
        raise KeyUnusable("key too short")
    if key.key_size > _MAX_BITS or key.public_numbers().e.bit_length() > _MAX_EXPONENT_BITS:
        raise KeyUnusable("key too long")
    return key


def _ed25519(octets: bytes) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(octets)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusable("key cannot be read") from None
