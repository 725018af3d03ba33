"""Keeps the published address book up with the directory: who leaves is out of it within a minute (Điều 6)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from bdmta.clock import Clock

LOOK_S = 2.0
REST_S = 15.0
"""Between two publications, so that a morning's work is not a hundred of them."""
RETRY_S = 60.0


class AddressBookWatch:
    """Publishes after a change of the directory, and again after a failure.

    `publish()` runs `bdmta addressbook publish` in a process of its own: the office goes on meanwhile. A run that finds
    nothing changed sends nothing.
    """

    def __init__(self, snapshot_path: str, publish: Callable[[], Awaitable[Any]], clock: Clock, log: Any) -> None:
        self._path = snapshot_path
        self._publish = publish
        self._clock = clock
        self._log = log
        self._seen: tuple[int, int] | None = None
        self._not_before = 0.0
        self._failed = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`."""
        while not stopping.is_set():
            await self.look()
            try:
                await asyncio.wait_for(stopping.wait(), LOOK_S)
            except TimeoutError:
                continue

    async def look(self) -> bool:
        """Publish if the directory changed (or the last time failed) and it is time; whether it was done."""
        try:
            stat = os.stat(self._path)
        except OSError:
            return False
        now, found = self._clock.monotonic(), (stat.st_ino, stat.st_mtime_ns)
        if (found == self._seen and not self._failed) or now < self._not_before:
            return False
        self._seen = found
        try:
            await self._publish()
        except Exception as error:
            if not self._failed:  # once, not every minute
                self._log.error("address book not published, trying again each minute", reason=str(error))
            self._failed = True
        else:
            self._failed = False
        self._not_before = self._clock.monotonic() + (RETRY_S if self._failed else REST_S)
        return True
