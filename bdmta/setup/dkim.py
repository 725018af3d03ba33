"""The key of our signature on what leaves."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_KEY_BITS = 2048  # RFC 8301 §3.2


def make_key() -> bytes:
    """A new RSA-2048 private key, PEM (RFC 8301 §3.2)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def record(key_pem: bytes) -> str:
    """What to publish as TXT at `<selector>._domainkey.<domain>` (RFC 6376 §3.6.1). ValueError: not a private key."""
    public = serialization.load_pem_private_key(key_pem, None).public_key()
    octets = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(octets).decode()}"
