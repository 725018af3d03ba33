"""The reports of one day, from the ledger to the queue; by hand (`bdmta dmarc report`) or every day by the office."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bdmta.clock import Clock
from bdmta.dns import Resolver
from bdmta.mailauth.aggregate import Row, rows_of
from bdmta.mailauth.reporting import DailyReport, Reporter
from bdmta.site import Site
from storage.ledger import Ledger
from storage.spool import Spool

_DAY_S = 86_400
_EVENTS = ("accepted", "refused")


@dataclass(frozen=True, slots=True)
class Made:
    """One report and what became of it: `made`, `sent`, `sent before`, or why it goes to nobody."""

    report: DailyReport
    state: str


def yesterday(clock: Clock) -> int:
    """Where the last whole day (UTC) began, in seconds since 1970."""
    day = clock.now().astimezone(UTC) - timedelta(days=1)
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


async def reports_of(site: Site, clock: Clock, begin: int, *, send: bool) -> list[Made]:
    """Make the reports of the day that begins at `begin`; `send`: queue each, once. Raises StoreError."""
    config = site.config
    reporter = Reporter(
        Resolver(config.dns.servers, config.dns.timeout_s), clock, hostname=config.server.hostname,
        contact=config.postmaster,
    )  # fmt: skip
    rows = await asyncio.to_thread(_rows, site.ledger_db, begin)
    spool, sent_dir = Spool(site.queue_dir, clock), os.path.join(site.data_dir, "dmarc", "sent")
    made: list[Made] = []
    for report in await reporter.make(begin, rows):
        state = report.reason or "made"
        if send and not report.reason:
            is_new = await asyncio.to_thread(reporter.send, report, spool, sent_dir)
            state = "sent" if is_new else "sent before"
        made.append(Made(report, state))
    return made


def _rows(ledger_db: str, begin: int) -> dict[str, Counter[Row]]:
    ledger = Ledger.open(ledger_db, readonly=True)
    try:
        return rows_of(fact for event in _EVENTS for fact in ledger.events(event, begin, begin + _DAY_S))
    finally:
        ledger.close()


async def send_daily(site: Site, clock: Clock, log: Any) -> None:
    """Send yesterday's reports, those that were not sent yet; raises what made it fail, so that it is tried again."""
    made = await reports_of(site, clock, yesterday(clock), send=True)
    sent = sum(one.state == "sent" for one in made)
    if sent:
        log.info("DMARC reports sent", count=sent)
