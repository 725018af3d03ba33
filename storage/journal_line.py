"""Where letters wait for the journal: a thread that takes all of them at once, another that makes its checkpoints.

There is no artificial delay: whoever comes while a sync runs is in the next one. The event loop pays one wake-up a
batch, not a thread's hop a letter.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from storage.errors import StoreError
from storage.journal import CHECKPOINT_AFTER_S, Journal, Placement

_BATCH_COUNT = 256


@dataclass(slots=True)
class _Waiting:
    placement: Placement
    future: asyncio.Future[bool]
    loop: asyncio.AbstractEventLoop


class JournalLine:
    """The waiting line of one journal. `placed` is called in the thread for those that have their names."""

    def __init__(self, journal: Journal, placed: Callable[[Placement], None]) -> None:
        self.journal = journal
        self._placed = placed
        self._queue: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._dirty = threading.Event()
        self._full = threading.Event()
        self._closing = False
        self._arrived: list[_Waiting] = []  # in this turn of the loop: they wake the thread together
        self._threads = [
            threading.Thread(target=self._write, name="journal", daemon=True),
            threading.Thread(target=self._checkpoint, name="journal checkpoints", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    async def place(self, placement: Placement) -> bool:
        """True when the letter is durable and in every `new/`; false when the first form must serve. Raises
        StoreError: nothing is promised.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(placement, loop.create_future(), loop)
        if not self._arrived:
            loop.call_soon(self._hand_over)
        self._arrived.append(waiting)
        return await waiting.future

    def _hand_over(self) -> None:
        arrived, self._arrived = self._arrived, []
        self._queue.put(arrived)

    def close(self) -> None:
        """Serve who waits, checkpoint, and let the journal go. Blocks."""
        self._closing = True
        self._queue.put(None)
        self._threads[0].join()
        self._full.set()
        self._dirty.set()
        self._threads[1].join()
        self.journal.close()

    def _write(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = first
            is_last = False
            while not is_last and len(batch) < _BATCH_COUNT:
                try:
                    more = self._queue.get_nowait()
                except Empty:
                    break
                is_last = more is None
                batch += more or ()
            self._serve(batch)
            if is_last:
                return

    def _serve(self, batch: Sequence[_Waiting]) -> None:
        try:
            self.journal.write([waiting.placement for waiting in batch])
        except Exception as error:  # whatever it is, nobody must wait for ever
            for waiting in batch:
                waiting.placement.error = waiting.placement.error or StoreError(f"the journal failed: {error!r}")
        for waiting in batch:
            if waiting.placement.name and waiting.placement.error is None:
                with suppress(Exception):  # it is stored, whatever becomes of its being counted
                    self._placed(waiting.placement)
        self._dirty.set()
        if self.journal.wants_checkpoint:
            self._full.set()
        for loop in {waiting.loop for waiting in batch}:
            try:
                loop.call_soon_threadsafe(_tell, [waiting for waiting in batch if waiting.loop is loop])
            except RuntimeError:
                continue  # the loop is closed: nobody is there to be told

    def _checkpoint(self) -> None:
        while not self._closing:
            self._dirty.wait()
            self._dirty.clear()
            self._full.wait(CHECKPOINT_AFTER_S)
            self._full.clear()
            if not self._closing:
                self.journal.checkpoint()


def _tell(batch: Sequence[_Waiting]) -> None:
    """On the loop: who was cancelled meanwhile is not told; its letter is stored all the same, or not."""
    for waiting in batch:
        if waiting.future.done():
            continue
        placement = waiting.placement
        if placement.error is not None:
            waiting.future.set_exception(placement.error)
        else:
            waiting.future.set_result(bool(placement.name))
