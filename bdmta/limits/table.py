"""A file of equal slots mapped by all processes of a site, found by a keyed hash."""

from __future__ import annotations

import hashlib
import mmap
import os

_KEY_OCTETS = 16


class SlotFile:
    """`slots` slots of `slot_octets`, after a random key that makes the places unguessable to strangers."""

    def __init__(self, path: str, slots: int, slot_octets: int) -> None:
        size = _KEY_OCTETS + slots * slot_octets
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size < size:
                os.pwrite(fd, os.urandom(_KEY_OCTETS), 0)
                os.ftruncate(fd, size)
            self.map = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        self._key = self.map[:_KEY_OCTETS]
        self._slots = slots
        self.slot_octets = slot_octets

    def place(self, name: str) -> tuple[int, int]:
        """Where the slot of `name` starts, and a fingerprint to tell it from others in the same slot."""
        digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), key=self._key, digest_size=12).digest()
        slot = int.from_bytes(digest[:4], "little") % self._slots
        return _KEY_OCTETS + slot * self.slot_octets, int.from_bytes(digest[4:], "little")

    def all(self) -> range:
        """Where each slot starts."""
        return range(_KEY_OCTETS, _KEY_OCTETS + self._slots * self.slot_octets, self.slot_octets)
