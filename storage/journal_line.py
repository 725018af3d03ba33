"""Where letters wait for a journal: a thread each that takes all of them at once, another that makes its checkpoints.

There is no artificial delay. With one journal whoever comes while a sync runs is in the next one, and waits for one and
a half on average; with two the other one begins at once. The event loop pays one wake-up a
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
    """The waiting line before one journal or several. `placed` is called in a thread, for who has a name."""

    def __init__(self, journals: Sequence[Journal], placed: Callable[[Placement], None]) -> None:
        self._journals = tuple(journals)
        self._placed = placed
        self.takes_entries = all(journal.takes_entries for journal in journals)
        self._queue: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._arrived: list[_Waiting] = []  # in this turn of the loop: they wake a thread together
        self._writers = [_Writer(self, journal) for journal in self._journals]

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

    def place_now(self, placement: Placement) -> bool:
        """As `place`, for a thread that holds what others wait for, and so does not stand in line. Blocks."""
        writer = next((writer for writer in self._writers if not writer.journal.is_busy), self._writers[0])
        writer.journal.write([placement])
        writer.written()
        if placement.error is not None:
            raise placement.error
        return bool(placement.name)

    def _hand_over(self) -> None:
        arrived, self._arrived = self._arrived, []
        self._queue.put(arrived)

    def take(self) -> list[_Waiting] | None:
        """All who wait, once there is somebody; None: the line is closed. Blocks."""
        batch = self._queue.get()
        if batch is None:
            return None
        while len(batch) < _BATCH_COUNT:
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
            if more is None:
                self._queue.put(None)
                break
            batch += more
        return batch

    def serve(self, journal: Journal, batch: Sequence[_Waiting]) -> None:
        """Write the batch to the journal and tell everybody."""
        try:
            journal.write([waiting.placement for waiting in batch])
        except Exception as error:  # whatever it is, nobody must wait for ever
            for waiting in batch:
                waiting.placement.error = waiting.placement.error or StoreError(f"the journal failed: {error!r}")
        for waiting in batch:
            if waiting.placement.name and waiting.placement.error is None:
                with suppress(Exception):  # it is stored, whatever becomes of its being counted
                    self._placed(waiting.placement)
        for loop in {waiting.loop for waiting in batch}:
            try:
                loop.call_soon_threadsafe(_tell, [waiting for waiting in batch if waiting.loop is loop])
            except RuntimeError:
                continue  # the loop is closed: nobody is there to be told

    def close(self) -> None:
        """Serve who waits, checkpoint, and let the journals go. Blocks."""
        for _ in self._writers:
            self._queue.put(None)
        for writer in self._writers:
            writer.join()


class _Writer:
    """The two threads of one journal."""

    def __init__(self, line: JournalLine, journal: Journal) -> None:
        self._line = line
        self.journal = journal
        self._dirty = threading.Event()
        self._full = threading.Event()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._write, name="journal", daemon=True),
            threading.Thread(target=self._checkpoint, name="journal checkpoints", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait for the end; the line is closed."""
        self._threads[0].join()
        self._closing = True
        self._full.set()
        self._dirty.set()
        self._threads[1].join()
        self.journal.close()

    def _write(self) -> None:
        while (batch := self._line.take()) is not None:
            self._line.serve(self.journal, batch)
            self.written()

    def written(self) -> None:
        """There is something to checkpoint."""
        self._dirty.set()
        if self.journal.wants_checkpoint:
            self._full.set()

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
