"""What the spool has, and the dispatcher is to know: what the kernel tells at once, and what is seen by looking.

To read 100,000 names takes the better part of a second, so it is done seldom where the kernel tells: at the start, when
something was missed, when the folder has changed and nobody here did it or heard of it, and in any case now and then.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from concurrent.futures import Executor
from typing import Any

from bdmta.clock import Clock
from bdmta.queue.dispatch import Dispatcher
from bdmta.queue.nudge import Nudge
from bdmta.tasks import Tasks
from storage.commit import Commit
from storage.errors import Corrupt, NotFound, StoreError
from storage.spool import Spool
from storage.spool_entry import QueueEntry

_LOOK_S = 900.0
_LOAD_BATCH = 200
_LOADS = 6


class Lookout:
    """`start` begins to listen; `round` is to be called every quarter of a minute or so."""

    def __init__(
        self, spool: Spool, dispatcher: Dispatcher, commit: Commit, clock: Clock, executor: Executor, log: Any
    ) -> None:
        self._spool = spool
        self._dispatcher = dispatcher
        self._commit = commit
        self._clock = clock
        self._executor = executor
        self._log = log
        self._tasks = Tasks(log)
        self._nudge: Nudge | None = None
        self._groups: set[str] = set()  # deliveries to large groups: an edge's, while it lives
        self._look_at = clock.monotonic()
        self._has_missed = False
        self._heard_count = 0
        self._seen: tuple[int, int, int] = (0, 0, 0)

    def start(self) -> None:
        """Listen from here on."""
        self._nudge = Nudge(self._spool.directory, self._hear, self._overflowed)

    @property
    def hears(self) -> bool:
        """The kernel tells us; else every round looks."""
        return self._nudge is not None and self._nudge.works

    async def stop(self) -> None:
        """Hear no more."""
        if self._nudge is not None:
            self._nudge.close()
        await self._tasks.finish(10)

    def _hear(self, entry_id: str) -> None:
        """An envelope has appeared or was replaced. Small files just written: read here, at once."""
        self._heard_count += 1
        if entry_id.startswith("x-"):
            self._groups.add(entry_id)
            return
        if self._dispatcher.is_working_on(entry_id):
            return  # that was we
        try:
            self._dispatcher.learn(self._spool.load(entry_id))
        except NotFound:
            self._dispatcher.forget(entry_id)
        except (StoreError, OSError) as error:
            self._has_missed = True
            self._log.error("entry cannot be read, left for the next round", reference=entry_id, reason=str(error))

    def _overflowed(self) -> None:
        self._has_missed = True
        self._tasks.start(self.look(), "look through the spool")

    # -- rounds

    async def round(self) -> None:
        """See what was not heard of, finish group letters that a fallen edge left. Raises StoreError, OSError."""
        has_changed = self._has_changed_unheard()
        is_due = self._has_missed or has_changed or self._clock.monotonic() >= self._look_at
        if is_due or not self.hears:
            await self._look_everywhere()
        if self._groups:
            tried = set(self._groups)
            self._groups -= tried - await self._off_loop(self._resume, tried)

    def _has_changed_unheard(self) -> bool:
        """The folder has another time than at the last round, and nothing has been heard or sent since."""
        before, self._seen = self._seen, (
            os.stat(self._spool.directory).st_mtime_ns, self._heard_count, self._dispatcher.served_count,
        )  # fmt: skip
        return self._seen[0] != before[0] and self._seen[1:] == before[1:]

    async def _look_everywhere(self) -> None:
        self._has_missed = False  # what is missed from here on is looked for by the next round
        try:
            await self.look()
            self._groups.update(await self._off_loop(self._spool.list, "expand"))
            await self._off_loop(self._spool.sweep)
        except BaseException:
            self._has_missed = True
            raise
        self._look_at = self._clock.monotonic() + _LOOK_S

    def _resume(self, ids: set[str]) -> set[str]:
        """Those that are there still: their edge lives, or it did not come about."""
        self._commit.resume(sorted(ids))
        return {entry_id for entry_id in ids if self._exists(entry_id)}

    async def look(self) -> None:
        """Compare what is known with what is in the spool: read what is new, forget what is gone.

        What is heard of while the spool is listed is in no list, and a listing may miss what is renamed meanwhile.
        """
        known_before = self._dispatcher.known()
        ids = await self._off_loop(self._spool.list)
        known = self._dispatcher.known()
        fresh = [entry_id for entry_id in ids if entry_id not in known]
        parts = [fresh[at : at + _LOAD_BATCH] for at in range(0, len(fresh), _LOAD_BATCH)]
        for at in range(0, len(parts), _LOADS):  # several at once: after a restart the files are on the disk alone
            for entries in await asyncio.gather(*(self._off_loop(self._load, ids) for ids in parts[at : at + _LOADS])):
                for entry in entries:
                    self._dispatcher.learn(entry)
                await asyncio.sleep(0)
        for entry_id in await self._off_loop(self._gone, known_before.difference(ids)):
            self._dispatcher.forget(entry_id)

    def _gone(self, ids: Iterable[str]) -> list[str]:
        return [entry_id for entry_id in ids if not self._exists(entry_id)]

    def _exists(self, entry_id: str) -> bool:
        return os.path.exists(f"{self._spool.path(entry_id)}.env")

    def _load(self, ids: Iterable[str]) -> list[QueueEntry]:
        found = []
        for entry_id in ids:
            try:
                found.append(self._spool.load(entry_id))
            except NotFound:
                continue
            except Corrupt as error:
                self._log.error("entry cannot be read, left alone", reference=entry_id, reason=str(error))
                self._dispatcher.set_aside(entry_id)
        return found

    async def _off_loop(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
