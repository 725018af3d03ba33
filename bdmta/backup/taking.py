"""Taking backups, keeping house, reading them back: the same for both kinds of repository."""

from __future__ import annotations

import os
from collections.abc import Callable
from zoneinfo import ZoneInfo

from bdmta import __version__
from bdmta.backup.plan import folder_repository, keep_of, restic_repository, source_of
from bdmta.clock import Clock
from bdmta.errors import BdmtaError
from bdmta.journals import replay_unserved
from bdmta.log import quiet_log
from bdmta.setup.inspection import is_running
from bdmta.site import Site
from storage.backup.check import verify
from storage.backup.repository import FolderRepository, Taken, Verified
from storage.backup.restic import ResticRepository
from storage.backup.retention import surplus
from storage.backup.take import Progress, mailboxes_of, take
from storage.errors import StoreError
from storage.maildir import folder_dirs

_SWEEP_EVERY_S = 20 * 3600.0


def open_repository(site: Site) -> FolderRepository | ResticRepository:
    """The repository that the configuration names. Nothing is made by asking."""
    return restic_repository(site) if site.config.backup.kind == "restic" else folder_repository(site)


def take_backup(site: Site, clock: Clock, progress: Progress = lambda letters, octets: None) -> tuple[Taken, list[str]]:
    """Take a backup of the site now, then remove those that need not stay; it, and the ids removed.

    Raises BdmtaError, StoreError.
    """
    workers = site.config.backup.workers
    site.create_folders()
    if not is_running(site):
        replay_unserved(site, quiet_log(site))
    repository = open_repository(site)
    source = source_of(site)
    os.nice(5)
    if isinstance(repository, ResticRepository):
        taken = repository.take(source, clock, workers=workers, version=__version__, progress=progress)
    else:
        taken = take(repository, source, clock, workers=workers, version=__version__, progress=progress)
    return taken, _keep_house(site, repository, clock)


def _keep_house(site: Site, repository: FolderRepository | ResticRepository, clock: Clock) -> list[str]:
    zone = ZoneInfo(site.config.clock.timezone)
    gone = surplus([(one.id, one.taken_at) for one in repository.taken()], keep_of(site), zone)
    for backup_id in gone:
        repository.remove(backup_id)
    marker = os.path.join(site.state_dir, "backup-swept")
    if not _is_older(marker, clock.time() - _SWEEP_EVERY_S):
        return gone
    repository.tidy()
    with open(marker, "w", encoding="ascii"):
        os.utime(marker, (clock.time(), clock.time()))
    return gone


def _is_older(path: str, at: float) -> bool:
    try:
        return os.stat(path).st_mtime < at
    except FileNotFoundError:
        return True


def verify_backups(
    site: Site, clock: Clock, backup_id: str = "", progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Verified]:
    """Read one backup, or all, back in full; what was found, by id. Raises BdmtaError, StoreError."""
    repository = open_repository(site)
    backups = repository.taken()
    if backup_id:
        backups = [one for one in backups if one.id == backup_id]
    if not backups:
        raise BdmtaError(f"{backup_id or repository.place}: no such backup; `bdmta backup list` shows them")
    workers = site.config.backup.workers
    if isinstance(repository, ResticRepository):
        return repository.verify(backups, clock, workers=workers, progress=progress)
    return verify(repository, backups, clock, workers=workers, progress=progress)


def letters_now(site: Site) -> int:
    """About how many letters there are, for a progress bar: by listing, nothing is opened."""
    count = 0
    for mailbox, _ in mailboxes_of(site.mail_root):
        try:
            for folder in folder_dirs(mailbox):
                count += sum(len(os.listdir(f"{folder}/{sub}")) for sub in ("cur", "new"))
        except (OSError, StoreError):
            continue
    return count
