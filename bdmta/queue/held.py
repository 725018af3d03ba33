"""Entries that are being worked on: locked, loaded once however many destinations they have, recorded durably.

Changes of several destinations that come while one is being written go into the next write together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, Protocol

from bdmta.batch import Batch
from bdmta.queue.outgoing import Outgoing, prepare
from bdmta.queue.recipients import is_waiting, with_recipients
from storage.errors import StoreError
from storage.journal_spool import settle_removed, tag_of_entry
from storage.letter import Letter
from storage.spool import EntryLock, Spool
from storage.spool_entry import QueueEntry, QueueRecipient

_SYNC_EVERY_S = 0.25  # while a sync runs, every removal waits for the journal


class Signer(Protocol):
    """Our DKIM signature."""

    def signs(self, entry: QueueEntry) -> bool:
        """Whether `sign` need be asked."""

    async def sign(self, letter: Outgoing, entry: QueueEntry) -> bytes:
        """The fields to put on top; b"" when this letter is not signed. Whatever fails inside is its to log."""


class Held:
    """One entry under our lock."""

    def __init__(
        self, entry: QueueEntry, lock: EntryLock, letter: Letter, prepared: Outgoing,
        destination_of: Callable[[str], str],
    ) -> None:  # fmt: skip
        self.entry = entry
        self.lock = lock
        self.letter = letter
        self.prepared = prepared
        self.outgoing: dict[bool, asyncio.Future[Outgoing]] = {}
        self.is_removed = False
        self.serving: set[str] = set()
        """The destinations that somebody is sending it to now: each by one worker, however often it came up."""
        self.writing = asyncio.Lock()
        self.finishing = asyncio.Lock()
        self.changes_count = 0
        self.written_count = 0
        self._positions: dict[str, list[int]] = {}
        for position, recipient in enumerate(entry.recipients):
            if is_waiting(recipient):
                self._positions.setdefault(destination_of(recipient.address), []).append(position)

    def waiting(self, destination: str) -> list[tuple[int, QueueRecipient]]:
        """The recipients there that still wait, with their positions."""
        found = ((p, self.entry.recipients[p]) for p in self._positions.get(destination, ()))
        return [(position, recipient) for position, recipient in found if is_waiting(recipient)]

    def change(self, changed: list[tuple[int, QueueRecipient]]) -> None:
        """Replace recipients, in memory; `HeldEntries.write` makes it durable."""
        self.entry = with_recipients(self.entry, changed)
        self.changes_count += 1

    def leave_out(self, key: str) -> None:
        """Take a further key out of the entry, in memory."""
        self.entry = replace(self.entry, more={k: v for k, v in self.entry.more.items() if k != key})
        self.changes_count += 1


class HeldEntries:
    """The entries this process works on. Raises StoreError where the spool does."""

    def __init__(
        self, spool: Spool, executor: Executor, destination_of: Callable[[str], str], signer: Signer | None = None,
        journal_dir: str = "",
    ) -> None:  # fmt: skip
        self._journal_dir = journal_dir
        self._signer = signer
        self._spool = spool
        self._executor = executor
        self._destination_of = destination_of
        self._opening = Batch(self._open_sync, executor)
        self._removing = Batch(self._remove_sync, executor)
        self._held: dict[str, asyncio.Future[Held]] = {}
        self._users: dict[str, int] = {}
        self._removed: list[tuple[str, str]] = []  # (tag, id) whose removal is not durable yet
        self._syncing: asyncio.Task[None] | None = None

    def __contains__(self, entry_id: str) -> bool:
        return entry_id in self._held

    def __len__(self) -> int:
        return len(self._held)

    async def _off_loop(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    async def take(self, entry_id: str) -> Held:
        """The entry, ours until `give_back`. Raises Locked, NotFound, Corrupt, StoreError."""
        known = self._held.get(entry_id)
        if known is None:
            known = self._held[entry_id] = asyncio.ensure_future(self._open(entry_id))
        self._users[entry_id] = self._users.get(entry_id, 0) + 1  # before the wait, or another user unlocks it
        try:
            return await asyncio.shield(known)
        except BaseException:
            self._leave(entry_id)
            raise

    def _leave(self, entry_id: str) -> bool:
        self._users[entry_id] -= 1
        if self._users[entry_id]:
            return False
        del self._users[entry_id]
        opened = self._held.pop(entry_id)
        opened.add_done_callback(_unlock)
        return True

    def take_here(self, entry_id: str) -> Held:
        """As `take`, at once, of a small entry that has just been written and that nobody here has. Raises likewise."""
        held = Held(*self._open_sync(entry_id), self._destination_of)
        opened = self._held[entry_id] = asyncio.get_running_loop().create_future()
        opened.set_result(held)
        self._users[entry_id] = 1
        return held

    async def _open(self, entry_id: str) -> Held:
        entry, lock, letter, outgoing = await self._opening(entry_id)
        return Held(entry, lock, letter, outgoing, self._destination_of)

    def _open_sync(self, entry_id: str) -> tuple[QueueEntry, EntryLock, Letter, Outgoing]:
        lock = self._spool.lock(entry_id)
        try:
            entry, letter = self._spool.open_locked(lock)
            try:
                return entry, lock, letter, prepare(letter, seven_bit=False)
            except OSError as error:
                raise StoreError(f"cannot read letter {entry_id}: {error}") from error
        except BaseException:
            lock.release()
            raise

    async def outgoing(self, held: Held, takes_8bit: bool) -> Outgoing:
        """The letter, signed, fit for a host that takes 8-bit letters, or does not; made once for each."""
        key = not takes_8bit and held.prepared.has_8bit
        if not key and (self._signer is None or not self._signer.signs(held.entry)):
            return held.prepared
        if key not in held.outgoing:
            held.outgoing[key] = asyncio.ensure_future(self._made(held, key))
        return await asyncio.shield(held.outgoing[key])

    async def _made(self, held: Held, seven_bit: bool) -> Outgoing:
        made: Outgoing = held.prepared
        if seven_bit:
            made = await self._off_loop(_prepare_seven_bit, held.letter)
        signature = await self._signer.sign(made, held.entry) if self._signer is not None else b""
        return made.with_head(signature) if signature else made

    async def write(self, held: Held) -> None:
        """Return when every change so far is durable."""
        wanted = held.changes_count
        async with held.writing:
            if held.written_count >= wanted or held.is_removed:
                return
            count, entry = held.changes_count, held.entry
            await self._off_loop(self._spool.update, entry, held.lock)
            held.written_count = count

    async def remove(self, held: Held) -> None:
        """Take the entry out of the spool. A killed process has it out when this returns; after a loss of power it may
        be there again, for removals are made durable behind the letters' backs: the disk would set the pace else.
        """
        try:
            await self._removing(held)
        except OSError as error:
            raise StoreError(f"cannot remove {held.entry.id} from the spool: {error}") from error
        held.is_removed = True
        self._removed.append((tag_of_entry(held.entry), held.entry.id))
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.ensure_future(self._sync())

    def _remove_sync(self, held: Held) -> None:
        """Here the files are closed too: to free their blocks is the dearest part of it, and nothing for the loop."""
        self._spool.discard(held.entry.id)
        held.letter.close()
        held.lock.release()

    async def _sync(self) -> None:
        while self._removed:
            await asyncio.sleep(_SYNC_EVERY_S)
            removed, self._removed = self._removed, []
            try:
                await self._off_loop(settle_removed, self._spool, self._journal_dir, removed)
            except (OSError, StoreError):
                self._removed += removed
                return  # the next removal tries again; what comes back is sent twice, not lost

    async def drain(self) -> None:
        """Wait until removals are on the disk (at shutdown)."""
        if self._syncing is not None:
            await self._syncing

    def share(self, held: Held) -> None:
        """One more user of an entry that we hold."""
        self._users[held.entry.id] += 1

    def give_back(self, held: Held) -> bool:
        """One user is done; True when it was the last, and the entry is unlocked (or gone)."""
        if self._users[held.entry.id] == 1:
            held.lock.release()
        return self._leave(held.entry.id)


def _unlock(opened: asyncio.Future[Held]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        opened.result().lock.release()


def _prepare_seven_bit(letter: Letter) -> Outgoing:
    return prepare(letter, seven_bit=True)
