"""How many sessions an address holds, over all edges: a column of counters for each edge, the sum is the answer."""

from __future__ import annotations

import struct

from bdmta.limits.table import SlotFile

_SLOTS = 8192
_COUNT = struct.Struct("<H")


class SessionTable:
    """One edge's view of the table. Each edge writes its own column only, so nothing races.

    Opening clears the column: what a dead edge had counted is gone with its sessions.
    """

    def __init__(self, path: str, column: int, columns: int) -> None:
        self._file = SlotFile(path, _SLOTS, _COUNT.size * columns)
        self._offset = column * _COUNT.size
        self._columns = columns
        self._counts: dict[str, int] = {}
        for start in self._file.all():
            _COUNT.pack_into(self._file.map, start + self._offset, 0)

    def enter(self, network: str) -> int:
        """Count one more session of `network`; returns how many it has now, over all edges."""
        self._counts[network] = self._counts.get(network, 0) + 1
        start, _ = self._file.place(network)
        self._add(start, 1)
        return sum(struct.unpack_from(f"<{self._columns}H", self._file.map, start))

    def leave(self, network: str) -> None:
        """Count one session of `network` less."""
        left = self._counts.pop(network, 0) - 1
        if left > 0:
            self._counts[network] = left
        self._add(self._file.place(network)[0], -1)

    def _add(self, start: int, change: int) -> None:
        at = start + self._offset
        (count,) = _COUNT.unpack_from(self._file.map, at)
        _COUNT.pack_into(self._file.map, at, max(0, min(65535, count + change)))

    @property
    def total(self) -> int:
        """Sessions that this edge holds."""
        return sum(self._counts.values())
