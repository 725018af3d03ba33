"""What became of an attempt: in the entry, the ledger, the figures and the log; durable, told to the sender, over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from bdmta.clock import Clock
from bdmta.queue.figures import QueueFigures
from bdmta.queue.held import Held, HeldEntries
from bdmta.queue.ledger import attempt_fact
from bdmta.queue.outcome import Outcome
from bdmta.queue.recipients import AWAY, Report, after, is_done, report_due, told
from bdmta.queue.schedule import Schedule
from storage.errors import StoreError
from storage.spool_entry import QueueEntry, QueueRecipient

STORE_AGAIN_S = 60.0
"""After so long what the store did not take, or give, is tried again."""
_LOGGED_COUNT = 10

Reporter = Callable[[QueueEntry, Sequence[tuple[Report, QueueRecipient]]], Awaitable[None]]
"""Tells a sender, durably when it returns; StoreError: to be tried again."""
Answerer = Callable[[QueueEntry], Awaitable[None]]
"""Answers for mailboxes whose owners are away; StoreError: to be tried again."""


class Record:
    """`note` is in memory, `finish` durable."""

    def __init__(
        self, held: HeldEntries, report: Reporter, answer: Answerer | None, facts: Any, clock: Clock, log: Any,
        schedule: Schedule, chance: random.Random, figures: QueueFigures,
    ) -> None:  # fmt: skip
        self._held = held
        self._report = report
        self._answer = answer
        self._facts = facts
        self._clock = clock
        self._log = log
        self._schedule = schedule
        self._chance = chance
        self._figures = figures

    def note(self, held: Held, tried: Sequence[tuple[int, QueueRecipient]], outcomes: Sequence[Outcome]) -> None:
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
        for fact in facts[:_LOGGED_COUNT]:
            self._log.info(fact["event"], reference=held.entry.id, recipient=fact["recipient"], **fact["detail"])

    async def finish(self, held: Held) -> None:
        """Record durably, then report, then record that; or remove what is over and needs no report. Raises StoreError.

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

    async def is_finished(self, held: Held) -> bool:
        """`finish`; False, and an error in the log, when the store did not take it."""
        try:
            await self.finish(held)
        except StoreError as error:
            self._log.error("attempt not recorded, tried again", reference=held.entry.id, reason=str(error))
            return False
        return True

    async def finish_at_last(self, held: Held) -> None:
        """Until it is recorded the entry stays ours: what was sent is known here alone, and would be sent again."""
        while True:
            await asyncio.sleep(STORE_AGAIN_S)
            if await self.is_finished(held):
                return
