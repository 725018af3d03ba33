"""Every duty of the office's timetable, in one list. A new one is a line in `duties`."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from bdmta.clock import Clock
from bdmta.mailauth.daily import send_daily
from bdmta.office import backups, errand
from bdmta.office.timetable import Duty, Trigger
from bdmta.requests import duties as request_duties
from bdmta.site import Site


@dataclass(frozen=True, slots=True)
class Desk:
    """What a duty works with."""

    site: Site
    clock: Clock
    log: Any
    ask: Callable[..., Awaitable[Any]]
    """`await ask(CALL, **arguments)`: one registered call (`bdmta.directory.registry`) in the one writer's turn; it
    holds up every other command, so it is for what takes a second at most."""

    async def errand(self, *words: str) -> str:
        """What `bdmta WORDS` prints, run in a process of its own; BdmtaError with what it said when it fails."""
        return await errand.run(self.site.config_path, words)

    def at(self, *, zone: str = "", **fields: Any) -> Trigger:
        """A trigger in the site's time zone (or `zone`): `at(hour=7)`, `at(day=1, hour=8)`, `at(minute="*/15")`.

        What is finer than the finest field given is 0 (APScheduler's CronTrigger).
        """
        return cast(Trigger, CronTrigger(timezone=ZoneInfo(zone or self.site.config.clock.timezone), **fields))

    def crontab(self, fields: str) -> Trigger:
        """A trigger from the five fields of a crontab, in the site's time zone."""
        return cast(Trigger, CronTrigger.from_crontab(fields, timezone=ZoneInfo(self.site.config.clock.timezone)))


async def prove_audit(desk: Desk) -> None:
    """Verify the audit log against the heads written down so far, then write down today's."""
    anchor = desk.site.config.audit.anchor_file
    known = ("--anchor", anchor) if anchor and os.path.exists(anchor) else ()
    await desk.errand("audit", "verify", *known)
    if anchor:
        await desk.errand("audit", "head", "--out", anchor)


def duties(desk: Desk) -> list[Duty]:
    """What this site does by calendar."""
    config = desk.site.config
    marker = os.path.join(desk.site.state_dir, "quarantine-digest")
    digest = partial(desk.ask, "quarantine_daily", keep_days=config.quarantine.keep_days, marker=marker)
    found = [Duty("quarantine-digest", desk.at(hour=config.quarantine.digest_hour), digest)]
    collect = partial(desk.errand, "dmarc", "collect")
    found.append(Duty("dmarc-collect", desk.at(minute="*/15"), collect, jitter_s=60))
    found.append(Duty("requests", desk.at(minute="*"), partial(request_duties.look, desk.ask, desk.errand)))
    ended = partial(desk.ask, "request_aliases_end")
    found.append(Duty("aliases-end", desk.at(hour=3, minute=30), ended))
    if config.dmarc.reports and config.dns.servers:
        # An hour into the day (UTC), when the facts of the day before have come in.
        send = partial(send_daily, desk.site, desk.clock, desk.log)
        found.append(Duty("dmarc-reports", desk.at(hour=1, zone="UTC"), send, jitter_s=1200, retry_s=600))
    found.append(Duty("audit-verify", desk.at(hour=config.audit.verify_hour), partial(prove_audit, desk), jitter_s=600))
    if config.addressbook.targets or config.addressbook.internal_targets:
        # Whatever became of it there meanwhile; what changes is published at once (`bdmta.office.addressbook`).
        book = partial(desk.errand, "addressbook", "publish", "--all")
        found.append(Duty("addressbook", desk.at(hour=config.addressbook.publish_hour), book, jitter_s=600))
    return [*found, *_backups(desk)]


def _backups(desk: Desk) -> Iterator[Duty]:
    settings = desk.site.config.backup
    if settings.schedule:
        trigger = desk.crontab(settings.schedule)
        yield Duty("backup", trigger, partial(backups.back_up, desk), jitter_s=settings.jitter_s, retry_s=1800)
        yield Duty("backup-watch", desk.at(minute=55), partial(backups.watch, desk))
    if settings.verify_schedule:
        yield Duty("backup-verify", desk.crontab(settings.verify_schedule), partial(backups.verify, desk))
    if settings.drill_schedule:
        yield Duty("backup-drill", desk.crontab(settings.drill_schedule), partial(backups.drill, desk))
