"""Restoring one mailbox, folder or letter while the site serves: sessions see it come, the audit log has it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from bdmta.backup.choose import Chosen
from bdmta.clock import Clock
from bdmta.delivery import limit_of
from bdmta.directory.snapshot import MailboxEntry, Snapshot
from bdmta.errors import BdmtaError
from bdmta.render.letter import rules
from bdmta.site import Site
from storage.backup.manifest import FolderRow, Manifest
from storage.backup.merge import merge
from storage.backup.place import Placer
from storage.backup.repository import Repository
from storage.backup.unnoticed import revive
from storage.box import Mailboxes
from storage.errors import StoreError
from storage.maildir import create_mailbox, folder_dir, mailbox_dir
from storage.quota import Limit, Quota

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Restored:
    """What was done: by folder of the mailbox now, letters restored and letters that were there already."""

    backup_id: str
    mailbox: str
    folders: dict[str, int] = field(default_factory=dict)
    present: int = 0
    uids_kept: list[str] = field(default_factory=list)
    revived: dict[str, int] = field(default_factory=dict)
    renumbered: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def letters(self) -> int:
        """Letters restored."""
        return sum(self.folders.values())

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the audit log."""
        return {
            "backup": self.backup_id, "mailbox": self.mailbox, "restored": self.letters, "present": self.present,
            "folders": self.folders, "uids_kept": self.uids_kept, "revived": self.revived,
            "renumbered": self.renumbered,
            "problems": self.problems,
        }  # fmt: skip


def entry_of(site: Site, address: str) -> MailboxEntry | None:
    """The mailbox as the directory has it now; None when it has none, or nothing is published yet."""
    try:
        return Snapshot.open(site.snapshot_path).mailbox(address)
    except StoreError:
        return None


def restore_mailbox(
    site: Site, repository: Repository, chosen: Chosen, clock: Clock, *, into: str, in_place: bool, of_letters: bool,
    progress: Progress = lambda letters, octets: None,
) -> Restored:  # fmt: skip
    """Bring `chosen` back: into folder `into` and folders below it, or (`in_place`) where everything was.

    In place, a folder that is void gets its UIDs and UIDVALIDITY back, and so do letters that were lost without any
    session having been told. One that is in use gets what else it lacks; restored as a whole, in their old order under
    a higher UIDVALIDITY. Asked twice, done once. Raises BdmtaError, StoreError.
    """
    entry = entry_of(site, chosen.mailbox)
    path = mailbox_dir(site.mail_root, chosen.mailbox)
    done = Restored(chosen.backup.id, chosen.mailbox)
    wanted = [letter.sha256 for folder in chosen.folders for letter in folder.letters]
    if in_place and not of_letters:
        wanted += [part for row in repository.manifest(chosen.backup, chosen.file).files for part in row.parts]
    with repository.reading(chosen.backup, wanted) as objects:
        placer = Placer(objects, progress)
        if in_place and not of_letters:
            _place_void(site, repository, chosen, placer, path, done)
        if not os.path.isdir(f"{path}/cur"):  # also where a loss of power cut a restore off
            create_mailbox(path)
        left = [folder for folder in chosen.folders if folder.name not in done.uids_kept]
        if in_place:
            _revive(site, placer, path, left, done)
        if left:
            _merge(site, clock, placer, path, left, done, into=into, in_place=in_place, of_letters=of_letters)
        done.problems = placer.problems
    Quota(clock).recalculate(path, limit_of(entry) if entry is not None else Limit())
    return done


def _place_void(
    site: Site, repository: Repository, chosen: Chosen, placer: Placer, path: str, done: Restored
) -> None:  # fmt: skip
    """Folders of which nothing is left: as they were."""
    files = repository.manifest(chosen.backup, chosen.file).files
    aside = os.path.join(site.mail_root, f".restoring.{os.getpid()}")
    kept = placer.mailbox(Manifest(chosen.folders, files), path, aside)
    by_name = {folder.name or folder.dir: len(folder.letters) for folder in chosen.folders}
    done.uids_kept = kept
    done.folders.update({name: by_name[name] for name in kept if by_name[name]})
    if kept:
        create_mailbox(path)  # what the backup lacked: a mailbox has its special folders


def _index_path(site: Site, path: str) -> str:
    return os.path.join(site.index_dir, os.path.relpath(path, site.mail_root) + ".db")


def _revive(site: Site, placer: Placer, path: str, folders: list[FolderRow], done: Restored) -> None:
    """Letters whose loss nobody has noticed: as they were. The rest of their folder is merged."""
    for folder in folders:
        if folder.name and (count := revive(_index_path(site, path), folder_dir(path, folder.name), folder, placer)):
            done.folders[folder.name] = done.revived[folder.name] = count


def _merge(
    site: Site, clock: Clock, placer: Placer, path: str, folders: list[FolderRow], done: Restored,
    *, into: str, in_place: bool, of_letters: bool,
) -> None:  # fmt: skip
    index = _index_path(site, path)
    os.makedirs(os.path.dirname(index), mode=0o700, exist_ok=True)
    with ThreadPoolExecutor(1) as executor:
        boxes = Mailboxes(
            rules=rules(fold_diacritics=site.config.imap.fold_diacritics), clock=clock,
            host=site.config.server.hostname, executor=executor,
        )  # fmt: skip
        try:
            mailbox = boxes.mailbox(path, index)
            for folder in folders:
                if not folder.letters and not (in_place and folder.name):
                    continue
                target = folder.name if in_place else below(into, folder.name, is_single=of_letters)
                if not target:
                    placer.problems.append(f"folder {folder.dir}: its name cannot be read; restore it with --into")
                    continue
                one = merge(
                    mailbox, target, folder, folder.letters, placer, renumber=in_place and not of_letters
                )  # fmt: skip
                done.present += one.present - (done.revived.get(target, 0) if in_place else 0)
                if one.restored:
                    done.folders[target] = done.folders.get(target, 0) + one.restored
                if one.renumbered:
                    done.renumbered.append(target)
        finally:
            boxes.close()


def below(into: str, folder: str, *, is_single: bool) -> str:
    """Where in the side folder `into` a folder's letters go: single letters and INBOX's into itself."""
    return into if is_single or folder in ("INBOX", "") else f"{into}/{folder}"


def side_folder(site: Site, clock: Clock) -> str:
    """The name of today's side folder."""
    from zoneinfo import ZoneInfo

    return f"Khôi phục-{clock.now().astimezone(ZoneInfo(site.config.clock.timezone)):%Y%m%d}"


def require_mailbox(site: Site, address: str) -> None:
    """Raise BdmtaError unless the directory has the mailbox: letters restored for nobody would never be read."""
    if entry_of(site, address) is None:
        raise BdmtaError(
            f"{address}: the directory has no such mailbox; add it (`bdmta mailbox add`), or restore the whole site"
        )
