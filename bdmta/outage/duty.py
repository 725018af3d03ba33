"""Outages in the office: every second, what time has brought, what is to be told, and whether all are still there."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from bdmta.clock import Clock
from bdmta.errors import BdmtaError
from bdmta.outage.book import OutageBook
from bdmta.outage.broadcast import (
    attempt,
    channels_of,
    due_by_channel,
    means_of,
    publish_for_edges,
    rules_of,
    texts_of,
)
from bdmta.outage.channels import Channel
from bdmta.outage.heart import BEAT_EVERY_S, CAUSES, Gap, Heart
from bdmta.outage.jobs import Job
from bdmta.outage.months import write_months
from bdmta.outage.page_files import picture_of, write_files
from bdmta.site import Site
from bdmta.tasks import Tasks
from storage.facts import FactWriter
from storage.files import free_octets

_ROUND_S = 1.0
_NICE = 15
_MONTHS_EVERY_S = 600.0
InTurn = Callable[..., Awaitable[Any]]


class OutageDuty:
    """One in an office. `in_turn` runs a function in the thread of the books."""

    def __init__(self, site: Site, clock: Clock, log: Any, in_turn: InTurn, book: OutageBook) -> None:
        self._site = site
        self._clock = clock
        self._log = log
        self._in_turn = in_turn
        self._book = book
        self._means = means_of(site, clock, log)
        self._channels = channels_of(self._means)
        self._rules = rules_of(site)
        self._tasks = Tasks(log)
        self._parent = os.getppid()
        self._busy: set[str] = set()
        self._executor = ThreadPoolExecutor(len(self._channels), thread_name_prefix="announce", initializer=_step_back)
        self._heart = Heart(site.outage_dir, clock, site.config.services)
        self._facts = FactWriter(site.facts_dir, clock, "outage")
        self._found = {  # service -> the notice that the heartbeat made of its being away
            service: notice.id
            for notice in book.all()
            if notice.cause and notice.state in ("draft", "open", "overdue") and not notice.found_ended
            for service in notice.services
        }
        self._beat_at = self._months_at = float("-inf")
        if book.problem:
            log.error("the history of outages was changed by hand, a new one begins", reason=book.problem)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`; then what is being told is told to its end, within reason."""
        try:
            gap = self._heart.start()
            if gap is not None:
                await self._note(gap)
            while not stopping.is_set():
                await self.look()
                try:
                    await asyncio.wait_for(stopping.wait(), _ROUND_S)
                except TimeoutError:
                    continue
        finally:
            if os.getppid() == self._parent:  # else we are told to end because the supervisor was killed
                self._heart.stop()
            await self._tasks.finish(5)
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._facts.close()

    async def look(self) -> None:
        """One round. A step that fails is in the log, and keeps no other from being done."""
        for step in (self._beat, self._advance, self._publish, self._tell, self._refresh_months):
            try:
                await step()
            except Exception:
                self._log.error("outages: a step failed, another round follows", step=step.__name__, exc_info=True)

    async def _beat(self) -> None:
        if self._clock.monotonic() - self._beat_at < BEAT_EVERY_S:
            return
        self._beat_at = self._clock.monotonic()
        for gap in self._heart.look(disk_is_full=self._disk_is_full()):
            await self._note(gap)

    async def _advance(self) -> None:
        for event in await self._in_turn(self._book.advance, self._rules, is_well=self._heart.is_well):
            self._log.warning("notice", notice=event["notice"], event=event["event"])

    async def _publish(self) -> None:
        await self._in_turn(publish_for_edges, self._book, self._means)

    async def _tell(self) -> None:
        waiting = await self._in_turn(due_by_channel, self._book, self._channels, self._clock)
        for channel in self._channels:
            jobs = waiting.get(channel.reach.name)
            if jobs and channel.reach.name not in self._busy:
                self._busy.add(channel.reach.name)
                self._tasks.start(self._work(channel, jobs), f"announce by {channel.reach.name}")

    async def _work(self, channel: Channel, jobs: list[Job]) -> None:
        loop = asyncio.get_running_loop()
        try:
            for job in jobs:
                result = await loop.run_in_executor(self._executor, attempt, channel, job, self._clock, self._log)
                await self._in_turn(self._book.record, job.notice.id, job.said.number, job.channel, **result)
                if result["state"] != "waiting":
                    await loop.run_in_executor(self._executor, channel.settle, job)
        finally:
            self._busy.discard(channel.reach.name)

    def reload(self) -> None:
        """SIGHUP: the texts anew; what is broken keeps the old ones and says so."""
        try:
            self._means.texts = texts_of(self._site)
        except BdmtaError as error:
            self._log.error("not reloaded, the old one stays", what="texts of notices", reason=str(error))
        else:
            self._log.info("reloaded", what="texts of notices")

    async def _note(self, gap: Gap) -> None:
        """A gap that is over goes into the ledger; one that is long becomes a notice, once."""
        settings = self._site.config.outage
        if gap.ended:
            self._facts.write(
                [
                    {"event": "away", "detail": {"service": service, "from": gap.from_at, "until": gap.until_at,
                                                 "cause": gap.cause}}
                    for service in gap.services
                ]
            )  # fmt: skip
        known = [self._found[service] for service in gap.services if service in self._found]
        if known:
            if gap.ended:
                for service in gap.services:
                    self._found.pop(service, None)
                for notice_id in dict.fromkeys(known):
                    await self._in_turn(self._book.recovered, notice_id, _moment(gap.until_at))
            else:
                return
        if gap.until_at - gap.from_at <= settings.gap_s:
            return
        announce = settings.on_gap == "announce"
        until_at = gap.until_at if gap.ended else self._clock.time() + settings.estimate_s
        scope = ["all"] if gap.services == self._site.config.services else list(gap.services)
        notice = await self._in_turn(
            self._book.found, _moment(gap.from_at), _moment(until_at), scope=scope, what=CAUSES[gap.cause],
            cause=gap.cause, has_ended=gap.ended, announce=announce,
        )  # fmt: skip
        if notice is not None:
            self._log.error("service was away", notice=notice.id, services=gap.services, cause=gap.cause)
            if not gap.ended:
                self._found |= dict.fromkeys(gap.services, notice.id)

    def _disk_is_full(self) -> bool:
        try:
            return free_octets(self._site.mail_root) < self._site.config.mail.reserve_octets
        except OSError:
            return False

    async def _refresh_months(self) -> None:
        """Availability, and with it the page, every ten minutes: the first time at the start."""
        if self._clock.monotonic() - self._months_at < _MONTHS_EVERY_S:
            return
        self._months_at = self._clock.monotonic()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._write_page, self._book.all())

    def _write_page(self, notices: list[Any]) -> None:
        os.makedirs(self._means.page_folder, mode=0o755, exist_ok=True)
        write_months(self._site, notices, self._clock.now())
        write_files(
            self._means.page_folder, picture_of(self._means.folder, self._clock.now()), self._means.texts, self._site
        )


def _step_back() -> None:
    """Have this thread, and what it starts (typst, rsync), come after the letters that arrive meanwhile."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(int(at), UTC)
