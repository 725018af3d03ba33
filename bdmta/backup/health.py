"""Whether the site could be restored today: the last backup, the last verification, what is wrong with either."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from bdmta.backup.record import DrillRecord, local_time, read_record
from bdmta.backup.taking import open_repository
from bdmta.clock import Clock
from bdmta.errors import BdmtaError
from bdmta.metrics import write_figures
from bdmta.office.timetable import read_past, timetable_path
from bdmta.site import Site
from storage.backup.repository import Taken
from storage.errors import StoreError

DUTY = "backup"
__all__ = ["DrillRecord", "Health", "as_status", "examine", "local_time", "look_again", "shown", "write_metrics"]
VERIFY_DUTY = "backup-verify"
DRILL_DUTY = "backup-drill"


@dataclass(slots=True)
class Health:
    """Times are seconds since 1970; `alarms` are sentences for the operator, one a cause."""

    last: Taken | None = None
    is_taken: bool = False
    verified_at: float | None = None
    is_whole: bool = False
    drill: DrillRecord | None = None
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
    health.drill = read_record(site)
    if health.drill is not None and health.drill.problems and not any("drill" in one for one in health.alarms):
        health.alarms.append(f"the last drill failed: {health.drill.problems[0]}")
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
    has_failed_since = DUTY in past and past[DUTY].error and (past[DUTY].ended_at or 0) > taken[-1].ended_at
    health.is_taken = not (taken[-1].problems or has_failed_since)
    if taken[-1].problems:
        health.alarms.append(
            f"backup {taken[-1].id} lacks {len(taken[-1].problems)} files that could not be read:"
            f" {taken[-1].problems[0]}"
        )
    times = [one.at for one in verified.values() if one is not None]
    health.verified_at = max(times, default=None)
    health.is_whole = bool(times) and not any(one.problems for one in verified.values() if one is not None)
    proven_at = health.verified_at or taken[0].taken_at
    if settings.unverified_after_s and now - proven_at > settings.unverified_after_s:
        health.alarms.append(f"no backup was verified since {_local(site, proven_at)}")
    for backup_id, one in verified.items():
        if one is not None and one.problems:
            health.alarms.append(f"backup {backup_id} is damaged ({len(one.problems)}): {one.problems[0]}")
    return health


def _local(site: Site, at: float) -> str:
    return local_time(at, site.config.clock.timezone)


def as_status(site: Site, clock: Clock) -> dict[str, Any] | None:
    """The last backup for `bdmta status`: None while there is none and nothing is wrong."""
    health = examine(site, clock)
    if health.last is None and not health.alarms and health.drill is None:
        return None
    last = health.last
    return {
        "id": last.id if last else None,
        "taken_at": _local(site, last.taken_at) if last else None,
        "letters": last.letters if last else None,
        "octets": last.octets if last else None,
        "verified_at": _local(site, health.verified_at) if health.verified_at else None,
        "drill": health.drill.as_json(site.config.clock.timezone) if health.drill else None,
        "alarms": health.alarms,
    }


def write_metrics(site: Site, health: Health) -> str:
    """Write `metrics/backup.prom` (`bdmta.metrics`); its path. Times are 0 for never, results 1 for good."""
    last, drill = health.last, health.drill
    return write_figures(site, "backup", {
        "bdmta_backup_last_taken_timestamp_seconds": ("When the last backup was taken; 0: never.",
                                                      last.taken_at if last else 0),
        "bdmta_backup_last_result": ("Whether the last run took a whole backup.", health.is_taken),
        "bdmta_backup_last_verified_timestamp_seconds": ("When a backup was verified last; 0: never.",
                                                         health.verified_at or 0),
        "bdmta_backup_last_verify_result": ("Whether all was whole then.", health.is_whole),
        "bdmta_backup_last_drill_timestamp_seconds": ("When the last drill was; 0: never.", drill.at if drill else 0),
        "bdmta_backup_last_drill_result": ("Whether it read everything as it was.",
                                           drill is not None and not drill.problems),
        "bdmta_backup_letters": ("Letters in the last backup.", last.letters if last else 0),
        "bdmta_backup_octets": ("Octets in the last backup.", last.octets if last else 0),
        "bdmta_backup_alarms": ("What is wrong with the backups.", len(health.alarms)),
    })  # fmt: skip


def look_again(site: Site, clock: Clock) -> None:
    """After a command has done something: the figures as they are now."""
    try:
        write_metrics(site, examine(site, clock))
    except OSError:
        return  # the next look of the office does it


def shown(taken: Taken) -> dict[str, Any]:
    """A backup's record without the names of its files."""
    return {key: value for key, value in asdict(taken).items() if key != "manifests"}
