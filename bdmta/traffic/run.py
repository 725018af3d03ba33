"""One run: letters fall due, sessions send them, readers read, everything is noted. Nothing is judged here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from bdmta.clock import Clock
from bdmta.traffic.desk import Desk, Notes
from bdmta.traffic.latency import Meter
from bdmta.traffic.ledger import OUTCOMES, Entry, Ledger, State, body_of, digest, outcome
from bdmta.traffic.letter import Expect, Letter
from bdmta.traffic.population import Account
from bdmta.traffic.readers import KINDS
from bdmta.traffic.smtp_client import Answer, SmtpClient
from bdmta.traffic.target import Target
from bdmta.traffic.wire import WireError

ANSWER = "answer to a letter"


@dataclass(frozen=True)
class Pace:
    """How letters come. `moments`: when they are due (open loop); None: each session sends the next as soon as it can
    (closed loop), `count` letters or for `duration_s`. `letters_a_connection`: then a new connection is made.
    """

    duration_s: float
    sessions: int = 20
    moments: Iterator[float] | None = None
    count: int | None = None
    letters_a_connection: int = 1
    readers: Mapping[str, int] = field(default_factory=dict)
    think_s: float = 3.0
    idle_s: float = 10.0
    slot_s: float = 1.0


class Run:
    """Sends `letters` to `target` at `pace`. `ledger` and `meter` hold what came of it, at any moment."""

    def __init__(
        self, target: Target, letters: Iterator[Letter], pace: Pace, ledger: Ledger, clock: Clock, seed: int = 1
    ) -> None:
        self._target = target
        self._letters = letters
        self.pace = pace
        self._clock = clock
        self._seed = seed
        self.ledger = ledger
        self.meter = Meter()
        self.notes = Notes(ledger, self.meter, clock.monotonic, clock.time)
        self.counts = dict.fromkeys(OUTCOMES, 0)
        self.octets = 0
        self.due = 0
        self.started_at = 0.0
        self.sending_s = 0.0
        self.generator_lag_s = 0.0
        self._reading_ends = asyncio.Event()

    async def __call__(self, tick: Callable[[Run], None] | None = None) -> None:
        """Run to the end; `tick` is called about twice a second."""
        self.started_at = self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            ticking = group.create_task(self._tick(tick)) if tick else None
            for reading in self._readers():
                group.create_task(reading)
            async with asyncio.TaskGroup() as sending:
                if self.pace.moments is not None:
                    queue: asyncio.Queue[tuple[float, Letter] | None] = asyncio.Queue()
                    sending.create_task(self._produce(self.pace.moments, queue))
                    for _ in range(self.pace.sessions):
                        sending.create_task(self._serve_queue(queue))
                else:
                    for _ in range(self.pace.sessions):
                        sending.create_task(self._serve_closed())
            self.sending_s = self._clock.monotonic() - self.started_at
            self._reading_ends.set()
            if ticking is not None:
                ticking.cancel()

    @property
    def elapsed_s(self) -> float:
        """Since the start."""
        return self._clock.monotonic() - self.started_at

    @property
    def answered(self) -> int:
        """Letters that are done with."""
        return sum(self.counts.values())

    async def _tick(self, tick: Callable[[Run], None]) -> None:
        while True:
            tick(self)
            await asyncio.sleep(0.5)

    async def _produce(self, moments: Iterator[float], queue: asyncio.Queue[tuple[float, Letter] | None]) -> None:
        """Put each letter into the queue when it is due, never later because the server is slow."""
        for at_s, letter in zip(moments, self._letters, strict=False):
            due = self.started_at + at_s
            wait_s = due - self._clock.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            else:
                self.generator_lag_s = max(self.generator_lag_s, -wait_s)
                await asyncio.sleep(0)
            self.due += 1
            queue.put_nowait((due, letter))
            if self.pace.count is not None and self.due >= self.pace.count:
                break
        for _ in range(self.pace.sessions):
            queue.put_nowait(None)

    async def _serve_queue(self, queue: asyncio.Queue[tuple[float, Letter] | None]) -> None:
        sender = _Sender(self._target, self.pace.letters_a_connection)
        while (item := await queue.get()) is not None:
            await self._send(sender, item[1], item[0])
        await sender.close()

    async def _serve_closed(self) -> None:
        sender = _Sender(self._target, self.pace.letters_a_connection)
        while self.elapsed_s < self.pace.duration_s and (self.pace.count is None or self.due < self.pace.count):
            self.due += 1
            await self._send(sender, next(self._letters), self._clock.monotonic())
        await sender.close()

    async def _send(self, sender: _Sender, letter: Letter, due: float) -> None:
        entry = self._entry(letter)
        self.notes.sent[letter.number] = (entry.digest, letter.expect is Expect.ANY)
        answer = await sender.send(letter)
        now = self._clock.monotonic()
        entry.answered_at, entry.due_at = self._clock.time(), self._clock.time() - (now - due)
        entry.code, entry.reply = answer.code, answer.text[:300]
        entry.states = _states(letter, answer)
        self.counts[outcome(entry)] += 1
        self.octets += entry.octets
        self.ledger.add(entry)
        if answer.code:
            self.meter.add(ANSWER, now - due)
            self.meter.add(f"{ANSWER}: {letter.kind}", now - due)
            self.meter.add_letter(due - self.started_at, now - due, self.pace.slot_s)
        else:
            self.notes.failed(f"sending: {answer.text}")
        if answer.code == 250:
            self.notes.answered[letter.number] = now

    def _entry(self, letter: Letter) -> Entry:
        return Entry(
            number=letter.number, kind=letter.kind, expect=letter.expect, what=letter.what,
            digest=digest(letter.octets), body_digest=digest(body_of(letter.octets)), octets=len(letter.octets),
            due_at=0.0, answered_at=0.0, code=0, reply="",
        )  # fmt: skip

    def _readers(self) -> list[Coroutine[Any, Any, None]]:
        able = [account for account in self._target.accounts if account.password]
        wanted = [
            kind for kind, count in self.pace.readers.items() for _ in range(count)
            if (self._target.pop3 if kind == "pop3" else self._target.imap) is not None
        ]  # fmt: skip
        return [
            self._read(kind, able[number :: len(wanted)], number)
            for number, kind in enumerate(wanted)
            if able[number :: len(wanted)]
        ]

    async def _read(self, kind: str, accounts: Sequence[Account], number: int) -> None:
        draw = Random(f"{self._seed} {kind} {number}")
        desks = [Desk(account) for account in accounts]
        session = KINDS[kind](self._target, self.notes, draw, self.pace.idle_s)
        while not self._reading_ends.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(draw.expovariate(1 / self.pace.think_s)):
                    await self._reading_ends.wait()
            if self._reading_ends.is_set():
                return
            try:
                await session.session(draw.choice(desks))
                self.meter.add(f"{kind}: sessions", 0.0)
            except WireError as error:
                self.notes.failed(f"{kind}: {error}")


class _Sender:
    """One sending program: a connection by SMTP, or by submission as the letter's account."""

    def __init__(self, target: Target, letters_a_connection: int) -> None:
        self._target = target
        self._most = letters_a_connection
        self._client: SmtpClient | None = None
        self._used_as = ""
        self._count = 0

    async def send(self, letter: Letter) -> Answer:
        who = letter.account.address if letter.account else ""
        if self._client is not None and (self._count >= self._most or who != self._used_as):
            await self.close()
        to = self._target.submission if letter.account else self._target.smtp
        if to is None:
            return Answer(0, "no service for it")
        try:
            if self._client is None:
                self._client = await SmtpClient.open(to, self._target.tls, letter.account, self._target.timeout_s)
                self._used_as, self._count = who, 0
        except WireError as error:
            return Answer(0, str(error))
        self._count += 1
        answer = await self._client.send(letter.sender, letter.recipients, letter.octets, utf8=letter.needs_utf8)
        if answer.code in (0, 421):
            await self.close()
        return answer

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()


def _states(letter: Letter, answer: Answer) -> dict[str, State]:
    """What each recipient was promised."""
    if answer.code == 0:
        state = State.DOUBTFUL if answer.is_in_doubt else State.REFUSED
        return dict.fromkeys(letter.recipients, state)
    whole = {2: State.ACCEPTED, 4: State.DEFERRED}.get(answer.code // 100, State.REFUSED)
    states = dict.fromkeys(letter.recipients, whole)
    for address, code in answer.recipients:
        if code // 100 != 2:
            states[address] = State.DEFERRED if code // 100 == 4 else State.REFUSED
    return states
