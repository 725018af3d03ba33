"""Whether the site could be restored today: the last backup, the last verification, what is wrong with either."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from bdmta.backup.taking import open_repository
from bdmta.clock import Clock
from bdmta.errors import BdmtaError
from bdmta.office.timetable import read_past, timetable_path
from bdmta.site import Site
from storage.backup.repository import Taken
from storage.errors import StoreError

DUTY = "backup"
VERIFY_DUTY = "backup-verify"
DRILL_DUTY = "backup-drill"


@dataclass(slots=True)
class Health:
    """Times are seconds since 1970; `alarms` are sentences for the operator, one a cause."""

    last: Taken | None = None
    verified_at: float | None = None
    alarms: list[str] = field(default_factory=list)


def examine(site: Site, clock: Clock) -> Health:
    """Look at the repository and at what the timetable remembers. Never raises: what fails is an alarm."""
    health = Health()
    settings = site.config.backup
    now = clock.time()
    past = read_past(timetable_path(site.data_dir))
    names = ((DUTY, "the last backup failed"), (VERIFY_DUTY, "the last verification failed"),
             (DRILL_DUTY, "the last drill failed"))  # fmt: skip
    for name, sentence in names:
        if name in past and past[name].error:
            health.alarms.append(f"{sentence}: {past[name].error}")
    try:
        repository = open_repository(site)
        taken = repository.taken()
        verified = {one.id: repository.verified(one.id) for one in taken}
    except (StoreError, BdmtaError, OSError) as error:
        health.alarms.append(f"the repository of backups cannot be read: {error}")
        return health
    since = taken[-1].taken_at if taken else past[DUTY].base_at if DUTY in past else now
    if settings.late_after_s and settings.schedule and now - since > settings.late_after_s:
        health.alarms.append(f"no complete backup since {_local(site, since)}")
    if not taken:
        return health
    health.last = taken[-1]
    if taken[-1].problems:
        health.alarms.append(
            f"backup {taken[-1].id} lacks {len(taken[-1].problems)} files that could not be read:"
            f" {taken[-1].problems[0]}"
        )
    times = [one.at for one in verified.values() if one is not None]
    health.verified_at = max(times, default=None)
    proven_at = health.verified_at or taken[0].taken_at
    if settings.unverified_after_s and now - proven_at > settings.unverified_after_s:
        health.alarms.append(f"no backup was verified since {_local(site, proven_at)}")
    for backup_id, one in verified.items():
        if one is not None and one.problems:
            health.alarms.append(f"backup {backup_id} is damaged ({len(one.problems)}): {one.problems[0]}")
    return health


def _local(site: Site, at: float) -> str:
    return local_time(at, site.config.clock.timezone)


def local_time(at: float, timezone: str) -> str:
    """`at` in ISO 8601 with the site's offset."""
    return datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(timezone)).isoformat(timespec="seconds")


def as_status(site: Site, clock: Clock) -> dict[str, Any] | None:
    """The last backup for `bdmta status`: None while there is none and nothing is wrong."""
    health = examine(site, clock)
    if health.last is None and not health.alarms:
        return None
    last = health.last
    return {
        "id": last.id if last else None,
        "taken_at": _local(site, last.taken_at) if last else None,
        "letters": last.letters if last else None,
        "octets": last.octets if last else None,
        "verified_at": _local(site, health.verified_at) if health.verified_at else None,
        "alarms": health.alarms,
    }


def write_metrics(site: Site, health: Health) -> str:
    """Write `metrics/backup.prom` in the data folder, for the textfile collector of Prometheus; its path."""
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

    registry = CollectorRegistry()
    figures = {
        "bdmta_backup_last_taken_timestamp_seconds": ("When the last backup was taken; 0: never.",
                                                      health.last.taken_at if health.last else 0),
        "bdmta_backup_last_verified_timestamp_seconds": ("When a backup was verified last; 0: never.",
                                                         health.verified_at or 0),
        "bdmta_backup_letters": ("Letters in the last backup.", health.last.letters if health.last else 0),
        "bdmta_backup_octets": ("Octets in the last backup.", health.last.octets if health.last else 0),
        "bdmta_backup_alarms": ("What is wrong with the backups.", len(health.alarms)),
    }  # fmt: skip
    for name, (sentence, value) in figures.items():
        Gauge(name, sentence, registry=registry).set(value)
    folder = os.path.join(site.data_dir, "metrics")
    os.makedirs(folder, mode=0o755, exist_ok=True)
    path = os.path.join(folder, "backup.prom")
    write_to_textfile(path, registry)
    return path


def shown(taken: Taken) -> dict[str, Any]:
    """A backup's record without the names of its files."""
    return {key: value for key, value in asdict(taken).items() if key != "manifests"}
