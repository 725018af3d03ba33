"""The sender of forwarded letters, rewritten so that SPF holds for the next system, and back again for bounces.

The Sender Rewriting Scheme: `SRS0=hash=day=domain=local@ours`, and `SRS1=hash=domain=rest@ours` for what another
forwarder has rewritten before. Hashes do not distinguish case, since addresses here do not.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Callable

from bdmta.address import MAX_LOCAL_OCTETS
from bdmta.clock import Clock
from storage.files import write_durable

VALID_DAYS = 21
_DAY_S = 86_400
_DAYS_COUNT = 1024
_HASH_CHARACTERS = 8
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_SRS0 = re.compile(r"srs0[=+-]([a-z2-7]{8})=([a-z2-7]{2})=([^=]+)=(.+)", re.IGNORECASE)
_SRS1 = re.compile(r"srs1[=+-]([a-z2-7]{8})=([^=]+)=(.+)", re.IGNORECASE)
_ANY_SRS = re.compile(r"srs[01][=+-]", re.IGNORECASE)
_OTHERS_SRS0 = re.compile(r"srs0[=+-].+=.+", re.IGNORECASE)
_OTHERS_SRS1 = re.compile(r"srs1[=+-][^=]+=([^=]+)=(.+)", re.IGNORECASE)


def make_srs_key(path: str) -> None:
    """Make the site's key where there is none yet: by one process, the courier. Raises StoreError."""
    if not os.path.exists(path):
        write_durable(path, os.urandom(32))


class SenderRewriting:
    """Rewrites and undoes; the key is read when it is first needed."""

    def __init__(self, key_path: str, is_local: Callable[[str], bool], clock: Clock) -> None:
        self._key_path = key_path
        self._key = b""
        self._is_local = is_local
        self._clock = clock

    def sender(self, sender: str, via: str) -> str:
        """MAIL FROM for a letter of `sender` that `via` sends on; as it is for the null sender, for our own people, and
        where the result would be no address (a local part over 64 octets).
        """
        local, at, domain = sender.rpartition("@")
        ours = via.rpartition("@")[2]
        if not at or not ours or self._is_local(domain.lower()) or local.startswith('"'):
            return sender
        if _OTHERS_SRS0.fullmatch(local):
            rest = f"{domain}={local[4:]}"
            made = f"SRS1={self._hash(rest)}={rest}"
        elif found := _OTHERS_SRS1.fullmatch(local):
            rest = f"{found[1]}={found[2]}"
            made = f"SRS1={self._hash(rest)}={rest}"
        else:
            rest = f"{self._day()}={domain}={local}"
            made = f"SRS0={self._hash(rest)}={rest}"
        return f"{made}@{ours}" if len(made.encode()) <= MAX_LOCAL_OCTETS else sender

    def original(self, local: str) -> str | None:
        """Whom a bounce to `local`@ours is for; None when we never wrote it, or too long ago."""
        if found := _SRS0.fullmatch(local):
            given, day, domain, name = found.groups()
            if not self._is_ours(given, f"{day}={domain}={name}") or not self._is_recent(day):
                return None
            return f"{name}@{domain}"
        if found := _SRS1.fullmatch(local):
            given, domain, rest = found.groups()
            return f"SRS0{rest}@{domain}" if self._is_ours(given, f"{domain}={rest}") else None
        return None

    @staticmethod
    def is_rewritten(local: str) -> bool:
        """It looks like the work of a forwarder."""
        return _ANY_SRS.match(local) is not None

    def _hash(self, text: str) -> str:
        if not self._key:
            with open(self._key_path, "rb") as file:
                self._key = file.read(64)
        digest = hmac.new(self._key, text.lower().encode(), hashlib.sha256).digest()
        return base64.b32encode(digest)[:_HASH_CHARACTERS].decode().lower()

    def _is_ours(self, given: str, text: str) -> bool:
        try:
            self._hash("")
        except OSError:
            return False  # no key, and so nothing that we wrote
        return hmac.compare_digest(given.lower(), self._hash(text))

    def _day(self) -> str:
        day = int(self._clock.time() // _DAY_S) % _DAYS_COUNT
        return _ALPHABET[day // 32] + _ALPHABET[day % 32]

    def _is_recent(self, text: str) -> bool:
        day = _ALPHABET.index(text[0].lower()) * 32 + _ALPHABET.index(text[1].lower())
        return (int(self._clock.time() // _DAY_S) - day) % _DAYS_COUNT <= VALID_DAYS
