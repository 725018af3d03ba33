"""What the office runs by calendar: each duty once at its time, once if the time was missed, never twice at once.

The triggers are APScheduler's, used as arithmetic over our clock: nothing here sleeps, and a test moves a fake clock
and calls `look`. To add a duty, add a line to `bdmta.office.duties`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from bdmta.clock import Clock
from bdmta.tasks import Tasks
from storage.files import write_durable

LOOK_EVERY_S = 1.0
_LOOK_AFTER_FAILURE_S = 60.0


class Trigger(Protocol):
    """When: `apscheduler.triggers.cron.CronTrigger` and its kin. Give it the site's time zone."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The first time after `previous_fire_time`; None when there is none any more."""


@dataclass(frozen=True, slots=True)
class Duty:
    """One thing that is done by calendar.

    `run` is awaited in the office's loop and must not block it: short work upon the books goes through `Desk.ask`,
    long work through `Desk.errand` (a process of its own) or `asyncio.to_thread`. It may run once more than planned,
    when the machine fell while it ran: what must not happen twice is remembered by the duty itself (contract 15).
    """

    name: str
    """Lower case with dashes; what `bdmta status` and the timetable's file call it. Never reused for another duty."""
    trigger: Trigger
    run: Callable[[], Awaitable[object]]
    jitter_s: float = 0
    """Each time is put off by a random part of this, so that a hundred sites do not ask one server at once."""
    retry_s: float = 0
    """After a failure it is tried again so many seconds later, until its next time comes; 0: not before then."""


@dataclass(slots=True)
class Past:
    """What is known of a duty's last runs, in seconds since 1970."""

    base_at: float
    """Where the search of its next time starts."""
    started_at: float | None = None
    ended_at: float | None = None
    error: str = ""
    made_up: bool = False
    """Whether the last start was for one that the machine, or a stop, had broken off."""

    @property
    def is_unfinished(self) -> bool:
        """Whether it was started, and nothing says that it ended."""
        return self.started_at is not None and (self.ended_at is None or self.ended_at < self.started_at)


class Timetable:
    """The duties of one office. What ran when is in the file `path`: durable before a duty starts."""

    def __init__(
        self, duties: Iterable[Duty], path: str, clock: Clock, tasks: Tasks, log: Any,
        *, chance: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self._duties = {duty.name: duty for duty in duties}
        self._path = path
        self._clock = clock
        self._tasks = tasks
        self._log = log
        self._chance = chance
        self._past = read_past(path)
        self._due_at: dict[str, float] = {}
        self._running: set[str] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Look once a second, until `stopping`; a minute after the timetable's file could not be written (no space)."""
        while not stopping.is_set():
            wait_s = LOOK_EVERY_S
            try:
                self.look()
            except Exception:
                self._log.error("nothing is started by calendar now", exc_info=True)
                wait_s = _LOOK_AFTER_FAILURE_S
            try:
                await asyncio.wait_for(stopping.wait(), wait_s)
            except TimeoutError:
                continue

    def look(self) -> list[asyncio.Task[Any]]:
        """Start what is due now; the tasks of what was started."""
        now = self._clock.time()
        started = []
        for name, duty in self._duties.items():
            if name in self._running:
                continue
            if name not in self._due_at:
                self._plan(duty, now)
            if self._due_at[name] <= now:
                started.append(self._start(duty, now))
        return started

    def due_at(self, name: str) -> float:
        """When the duty runs next, in seconds since 1970; infinity: never. Known once `look` was called."""
        return self._due_at.get(name, float("inf"))

    def _plan(self, duty: Duty, now: float) -> None:
        past = self._past.get(duty.name)
        if past is None:  # seen for the first time: nothing was missed
            past = self._past[duty.name] = Past(now)
            self._write()
        if past.is_unfinished and not past.made_up:  # once: what fells the office must not fell it for ever
            self._due_at[duty.name] = now
            return
        base_at = min(past.base_at, now)  # a clock that was wrong by years must not silence it for years
        next_at = _next_after(duty.trigger, base_at)
        if duty.retry_s and past.error and past.ended_at is not None:
            next_at = min(next_at, min(past.ended_at, now) + duty.retry_s)
        elif next_at > now:
            next_at += self._chance() * duty.jitter_s
        self._due_at[duty.name] = next_at

    def _start(self, duty: Duty, now: float) -> asyncio.Task[Any]:
        past = self._past[duty.name]
        self._past[duty.name] = Past(now, now, past.ended_at, past.error, made_up=past.is_unfinished)
        self._write()
        self._running.add(duty.name)
        del self._due_at[duty.name]
        return self._tasks.start(self._perform(duty), duty.name)

    async def _perform(self, duty: Duty) -> None:
        error = ""
        try:
            await duty.run()
        except asyncio.CancelledError:
            self._running.discard(duty.name)
            raise  # the office stops: unfinished, it is made up
        except Exception as failed:
            error = f"{type(failed).__name__}: {failed}"[:500]
            self._log.error("duty failed", duty=duty.name, exc_info=True)
        past = self._past[duty.name]
        past.ended_at, past.error = max(self._clock.time(), past.started_at or 0.0), error
        self._running.discard(duty.name)
        self._write()

    def _write(self) -> None:
        rows = {name: asdict(past) for name, past in sorted(self._past.items())}
        write_durable(self._path, json.dumps(rows, indent=1).encode() + b"\n")


def _next_after(trigger: Trigger, base_at: float) -> float:
    base = datetime.fromtimestamp(base_at, UTC)
    found = trigger.get_next_fire_time(base, base)
    return found.timestamp() if found is not None else float("inf")


def read_past(path: str) -> dict[str, Past]:
    """What the timetable's file tells of each duty; nothing when it is absent or unreadable (then none was missed)."""
    try:
        with open(path, encoding="utf-8") as file:
            return {str(name): Past(**row) for name, row in json.load(file).items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def timetable_path(data_dir: str) -> str:
    """The file of the timetable of the site in `data_dir`."""
    return os.path.join(data_dir, "timetable.json")
