"""The one door: when `store` returns, every mailbox has the letter and every entry is in the spool (contract 1).

Octets are synced before they get a name in any `new/`, so nothing partial can be there, after loss of power neither;
then the names are synced. One inode serves every target of a letter (contract 2). More than 100 targets are
acknowledged by a durable spool entry, and served right after.

The second form stands behind the same door: with `journals` small letters are made durable together by their records
(storage.journal), and their files are synced later. What does not fit it goes the first way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

from storage.clock import Clock
from storage.errors import Corrupt, Locked, NotFound, StoreError
from storage.expand import expand_entry
from storage.files import FreeSpace, open_unnamed, store_error
from storage.journal import Journal, Placement, fits_journal
from storage.journal_line import JournalLine
from storage.letter import Letter
from storage.maildir import unique_name
from storage.open_dirs import OpenDirs
from storage.placing import Placing
from storage.quota import Quota
from storage.spool import EntryLock, QueueEntry, Spool
from storage.spool_entry import Target

__all__ = ["Commit", "Crossing", "Delivery", "Stored", "Target"]

DIRECT_TARGETS_COUNT = 100
JOURNAL_TARGETS_COUNT = 100  # more are acknowledged by their spool entry, and linked without a thread's wait
_EXPAND_BATCH_COUNT = 2500  # links are cheap, and a sync holds up those that follow

Crossing = tuple[str, int]  # a mailbox's directory, and the percent of its quota that it has just passed upward


@dataclass(frozen=True, slots=True)
class Delivery:
    """A letter and the folders it goes to. `name`: the file's, for work that may be done twice; else a new one."""

    letter: Letter
    targets: tuple[Target, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """`names`: the unique file name of each delivery. `expanding`: spool ids of large ones, still under way."""

    names: tuple[str, ...]
    crossings: tuple[Crossing, ...] = ()
    expanding: tuple[str, ...] = ()


class Commit:
    """The store of one process. `on_crossings` is told, in a thread, of those that large deliveries cause."""

    def __init__(
        self, *, mail_root: str, spool: Spool, host: str, clock: Clock, executor: Executor,
        reserve_octets: int = 64 << 20, quota: Quota | None = None, tmp_dir: str | None = None,
        on_crossings: Callable[[Sequence[Crossing]], None] | None = None, journals: Sequence[Journal] = (),
    ) -> None:  # fmt: skip
        self._mail_root = mail_root
        self._tmp_dir = tmp_dir or mail_root
        self._spool = spool
        self._host = host
        self._clock = clock
        self._executor = executor
        self._quota = quota or Quota(clock, executor)
        self._on_crossings = on_crossings
        self._dirs = OpenDirs()
        self.space = FreeSpace(mail_root, reserve_octets, clock)
        self._background: set[Future[None]] = set()
        self._line = JournalLine(journals, self._placed) if journals else None

    async def store(self, deliveries: Sequence[Delivery], entries: Sequence[QueueEntry] = ()) -> Stored:
        """Durable when it returns. Raises NoSpace, StoreError, and nothing is promised then: this call's names are
        taken back as far as possible. One hop into the executor; large deliveries go on after it, see `drain`.
        """
        placement = self._placement(deliveries, entries)
        if self._line is not None and placement is not None:
            self.space.take(placement.letter.size_octets)
            if await self._line.place(placement):
                return Stored((placement.name,) if deliveries else (), placement.crossings)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._store_and_go_on, deliveries, entries)

    def _placement(self, deliveries: Sequence[Delivery], entries: Sequence[QueueEntry]) -> Placement | None:
        """The work as the journals take it: one letter for mailboxes, for the spool, or for both; None: it is other."""
        if self._line is None or len(deliveries) > 1 or len(entries) > 1:
            return None
        if not entries:
            fits = bool(deliveries) and _fits_journal(deliveries[0])
            return Placement(deliveries[0].letter, deliveries[0].targets) if fits else None
        (entry,) = entries
        letter = entry.letter
        if not self._line.takes_entries or entry.kind != "remote" or letter is None or not fits_journal(letter):
            return None
        if deliveries and (deliveries[0].letter is not letter or not _fits_journal(deliveries[0])):
            return None
        return Placement(letter, deliveries[0].targets if deliveries else (), entry)

    def place_now(self, placement: Placement) -> bool:
        """Store a letter that comes its own way (APPEND) by the journal: durable when true is returned; false when the
        first form must serve. In a thread: blocks. Raises NoSpace, StoreError: nothing is promised.
        """
        line = self._line
        if line is None:
            return False
        self.space.take(placement.letter.size_octets)
        return line.place_now(placement)

    def close(self) -> None:
        """Let the journal go, everything in it checkpointed. Blocks."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _placed(self, placement: Placement) -> None:
        """In the journal's thread."""
        placement.crossings = self._count_letter(placement.letter, placement.targets)

    def store_sync(self, deliveries: Sequence[Delivery], entries: Sequence[QueueEntry] = ()) -> Stored:
        """Like `store`, for commands: large deliveries are served before it returns. Blocks."""
        stored, large = self._store(deliveries, entries)
        for lock, entry in large:
            self._expand_quietly(lock, entry)
        return stored

    def _store_and_go_on(self, deliveries: Sequence[Delivery], entries: Sequence[QueueEntry]) -> Stored:
        """In the executor; the rest is handed on from here, for whoever awaits may be cancelled."""
        stored, large = self._store(deliveries, entries)
        for lock, entry in large:
            future = self._executor.submit(self._expand_quietly, lock, entry)
            self._background.add(future)
            future.add_done_callback(self._background.discard)
        return stored

    async def drain(self) -> None:
        """Wait for the large deliveries that are under way (at shutdown)."""
        while waiting := [asyncio.wrap_future(f) for f in tuple(self._background)]:
            await asyncio.wait(waiting)

    def resume(self, ids: Iterable[str] | None = None) -> int:
        """Finish large deliveries that a dead process left, of `ids` or of all; how many. Blocks. Raises StoreError."""
        finished = 0
        for entry_id in self._spool.list("expand") if ids is None else ids:
            with contextlib.suppress(Locked, NotFound, Corrupt):
                lock = self._spool.lock(entry_id)
                self._expand(lock, self._spool.load_locked(lock), is_resumed=True)
                finished += 1
        return finished

    def _store(
        self, deliveries: Sequence[Delivery], entries: Sequence[QueueEntry]
    ) -> tuple[Stored, list[tuple[EntryLock, QueueEntry]]]:
        letters = [d.letter for d in deliveries] + [e.letter for e in entries if e.letter is not None]
        self.space.take(sum({id(letter): letter.size_octets for letter in letters}.values()))
        placing = Placing(self._tmp_dir, self._dirs)
        locks: list[EntryLock] = []
        names: list[str] = []
        large: list[tuple[EntryLock, QueueEntry]] = []
        try:
            for entry in entries:
                self._spool_entry(placing, entry, locks)
            for delivery in deliveries:
                name = delivery.name or unique_name(self._clock, self._host, delivery.letter.size_octets)
                names.append(name)
                if len(delivery.targets) > DIRECT_TARGETS_COUNT:
                    entry = self._large(delivery, name)
                    large.append((self._spool_entry(placing, entry, locks), entry))
                else:
                    placing.link(delivery.letter, delivery.targets, name)
            placing.sync()
        except (OSError, StoreError) as error:
            self._undo(placing, locks)
            if isinstance(error, StoreError):
                raise
            raise store_error(error, "cannot store a letter") from error
        for lock in locks[: len(entries)]:  # those of the large deliveries come after them, and are still needed
            lock.release()
        crossings = self._count(deliveries)
        return Stored(tuple(names), crossings, tuple(lock.id for lock, _ in large)), large

    def _spool_entry(self, placing: Placing, entry: QueueEntry, locks: list[EntryLock]) -> EntryLock:
        if entry.letter is None:
            raise StoreError(f"{entry.id}: an entry needs its letter")
        file = placing.file(entry.letter)
        if os.stat(self._spool.directory).st_dev != os.stat(self._tmp_dir).st_dev:
            file = open_unnamed(self._spool.directory)
            entry.letter.write_to(file.fd)
            os.fdatasync(file.fd)
        lock = self._spool.link(entry, file)
        locks.append(lock)
        placing.also_sync(self._spool.directory)
        return lock

    def _large(self, delivery: Delivery, name: str) -> QueueEntry:
        return QueueEntry(
            id=self._spool.new_id("expand"), sender="", letter=delivery.letter, received_at=self._clock.time(),
            kind="expand", targets=delivery.targets, name=name, batch_count=_EXPAND_BATCH_COUNT,
            size_octets=delivery.letter.size_octets,
        )  # fmt: skip

    def _undo(self, placing: Placing, locks: Sequence[EntryLock]) -> None:
        placing.undo()
        for lock in locks:
            with contextlib.suppress(OSError):
                self._spool.discard(lock.id)
            lock.release()

    def _count(self, deliveries: Sequence[Delivery]) -> tuple[Crossing, ...]:
        crossings: list[Crossing] = []
        for delivery in deliveries:
            if len(delivery.targets) > DIRECT_TARGETS_COUNT:
                continue
            crossings += self._count_letter(delivery.letter, delivery.targets)
        return tuple(crossings)

    def _count_letter(self, letter: Letter, targets: Sequence[Target]) -> tuple[Crossing, ...]:
        counted = ((t.mailbox, self._quota.add(t.mailbox, letter.size_octets, 1, t.limit)) for t in targets)
        return tuple((mailbox, percent) for mailbox, percent in counted if percent)

    def _expand_quietly(self, lock: EntryLock, entry: QueueEntry) -> None:
        """What fails stays in the spool, for `resume`."""
        with contextlib.suppress(StoreError, OSError):
            self._expand(lock, entry, is_resumed=False)

    def _expand(self, lock: EntryLock, entry: QueueEntry, *, is_resumed: bool) -> None:
        with lock:
            crossings, failed = expand_entry(entry, self._spool, self._quota, self._tmp_dir, is_resumed=is_resumed)
            if failed:
                # The rest waits as a new attempt, for which the progress recorded so far does not count.
                self._spool.update(replace(entry, targets=tuple(failed), attempt=entry.attempt + 1), lock)
            else:
                self._spool.remove(lock.id)
        if crossings and self._on_crossings is not None:
            self._on_crossings(crossings)


def _fits_journal(delivery: Delivery) -> bool:
    """A new small letter that lies in memory, one copy a mailbox; all else takes the first form."""
    return (
        fits_journal(delivery.letter)
        and not delivery.name
        and 0 < len(delivery.targets) <= JOURNAL_TARGETS_COUNT
        and (len(delivery.targets) == 1 or len({t.mailbox for t in delivery.targets}) == len(delivery.targets))
    )
