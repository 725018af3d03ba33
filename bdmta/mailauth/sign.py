"""Sign what leaves (RFC 6376 §5): relaxed/relaxed, From and its companions sealed against being added to.

`Signer.sign` gives the header fields to put on top of the letter. The letter itself is read once, block by block.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any, TypeAlias

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from bdmta.clock import Clock
from bdmta.errors import BdmtaError
from bdmta.mailauth.canonical import RawField, hash_body, signed_octets
from bdmta.mailauth.keyring import KeyEntry, Keyring, PrivateKey
from bdmta.message.addresses import mailboxes
from bdmta.message.headers import read_headers
from bdmta.message.limits import Limits

Octets: TypeAlias = bytes | bytearray | memoryview

_SEALED = (
    "from", "to", "cc", "subject", "date", "message-id", "reply-to", "in-reply-to", "references", "mime-version",
    "content-type", "content-transfer-encoding",
)  # fmt: skip
"""Signed where they stand, and once more, so that none can be added (RFC 6376 §8.15)."""
_SIGNED = ("sender", "list-id", "list-unsubscribe", "list-unsubscribe-post", "auto-submitted")
"""Signed where they stand; a mailing list may put its own where there is none."""

_INLINE_OCTETS = 262_144
_LIMITS = Limits()


class SignError(BdmtaError):
    """The letter cannot be signed as it is (bare line breaks, a header block without bounds)."""


class Signer:
    """Signs letters whose From is in a domain of ours. Keys are read once and again after `reload`."""

    def __init__(
        self, folder: str, selector: str, domains: Callable[[], Iterable[str]], clock: Clock,
        executor: Executor | None = None, log: Any = None,
    ) -> None:  # fmt: skip
        """`folder`, `selector`: those of `[dkim]`; `domains`: the local domains, asked for with every letter."""
        self._folder = folder
        self._selector = selector
        self._domains = domains
        self._clock = clock
        self._executor = executor
        self._log = log
        self._stamp: tuple[int, ...] = ()
        self._looked_at = float("-inf")
        self._ring = Keyring(folder, selector)
        self._keys: dict[str, PrivateKey] = {}
        self.reload()

    def reload(self) -> None:
        """Read the keys anew; KeyringError when one of them is not usable, and the old ones stay."""
        stamp = self._stamp_now()
        ring = Keyring(self._folder, self._selector)
        keys = {e.selector: ring.private_key(e.selector) for e in ring.entries if e.state == "active"}
        self._ring, self._keys, self._stamp = ring, keys, stamp
        self._looked_at = self._clock.monotonic()

    def _stamp_now(self) -> tuple[int, ...]:
        """What changes when `bdmta dkim rotate` has written: no signal is needed."""
        stamps: list[int] = []
        for name in ("keys.json", f"{self._selector}.pem"):
            try:
                found = os.stat(os.path.join(self._folder, name))
                stamps += [found.st_mtime_ns, found.st_ino, found.st_size]
            except OSError:
                stamps.append(0)
        return tuple(stamps)

    def _look(self) -> None:
        now = self._clock.monotonic()
        if now - self._looked_at >= 5.0:
            self._looked_at = now
            stamp = self._stamp_now()
            if stamp != self._stamp:
                try:
                    self.reload()
                except BdmtaError as error:
                    self._stamp = stamp
                    if self._log is not None:
                        self._log.error("keys not read anew, the old ones sign on", reason=str(error))

    async def sign(self, letter: Octets | Sequence[Octets]) -> bytes:
        """The DKIM-Signature fields to put on top of the letter, each with its CRLF; b"" when it is not ours to sign.

        `letter`: its octets in one piece (an mmap as a memoryview) or in several, with CRLF line breaks. Raises
        SignError. Large letters are hashed in the executor.
        """
        pieces = [letter] if isinstance(letter, bytes | bytearray | memoryview) else list(letter)
        if sum(len(piece) for piece in pieces) <= _INLINE_OCTETS:
            return self.sign_now(pieces)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self.sign_now, pieces, self.domains())

    def domains(self) -> frozenset[str]:
        """The local domains; asked for on the loop, whose thread the directory belongs to."""
        return frozenset(self._domains())

    def sign_now(self, pieces: Iterable[Octets], domains: frozenset[str] | None = None) -> bytes:
        """As `sign`, here and now, of blocks that may be read as they are asked for: 0.3 ms, and 5 ms for each MiB.

        In another thread than the loop's: give `domains`.
        """
        self._look()
        fields, body = _take_apart(iter(pieces))
        domain = _author_domain(fields) if self._keys else None
        if domain is None or not domain.isascii() or domain not in (self.domains() if domains is None else domains):
            return b""
        entries = self._ring.signing(domain)
        if not entries:
            return b""
        hashed = hash_body(body, relaxed=True)
        digest = base64.b64encode(hashed.digest()).decode()
        if hashed.has_bare_breaks:
            raise SignError("the body has line breaks that are not CRLF")
        return b"".join(self._field(entry, domain, fields, digest) for entry in entries)

    def _field(self, entry: KeyEntry, domain: str, fields: Sequence[RawField], body_hash: str) -> bytes:
        algorithm = entry.algorithm
        names = _names(fields)
        head = (
            f"DKIM-Signature: v=1; a={algorithm}; c=relaxed/relaxed; d={domain};\r\n"
            f"\ts={entry.selector}; t={int(self._clock.time())};\r\n"
            f"\th={_folded(names)};\r\n\tbh={body_hash};\r\n\tb="
        ).encode("ascii")
        octets = signed_octets(fields, names, head + b"\r\n", relaxed=True)
        key = self._keys[entry.selector]
        if isinstance(key, RSAPrivateKey):
            value = key.sign(octets, padding.PKCS1v15(), hashes.SHA256())
        else:
            value = key.sign(hashlib.sha256(octets).digest())  # RFC 8463 §3
        text = base64.b64encode(value)
        return head + b"\r\n\t ".join(text[at : at + 72] for at in range(0, len(text), 72)) + b"\r\n"


def _names(fields: Sequence[RawField]) -> list[str]:
    present = [name for name, _ in fields]
    names: list[str] = []
    for name in _SEALED:
        names += [name] * (present.count(name) + 1)
    for name in _SIGNED:
        names += [name] * present.count(name)
    return names


def _folded(names: Sequence[str]) -> str:
    """The list over lines of at most about 76 characters; blanks after a colon are nobody's concern (§3.5)."""
    lines, line = [], ""
    for name in names:
        if line and len(line) + len(name) > 70:
            lines.append(line)
            line = ""
        line += f"{name}:"
    lines.append(line)
    return "\r\n\t ".join(lines).rstrip(":")


def _take_apart(pieces: Iterator[Octets]) -> tuple[list[RawField], Iterator[Octets]]:
    """The header fields, and the pieces of the body."""
    head, rest = b"", memoryview(b"")
    for piece in pieces:
        taken = max(0, _LIMITS.header_block_octets + 4 - len(head))
        head += bytes(memoryview(piece)[:taken])
        rest = memoryview(piece)[taken:]
        if b"\r\n\r\n" in head:
            break
        if len(head) > _LIMITS.header_block_octets:
            raise SignError("the header block is too long to be signed")
    block = read_headers(head, 0, len(head), _LIMITS)
    if not {"bare-lf", "bare-cr", "nul", "headers", "header-block", "blank-fold"}.isdisjoint(block.defects):
        raise SignError(f"the header cannot be signed: {', '.join(block.defects)}")
    fields = [(h.name, head[h.start : h.end]) for h in block.fields]
    return fields, itertools.chain((head[block.body :], rest), pieces)


def _author_domain(fields: Sequence[RawField]) -> str | None:
    """The one domain in From, in lower case; None when there is none, or several."""
    authors = [raw.partition(b":")[2].strip(b" \t\r\n") for name, raw in fields if name == "from"]
    domains = {box.domain.casefold() for value in authors for box in mailboxes(value)}
    return domains.pop() if len(authors) == 1 and len(domains) == 1 else None
