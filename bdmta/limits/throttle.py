"""Waits after wrong passwords, by account and by network, shared by SMTP, IMAP and POP3 of all edges."""

from __future__ import annotations

import struct

from bdmta.clock import Clock
from bdmta.limits.table import SlotFile

_SLOTS = 16384
_SLOT = struct.Struct("<QId")  # fingerprint, failures, when the last was
_FREE_FAILURES = 3
_FORGET_S = 900.0


class Throttle:
    """After three wrong passwords each further one doubles the wait, from a second to `longest_s`; forgotten after
    a quarter of an hour without one. A right password clears the account's own count, not the network's.
    """

    def __init__(self, path: str, clock: Clock, longest_s: float) -> None:
        self._file = SlotFile(path, _SLOTS, _SLOT.size)
        self._clock = clock
        self._longest_s = longest_s

    def wait_s(self, *names: str) -> float:
        """Seconds until the next attempt in any of these names may be looked at; 0 when it may be now."""
        now = self._clock.time()
        return max((self._left(name, now) for name in names), default=0.0)

    def fail(self, *names: str) -> float:
        """Count a wrong password for each name; returns the wait that follows from it."""
        now = self._clock.time()
        for name in names:
            start, fingerprint = self._file.place(name)
            known, failures, last = _SLOT.unpack_from(self._file.map, start)
            if known != fingerprint or now - last > _FORGET_S:
                failures = 0
            _SLOT.pack_into(self._file.map, start, fingerprint, min(failures + 1, 1 << 20), now)
        return self.wait_s(*names)

    def clear(self, name: str) -> None:
        """Forget what was counted for `name`."""
        start, fingerprint = self._file.place(name)
        if _SLOT.unpack_from(self._file.map, start)[0] == fingerprint:
            _SLOT.pack_into(self._file.map, start, 0, 0, 0.0)

    def _left(self, name: str, now: float) -> float:
        start, fingerprint = self._file.place(name)
        known, failures, last = _SLOT.unpack_from(self._file.map, start)
        if known != fingerprint or failures < _FREE_FAILURES or not 0 <= now - last <= _FORGET_S:
            return 0.0
        wait = min(self._longest_s, 2.0 ** min(failures - _FREE_FAILURES, 30))
        return float(max(0.0, last + wait - now))
