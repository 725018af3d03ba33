"""Files encrypted by a passphrase: AES-256-GCM, the key by scrypt. For keys that are kept beside the mail."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from storage.errors import Corrupt

_MAGIC = b"bdmta sealed 1\n"
_SALT_OCTETS = 16
_NONCE_OCTETS = 12


def seal(octets: bytes, passphrase: bytes) -> bytes:
    """`octets` encrypted; `unseal` gives them back to whoever has the passphrase."""
    salt, nonce = os.urandom(_SALT_OCTETS), os.urandom(_NONCE_OCTETS)
    return _MAGIC + salt + nonce + AESGCM(_key(passphrase, salt)).encrypt(nonce, octets, _MAGIC)


def unseal(octets: bytes, passphrase: bytes) -> bytes:
    """What was sealed. Raises Corrupt: another passphrase, or other octets."""
    salt, nonce, rest = (
        octets[len(_MAGIC) :][:_SALT_OCTETS],
        octets[len(_MAGIC) + _SALT_OCTETS :][:_NONCE_OCTETS],
        octets[len(_MAGIC) + _SALT_OCTETS + _NONCE_OCTETS :],
    )
    if not octets.startswith(_MAGIC):
        raise Corrupt("this is no sealed file")
    try:
        return AESGCM(_key(passphrase, salt)).decrypt(nonce, rest, _MAGIC)
    except (InvalidTag, ValueError):
        raise Corrupt("the passphrase is another one, or the file is damaged") from None


def _key(passphrase: bytes, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=1 << 15, r=8, p=1).derive(passphrase)
