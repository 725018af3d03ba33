"""Background tasks that somebody holds (traps: a task nobody holds is collected in mid-flight)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """Starts tasks, holds them until they end, logs what they die of, and waits for them at the end."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._held: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` beside everything else."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._held.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._held.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("background task failed", task=task.get_name(), exc_info=error)

    async def finish(self, timeout_s: float) -> None:
        """Wait for what is running, at most `timeout_s`; then cancel the rest."""
        if self._held:
            await asyncio.wait(list(self._held), timeout=timeout_s)
        for task in list(self._held):
            task.cancel()
