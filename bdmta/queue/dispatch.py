"""The queue at work: letters whose time has come go to their destinations, each with its own few connections.

A worker holds one connection and sends letter after letter over it. A destination that does not answer keeps one
worker waiting, and nobody else. What an attempt came to is durable before the next letter is taken up.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from bdmta.clock import Clock
from bdmta.queue.book import Book, Due
from bdmta.queue.carrier import Carried, Carrier
from bdmta.queue.destination import Destination
from bdmta.queue.figures import QueueFigures
from bdmta.queue.held import Held, HeldEntries, Signer
from bdmta.queue.ledger import attempt_fact
from bdmta.queue.link import Link
from bdmta.queue.outcome import Outcome
from bdmta.queue.recipients import AWAY, Report, after, is_done, is_held, next_at, report_due, told, waits
from bdmta.queue.resting import Resting
from bdmta.queue.schedule import Schedule
from bdmta.tasks import Tasks
from storage.errors import Corrupt, Locked, NotFound, StoreError
from storage.spool import Spool
from storage.spool_entry import QueueEntry, QueueRecipient

_LOCKED_AGAIN_S = (0.004, 0.02, 0.1, 0.5, 2.0)
_STORE_AGAIN_S = 60.0
_LOOK_S = 60.0
_MAX_REMEMBERED = 100_000
_FRESH_S = 3.0
_INLINE_OCTETS = 65_536
LOCAL = ""
"""The destination of what is not for another system."""

Reporter = Callable[[QueueEntry, Sequence[tuple[Report, QueueRecipient]]], Awaitable[None]]
"""Tells a sender, durably when it returns; StoreError: to be tried again."""
Answerer = Callable[[QueueEntry], Awaitable[None]]
"""Answers for mailboxes whose owners are away; StoreError: to be tried again."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there are, and how long they are kept."""

    connections_count: int = 500
    destination_connections_count: int = 20
    connection_letters_count: int = 200
    idle_s: float = 5.0


class Dispatcher:
    """Runs in the courier's loop; `start` begins, `stop` ends after the letters in hand."""

    def __init__(
        self, spool: Spool, carrier: Carrier, reporter: Reporter, facts: Any, clock: Clock, executor: Executor,
        log: Any, *, schedule: Schedule, bounds: Bounds, signer: Signer | None = None,
        answer: Answerer | None = None, chance: random.Random | None = None, journal_dir: str = "",
        figures: QueueFigures | None = None,
    ) -> None:  # fmt: skip
        self._spool = spool
        self._carrier = carrier
        self._report = reporter
        self._facts = facts
        self._clock = clock
        self._executor = executor
        self._log = log
        self._schedule = schedule
        self._answer = answer
        self._bounds = bounds
        self._chance = chance or random.Random()
        self._tasks = Tasks(log)
        self._book = Book()
        self._held = HeldEntries(spool, executor, carrier.destination, signer, journal_dir)
        self._destinations: dict[str, Destination] = {}
        self._queued: dict[str, None] = {}  # destinations that wait for one of all connections
        self._resting = Resting(self._chance)
        self._workers_count = 0
        self._busy_count = 0
        self._locked_count: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._is_stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_moving = False
        self._figures = figures or QueueFigures()
        self._kept: dict[str, str] = {}  # entries that are never due: held, or unreadable
        self._fresh: dict[str, float] = {}

    def __len__(self) -> int:
        """Entries known."""
        return len(self._book)

    def start(self) -> None:
        """Begin to send what is known, and what will be."""
        self._loop = asyncio.get_running_loop()
        self._tasks.start(self._clockwork(), "queue clock")

    async def stop(self, grace_s: float = 10.0) -> None:
        """Take up no more letters, finish those in hand within `grace_s`."""
        self._is_stopping = True
        self._wake.set()
        for destination in self._destinations.values():
            destination.wake_all()
        await self._tasks.finish(grace_s)
        await self._held.drain()

    def wake(self) -> None:
        """Look at the clock now."""
        self._wake.set()

    async def settle(self) -> None:
        """Return when nothing is due and nobody is sending (for tests with a clock of their own)."""
        while True:
            self._move_due()
            if not self._busy_count and not any(d.ready_count or d.handed_count for d in self._destinations.values()):
                return
            self._settled.clear()
            await self._settled.wait()

    # -- what there is to send ------------------------------------------------------------------------------------

    def learn(self, entry: QueueEntry) -> None:
        """An entry as the spool has it now."""
        if entry.id in self._held:
            return  # ours; it is learnt when it is given back
        if entry.id not in self._book:
            self._figures.came(entry.id, entry.received_at)
        if is_held(entry):
            self._kept[entry.id] = "held"
        else:
            self._kept.pop(entry.id, None)
        known = self._waits(entry)
        now = self._clock.time()
        if now - float(entry.more.get("retry_at") or 0) < _LOOK_S:
            for destination, _ in known:
                self._revive(destination)
        if entry.size_octets <= _INLINE_OCTETS and now - entry.received_at < _FRESH_S:
            if len(self._fresh) > _MAX_REMEMBERED:
                self._fresh.clear()
            self._fresh[entry.id] = now
        self._book.set(entry.id, known, entry.priority)
        if any(at <= now for _, at in known):
            self._move_soon()
        else:
            self._wake.set()

    def is_working_on(self, entry_id: str) -> bool:
        """The entry is locked by us, and what is known of it here is newer than what the spool has."""
        return entry_id in self._held

    def set_aside(self, entry_id: str) -> None:
        """An entry that cannot be read: known, so that nobody reads it again and again, and never sent."""
        self._kept[entry_id] = "unreadable"
        self._book.set(entry_id, ())

    def forget(self, entry_id: str) -> None:
        """An entry that is no longer in the spool."""
        self._kept.pop(entry_id, None)
        self._book.drop(entry_id)

    def take_figures(self) -> None:
        """Bring the figures up to now."""
        now = self._clock.time()
        down = [key for key, destination in self._destinations.items() if key and destination.down_until > now]
        states = {
            "sending": len(self._held),
            "due": sum(destination.ready_count for destination in self._destinations.values()),
            "held": sum(why == "held" for why in self._kept.values()),
            "unreadable": sum(why == "unreadable" for why in self._kept.values()),
        }
        states["waiting"] = max(0, len(self._book) - sum(states.values()))
        self._figures.take(now, states, self.known(), self._book.counts(down))

    def known(self) -> set[str]:
        """The ids of all entries known."""
        return set(self._book.ids())

    def _waits(self, entry: QueueEntry) -> tuple[tuple[str, float], ...]:
        found = waits(entry, self._carrier.destination)
        now = self._clock.time()
        is_left = AWAY in entry.more or any(
            report_due(recipient, entry, self._schedule, now) for recipient in entry.recipients
        )
        if not is_held(entry) and (is_left or not found):
            return (*found, (LOCAL, entry.received_at))  # reports and answers wait for no destination
        return found

    def _revive(self, destination: str) -> None:
        """An operator wants another try now: what is known of the destination's failure does not count."""
        known = self._destinations.get(destination)
        if known is not None:
            known.down_until = 0.0

    # -- time -----------------------------------------------------------------------------------------------------

    async def _clockwork(self) -> None:
        while not self._is_stopping:
            self._wake.clear()
            self._move_due()
            at = self._book.next_at()
            wait_s = _LOOK_S if at is None else min(max(at - self._clock.time(), 0.0), _LOOK_S)
            try:
                async with asyncio.timeout(wait_s):
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
        for due in self._book.due(self._clock.time()):
            destination = self._destinations.get(due.destination)
            if destination is None:
                destination = self._destinations[due.destination] = Destination(due.destination)
                self._tidy()
            if not destination.push(due):
                touched[due.destination] = destination
        for destination in touched.values():
            self._staff(destination)

    def _tidy(self) -> None:
        if len(self._destinations) > _MAX_REMEMBERED:
            self._destinations = {k: d for k, d in self._destinations.items() if not d.is_idle}

    def _staff(self, destination: Destination) -> None:
        """Start as many workers as it may have; where all connections are taken, it queues for one."""
        for _ in range(destination.workers_wanted(self._bounds.destination_connections_count)):
            if self._is_stopping:
                return
            if self._workers_count >= self._bounds.connections_count:
                self._queued[destination.key] = None
                self._resting.dismiss_one()
                return
            destination.workers_count += 1
            self._workers_count += 1
            self._tasks.start(self._work(destination), f"send to {destination.key}")

    # -- a worker -------------------------------------------------------------------------------------------------

    async def _work(self, destination: Destination) -> None:
        link: Link | None = None
        try:
            while not self._is_stopping:
                due = destination.pop()
                if due is None and link is not None and not self._queued:
                    due = await self._rest(destination)
                if due is None:
                    break
                self._busy_count += 1
                try:
                    link = await self._serve(destination, due, link)
                finally:
                    self._busy_count -= 1
                    self._settled.set()
                if link is not None and link.letters_count >= self._bounds.connection_letters_count:
                    link.close()
                    link = None
        finally:
            destination.workers_count -= 1
            self._workers_count -= 1
            self._go_on(destination)
            if link is not None:
                link.close()

    async def _rest(self, destination: Destination) -> Due | None:
        """The next letter for a connection that has none, unless another destination wants its place before."""
        self._resting.add(destination)
        due = await destination.wait(self._bounds.idle_s)
        if not destination.has_idle:
            self._resting.discard(destination)
        return due

    def _go_on(self, destination: Destination) -> None:
        """A worker's place is free: whoever queued for one is next, then this destination again."""
        while self._queued and self._workers_count < self._bounds.connections_count:
            key = next(iter(self._queued))
            del self._queued[key]
            waiting = self._destinations.get(key)
            if waiting is not None:
                self._staff(waiting)
        self._staff(destination)
        if destination.is_idle and not destination.failures_count:
            self._destinations.pop(destination.key, None)
        self._settled.set()

    async def _serve(self, destination: Destination, due: Due, link: Link | None) -> Link | None:
        """One letter for this destination; the connection, while it is of use."""
        try:
            held = self._take_here(due.id) or await self._held.take(due.id)
        except Locked:
            self._again(due, self._locked_again_s(due.id))
            return link
        except NotFound:
            self._book.drop(due.id)
            return link
        except Corrupt as error:
            self._log.error("entry cannot be read, left alone", reference=due.id, reason=str(error))
            return link
        except StoreError as error:
            self._log.error("entry cannot be opened, tried again", reference=due.id, reason=str(error))
            self._again(due, _STORE_AGAIN_S)
            return link
        self._locked_count.pop(due.id, None)
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
        heard_at = self._fresh.pop(entry_id, None)
        if heard_at is None or self._clock.time() - heard_at > _FRESH_S or entry_id in self._held:
            return None
        return self._held.take_here(entry_id)

    def _give_back(self, held: Held) -> None:
        """Unlock the entry if nobody else here has it, and learn when it is to be tried again."""
        if not self._held.give_back(held):
            return
        if held.is_removed:
            self._book.drop(held.entry.id)
            return
        now = self._clock.time()
        later = {name: at for name, at in waits(held.entry, self._carrier.destination) if at > now}
        # What is due already is under way, but for a destination that found the entry locked and comes again.
        for name, at in self._book.waits(held.entry.id):
            later.setdefault(name, at)
        self._book.set(held.entry.id, later.items(), held.entry.priority)
        self._wake.set()

    def _locked_again_s(self, entry_id: str) -> float:
        """The edge holds a new entry's lock until it is durable: soon. An operator's command: later."""
        times = self._locked_count[entry_id] = self._locked_count.get(entry_id, -1) + 1
        if len(self._locked_count) > _MAX_REMEMBERED:
            self._locked_count.clear()
        return _LOCKED_AGAIN_S[min(times, len(_LOCKED_AGAIN_S) - 1)]

    def _again(self, due: Due, after_s: float) -> None:
        self._book.add(due.id, due.destination, self._clock.time() + after_s, -due.order[0])
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
            self._take_note(held, waiting, carried.outcomes)
        try:
            await self._finish(held)
        except StoreError as error:
            self._log.error("attempt not recorded, tried again", reference=held.entry.id, reason=str(error))
            self._held.share(held)
            self._tasks.start(self._finish_later(held), f"record {held.entry.id}")
        return link

    async def _finish_later(self, held: Held) -> None:
        """Keep the entry until it is recorded: what was sent is known here alone, and would be sent again."""
        try:
            while not self._is_stopping:
                await asyncio.sleep(_STORE_AGAIN_S)
                try:
                    await self._finish(held)
                except StoreError as error:
                    self._log.error("attempt not recorded, tried again", reference=held.entry.id, reason=str(error))
                else:
                    return
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

    def _take_note(self, held: Held, tried: Sequence[tuple[int, QueueRecipient]], outcomes: Sequence[Outcome]) -> None:
        """Put what came of an attempt into the entry, the ledger and the log; not yet durable."""
        now = self._clock.time()
        changed = []
        facts = []
        for (position, recipient), outcome in zip(tried, outcomes, strict=True):
            new = after(recipient, outcome, held.entry, self._schedule, now, self._chance.random())
            if outcome.host == "" and outcome.status == "2.1.5":
                new = replace(new, state={**new.state, "is_local": True})
            changed.append((position, new))
            facts.append(attempt_fact(held.entry, new, outcome, now))
        held.change(changed)
        for fact in facts:
            self._figures.attempt(fact["event"], now - held.entry.received_at)
        try:
            self._facts.write(facts)
        except OSError as error:
            self._log.error("fact not written", reference=held.entry.id, reason=str(error))
        for fact in facts[:10]:
            self._log.info(
                fact["event"], reference=held.entry.id, recipient=fact["recipient"], **fact["detail"]
            )  # fmt: skip

    async def _finish(self, held: Held) -> None:
        """Record durably, then report, then record that; or remove what is over and needs no report.

        In this order a kill never loses a report, and never sends again what the spool knows as sent.
        """
        async with held.finishing:
            now = self._clock.time()
            due = [
                (position, report, recipient)
                for position, recipient in enumerate(held.entry.recipients)
                if (report := report_due(recipient, held.entry, self._schedule, now)) is not None
            ]
            if AWAY in held.entry.more and self._answer is not None:
                await self._answer(held.entry)
                held.leave_out(AWAY)
            if due:
                await self._held.write(held)
                await self._report(held.entry, [(report, recipient) for _, report, recipient in due])
                held.change([(p, told(held.entry.recipients[p], report)) for p, report, _ in due])
                for _, report, _ in due:
                    self._figures.reported(str(report))
            if not is_done(held.entry):
                await self._held.write(held)
            elif not held.is_removed:
                await self._held.remove(held)
