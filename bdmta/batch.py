"""Many small works on files in one hop off the loop: what is asked for while one is under way goes into the next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_MAX_COUNT = 64  # in one hop, so that the first does not wait long for the last


class Batch(Generic[T, R]):
    """`await batch(item)` is `function(item)` in the executor, in a thread that does many of them one after another.

    A hop alone costs more than opening a small file, and threads that wake for one file each fight for the
    interpreter with the loop. At most `hops_count` are under way at once.
    """

    def __init__(self, function: Callable[[T], R], executor: Executor, *, hops_count: int = 2) -> None:
        self._function = function
        self._executor = executor
        self._hops_count = hops_count
        self._running: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()

    def __call__(self, item: T) -> asyncio.Future[R]:
        """What the function returns or raises. One that nobody waits for any more is done all the same."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._running) < self._hops_count:
            task = asyncio.ensure_future(self._run())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MAX_COUNT))]
            try:
                results = await loop.run_in_executor(self._executor, self._do, [item for item, _ in taken])
            except RuntimeError as gone:  # the executor has been shut down
                results = [(None, gone)] * len(taken)
            for (_, future), (result, error) in zip(taken, results, strict=True):
                if future.done():
                    continue
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(result)

    def _do(self, items: list[T]) -> list[tuple[Any, Exception | None]]:
        results: list[tuple[Any, Exception | None]] = []
        for item in items:
            try:
                results.append((self._function(item), None))
            except Exception as error:
                results.append((None, error))
        return results
