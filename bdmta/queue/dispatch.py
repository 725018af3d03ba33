"""The queue at work: letters whose time has come go to their destinations, each with its own few connections.

A worker holds one connection and sends letter after letter over it. A destination that does not answer keeps one
worker waiting, and nobody else. What an attempt came to is durable before the next letter is taken up.
"""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import Executor
from typing import Any

from bdmta.clock import Clock
from bdmta.queue.book import Due
from bdmta.queue.carrier import Carried, Carrier
from bdmta.queue.destination import Destination
from bdmta.queue.figures import QueueFigures
from bdmta.queue.held import Held, HeldEntries, Signer
from bdmta.queue.inventory import Inventory
from bdmta.queue.link import Link
from bdmta.queue.places import Bounds, Places
from bdmta.queue.recipients import is_held, next_at
from bdmta.queue.record import STORE_AGAIN_S, Answerer, Record, Reporter
from bdmta.queue.schedule import Schedule
from bdmta.tasks import Tasks
from storage.errors import Corrupt, Locked, NotFound, StoreError
from storage.spool import Spool
from storage.spool_entry import QueueEntry

_LOOK_S = 60.0


class Dispatcher:
    """Runs in the courier's loop; `start` begins, `stop` ends after the letters in hand."""

    def __init__(
        self, spool: Spool, carrier: Carrier, reporter: Reporter, facts: Any, clock: Clock, executor: Executor,
        log: Any, *, schedule: Schedule, bounds: Bounds, signer: Signer | None = None,
        answer: Answerer | None = None, chance: random.Random | None = None, journal_dir: str = "",
        figures: QueueFigures | None = None,
    ) -> None:  # fmt: skip
        self._carrier = carrier
        self._clock = clock
        self._log = log
        self._schedule = schedule
        self._bounds = bounds
        self._chance = chance or random.Random()
        self._tasks = Tasks(log)
        figures = figures or QueueFigures()
        self._inventory = Inventory(carrier.destination, schedule, clock, figures)
        self._held = HeldEntries(spool, executor, carrier.destination, signer, journal_dir)
        self._record = Record(self._held, reporter, answer, facts, clock, log, schedule, self._chance, figures)
        self._places = Places(bounds, self._chance)
        self._busy_count = 0
        self.served_count = 0
        """Goes up after whatever this does to the spool."""
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._is_stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_moving = False

    def __len__(self) -> int:
        """Entries known."""
        return len(self._inventory)

    def start(self) -> None:
        """Begin to send what is known, and what will be."""
        self._loop = asyncio.get_running_loop()
        self._tasks.start(self._clockwork(), "queue clock")

    async def stop(self, grace_s: float = 10.0) -> None:
        """Take up no more letters, finish those in hand within `grace_s`."""
        self._is_stopping = True
        self._wake.set()
        self._places.wake_all()
        await self._tasks.finish(grace_s)
        await self._held.drain()

    def wake(self) -> None:
        """Look at the clock now."""
        self._wake.set()

    async def settle(self) -> None:
        """Return when nothing is due and nobody is sending (for tests with a clock of their own)."""
        while True:
            self._move_due()
            if not self._busy_count and not self._places.has_letters:
                return
            self._settled.clear()
            await self._settled.wait()

    # -- what there is to send ------------------------------------------------------------------------------------

    def learn(self, entry: QueueEntry) -> None:
        """An entry as the spool has it now."""
        if entry.id in self._held:
            return  # ours; it is learnt when it is given back
        known = self._inventory.learn(entry)
        if self._inventory.is_wanted_now(entry):
            for destination, _ in known:
                self._places.revive(destination)
        now = self._clock.time()
        if any(at <= now for _, at in known):
            self._move_soon()
        else:
            self._wake.set()

    def is_working_on(self, entry_id: str) -> bool:
        """The entry is locked by us, and what is known of it here is newer than what the spool has."""
        return entry_id in self._held

    def set_aside(self, entry_id: str) -> None:
        """An entry that cannot be read: known, and never sent."""
        self._inventory.set_aside(entry_id)

    def forget(self, entry_id: str) -> None:
        """An entry that is no longer in the spool."""
        self._inventory.forget(entry_id)

    def known(self) -> set[str]:
        """The ids of all entries known."""
        return self._inventory.ids()

    def take_figures(self) -> None:
        """Bring the figures up to now."""
        down = self._places.down(self._clock.time())
        self._inventory.take_figures(len(self._held), self._places.ready_count, down)

    # -- time -----------------------------------------------------------------------------------------------------

    async def _clockwork(self) -> None:
        while not self._is_stopping:
            self._wake.clear()
            self._move_due()
            try:
                async with asyncio.timeout(self._inventory.wait_s(_LOOK_S)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _move_soon(self) -> None:
        """In this turn of the loop, once for all that are heard of in it; before the start: when it comes."""
        if self._loop is not None and not self._is_moving:
            self._is_moving = True
            self._loop.call_soon(self._move_now)

    def _move_now(self) -> None:
        self._is_moving = False
        if not self._is_stopping:
            self._move_due()

    def _move_due(self) -> None:
        touched: dict[str, Destination] = {}
        for due in self._inventory.due():
            destination = self._places.destination(due.destination)
            if not destination.push(due):
                touched[due.destination] = destination
        for destination in touched.values():
            self._staff(destination)

    def _staff(self, destination: Destination) -> None:
        """Start as many workers as it may have."""
        if self._is_stopping:
            return
        for _ in range(self._places.take(destination)):
            self._tasks.start(self._work(destination), f"send to {destination.key}")

    # -- a worker -------------------------------------------------------------------------------------------------

    async def _work(self, destination: Destination) -> None:
        link: Link | None = None
        try:
            while not self._is_stopping:
                due = destination.pop()
                if due is None and link is not None and not self._places.has_line:
                    due = await self._places.rest(destination)
                if due is None:
                    break
                self._busy_count += 1
                try:
                    link = await self._serve(destination, due, link)
                finally:
                    self._busy_count -= 1
                    self.served_count += 1
                    self._settled.set()
                if link is not None and link.letters_count >= self._bounds.connection_letters_count:
                    link.close()
                    link = None
        finally:
            self._go_on(destination)
            if link is not None:
                link.close()

    def _go_on(self, destination: Destination) -> None:
        """A worker's place is free: whoever stands in line is next, then this destination again."""
        self._places.give_back(destination)
        while (waiting := self._places.next_in_line()) is not None:
            self._staff(waiting)
        self._staff(destination)
        self._places.drop_idle(destination)
        self._settled.set()

    async def _serve(self, destination: Destination, due: Due, link: Link | None) -> Link | None:
        """One letter for this destination; the connection, while it is of use."""
        try:
            held = self._take_here(due.id) or await self._held.take(due.id)
        except Locked:
            self._inventory.again_when_unlocked(due)
            self._wake.set()
            return link
        except NotFound:
            self._inventory.forget(due.id)
            return link
        except Corrupt as error:
            self._log.error("entry cannot be read, left alone", reference=due.id, reason=str(error))
            return link
        except StoreError as error:
            self._log.error("entry cannot be opened, tried again", reference=due.id, reason=str(error))
            self._inventory.again(due, STORE_AGAIN_S)
            self._wake.set()
            return link
        self._inventory.unlocked(due.id)
        if destination.key in held.serving:  # the spool was looked through while it waited for a worker
            self._give_back(held)
            return link
        held.serving.add(destination.key)
        try:
            return await self._send(destination, held, link)
        finally:
            held.serving.discard(destination.key)
            self._give_back(held)

    def _take_here(self, entry_id: str) -> Held | None:
        """A small entry that was written a moment ago lies in memory: a hop into a thread would cost more than it."""
        was_just_written = self._inventory.was_just_written(entry_id)
        if not was_just_written or entry_id in self._held:
            return None
        return self._held.take_here(entry_id)

    def _give_back(self, held: Held) -> None:
        """Unlock the entry if nobody else here has it, and learn when it is to be tried again."""
        if not self._held.give_back(held):
            return
        if held.is_removed:
            self._inventory.forget(held.entry.id)
            return
        self._inventory.attempted(held.entry)
        self._wake.set()

    async def _send(self, destination: Destination, held: Held, link: Link | None) -> Link | None:
        """Try the letter's recipients there, record what came of it, tell the sender, end the entry if it is over."""
        now = self._clock.time()
        waiting = [(p, r) for p, r in held.waiting(destination.key) if next_at(r, held.entry) <= now]
        if waiting and not is_held(held.entry):
            if destination.last is not None and self._clock.time() < destination.down_until:
                carried = Carried([destination.last] * len(waiting), link)
            else:
                outgoing = self._held.outgoing
                carried = await self._carrier.carry(
                    destination.key, held.entry, waiting, link, lambda b: outgoing(held, b)
                )
                self._judge(destination, carried)
            link = carried.link
            self._record.note(held, waiting, carried.outcomes)
        if not await self._record.is_finished(held):
            self._held.share(held)
            self._tasks.start(self._finish_later(held), f"record {held.entry.id}")
        return link

    async def _finish_later(self, held: Held) -> None:
        try:
            await self._record.finish_at_last(held)
        finally:
            self._give_back(held)

    def _judge(self, destination: Destination, carried: Carried) -> None:
        """Whether the destination answers: more connections then, or none for a while."""
        bad = next((outcome for outcome in carried.outcomes if outcome.hop_failed), None)
        if carried.link is not None:
            was_proven = destination.is_proven
            destination.succeeded()
            if not was_proven:
                self._staff(destination)
        elif bad is not None:
            wait_s = self._schedule.wait_s(destination.failures_count + 1, self._chance.random())
            destination.failed(bad, self._clock.time() + wait_s)
