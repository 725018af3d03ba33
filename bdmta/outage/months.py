"""Availability by month, from the ledger and the notices, written for the status page."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from bdmta.outage.availability import Away, availability, month_span
from bdmta.outage.notice import Notice
from bdmta.outage.page_files import AVAILABILITY
from bdmta.site import Site
from storage.errors import StoreError
from storage.files import write_durable
from storage.ledger import Ledger

MONTHS = 12
_NEVER = datetime.max.replace(tzinfo=UTC)


def months(site: Site, notices: Sequence[Notice], now: datetime) -> list[dict[str, Any]]:
    """The last twelve months, the newest first, as far back as anything is known of this system. Raises StoreError."""
    zone = site.config.clock.timezone
    aways, first_at = _aways(site)
    start = min([first_at, *(notice.from_at for notice in notices), now])
    rows: list[dict[str, Any]] = []
    year, month = _local(now, zone)
    for _ in range(MONTHS):
        span = month_span(year, month, zone)
        if span[1] <= start:
            break
        found = availability((max(span[0], start), span[1]), now, notices, aways, site.config.services)
        services = {
            one.service: {"percent": one.percent, "unplanned_s": one.unplanned_s, "planned_s": one.planned_s}
            for one in found
        }
        if services:
            rows.append({"month": f"{month:02d}/{year}", "services": services})
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)
    return rows


def write_months(site: Site, notices: Sequence[Notice], now: datetime) -> None:
    """Write them where the status page reads them. Raises StoreError."""
    content = json.dumps({"months": months(site, notices, now)}, indent=1).encode()
    write_durable(os.path.join(site.outage_dir, AVAILABILITY), content)


def _local(now: datetime, zone: str) -> tuple[int, int]:
    local = now.astimezone(ZoneInfo(zone))
    return local.year, local.month


def _aways(site: Site) -> tuple[list[Away], datetime]:
    """What the heartbeat missed, and since when the ledger knows this system."""
    try:
        ledger = Ledger.open(site.ledger_db, readonly=True)
    except StoreError:
        return [], _NEVER
    try:
        facts = list(ledger.events("away", 0.0, float(2**40)))
        first = ledger.first_at()
    finally:
        ledger.close()
    aways = [
        Away(f["detail"]["service"], _moment(f["detail"]["from"]), _moment(f["detail"]["until"]))
        for f in facts
        if {"service", "from", "until"} <= f["detail"].keys()
    ]
    return aways, _moment(first) if first is not None else _NEVER


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
