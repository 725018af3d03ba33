"""Our private keys and which of them sign: files in `[dkim] dir`, and `keys.json` beside them once they rotate.

Without `keys.json` there is one key, `<selector>.pem`, for every domain. With it each key has a state:

    next      made and to be published; does not sign yet
    active    signs
    retired   signs no more; stays published until letters on their way have arrived
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from bdmta.clock import Clock
from bdmta.errors import BdmtaError
from storage.files import write_durable

State: TypeAlias = Literal["next", "active", "retired"]
PrivateKey: TypeAlias = RSAPrivateKey | Ed25519PrivateKey

_FILE = "keys.json"
_KEY_BITS = 2048  # RFC 8301 §3.2
OVERLAP_S = 7 * 86_400
"""How long a retired key stays published: longer than the five days a letter may wait in a queue."""


class KeyringError(BdmtaError):
    """The keys cannot be read, or this step of the rotation is not the next one."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One key: `<selector>.pem`. `domain` "" stands for every domain that has no key of its own of this algorithm."""

    selector: str
    algorithm: str = "rsa-sha256"
    domain: str = ""
    state: State = "active"
    created_at: float = 0.0
    changed_at: float = 0.0


class Keyring:
    """The keys of one site, as they lie on the disk now. Small files, read when it is opened."""

    def __init__(self, folder: str, selector: str) -> None:
        """`selector`: that of `[dkim]`, whose key is the only one until `keys.json` says otherwise."""
        self.folder = folder
        self.entries = self._read(selector)

    def _read(self, selector: str) -> tuple[KeyEntry, ...]:
        try:
            with open(os.path.join(self.folder, _FILE), "rb") as file:
                rows = json.load(file)
            return tuple(KeyEntry(**row) for row in rows)
        except FileNotFoundError:
            present = os.path.exists(self._path(selector))
            return (KeyEntry(selector, self._algorithm(selector)),) if present else ()
        except (ValueError, TypeError, OSError) as error:
            raise KeyringError(f"{os.path.join(self.folder, _FILE)}: {error}") from None

    def _path(self, selector: str) -> str:
        return os.path.join(self.folder, f"{selector}.pem")

    def _algorithm(self, selector: str) -> str:
        return "rsa-sha256" if isinstance(self.private_key(selector), RSAPrivateKey) else "ed25519-sha256"

    def private_key(self, selector: str) -> PrivateKey:
        """The key itself; KeyringError when its file is missing or no RSA or Ed25519 key without a password."""
        path = self._path(selector)
        try:
            with open(path, "rb") as file:
                key = serialization.load_pem_private_key(file.read(), None)
        except OSError as error:
            raise KeyringError(f"{path}: {error.strerror}") from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeyringError(f"{path}: not a private key, PEM without a password") from None
        if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
            raise KeyringError(f"{path}: neither RSA nor Ed25519")
        return key

    def signing(self, domain: str) -> tuple[KeyEntry, ...]:
        """The active keys for a domain: one an algorithm, its own before everybody's."""
        chosen: dict[str, KeyEntry] = {}
        for entry in self.entries:
            if entry.state == "active" and entry.domain in ("", domain):
                held = chosen.get(entry.algorithm)
                if held is None or not held.domain:
                    chosen[entry.algorithm] = entry
        return tuple(chosen.values())

    def published(self, domain: str) -> tuple[KeyEntry, ...]:
        """Every key whose record should stand in this domain's zone."""
        return tuple(entry for entry in self.entries if entry.domain in ("", domain))

    def add(self, selector: str, algorithm: str, clock: Clock, domain: str = "") -> KeyEntry:
        """Make a key in state `next`. KeyringError: the selector is taken."""
        if any(entry.selector == selector for entry in self.entries) or os.path.exists(self._path(selector)):
            raise KeyringError(f"the selector {selector} is taken")
        key: PrivateKey
        if algorithm == "ed25519-sha256":
            key = Ed25519PrivateKey.generate()
        else:
            key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_durable(self._path(selector), pem, 0o600)
        self._same_owner(self._path(selector))
        now = clock.time()
        entry = KeyEntry(selector, algorithm, domain, "next", now, now)
        self._write((*self.entries, entry))
        return entry

    def activate(self, entry: KeyEntry, clock: Clock) -> None:
        """Let a `next` key sign; the active ones it follows (same algorithm, same domain) retire."""
        now = clock.time()

        def moved(other: KeyEntry) -> KeyEntry:
            if other == entry:
                return replace(other, state="active", changed_at=now)
            same = (other.algorithm, other.domain, other.state) == (entry.algorithm, entry.domain, "active")
            return replace(other, state="retired", changed_at=now) if same else other

        self._write(tuple(moved(other) for other in self.entries))

    def expired(self, clock: Clock) -> tuple[KeyEntry, ...]:
        """Retired keys whose record may be taken out of the zone."""
        return tuple(e for e in self.entries if e.state == "retired" and clock.time() - e.changed_at >= OVERLAP_S)

    def forget(self, entries: Sequence[KeyEntry]) -> None:
        """Take these out of the list and delete their files."""
        self._write(tuple(entry for entry in self.entries if entry not in entries))
        for entry in entries:
            os.unlink(self._path(entry.selector))

    def _write(self, entries: tuple[KeyEntry, ...]) -> None:
        path = os.path.join(self.folder, _FILE)
        write_durable(path, (json.dumps([asdict(entry) for entry in entries], indent=1) + "\n").encode(), 0o600)
        self._same_owner(path)
        self.entries = entries

    def _same_owner(self, path: str) -> None:
        """Root's command, the server's account: what root writes here belongs to the folder's owner."""
        folder = os.stat(self.folder)
        if os.geteuid() == 0 and folder.st_uid != 0:
            os.chown(path, folder.st_uid, folder.st_gid)


def record_of(key: PrivateKey) -> str:
    """The TXT record for `<selector>._domainkey.<domain>` (RFC 6376 §3.6.1, RFC 8463 §4)."""
    import base64

    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        octets = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; p={base64.b64encode(octets).decode()}"
    octets = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return f"v=DKIM1; k=ed25519; p={base64.b64encode(octets).decode()}"
