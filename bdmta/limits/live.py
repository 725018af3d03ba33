"""The connections that a listener holds, so that a drain knows when the last has gone."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Connection(Protocol):
    """What can be asked to end."""

    def shut_down(self) -> None:
        """End now when idle, or after the work in hand."""


class Live:
    """Connections now open."""

    def __init__(self) -> None:
        self._held: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, connection: Connection) -> None:
        """One more."""
        self._held.add(connection)
        self._empty.clear()

    def discard(self, connection: Connection) -> None:
        """One less."""
        self._held.discard(connection)
        if not self._held:
            self._empty.set()

    def __len__(self) -> int:
        return len(self._held)

    async def drain(self, grace_s: float) -> None:
        """Ask all to end and wait until they have, at most `grace_s`."""
        for connection in list(self._held):
            connection.shut_down()
        try:
            await asyncio.wait_for(self._empty.wait(), grace_s)
        except TimeoutError:
            return
