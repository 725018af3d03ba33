"""Which backup, and what of it: by its id, by a time, by the letter that is wanted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bdmta.errors import BdmtaError, UsageError
from storage.backup.check import mailbox_of
from storage.backup.manifest import FolderRow, LetterRow
from storage.backup.repository import SITE, Repository, Taken
from storage.errors import NotFound
from storage.maildir import mailbox_dir


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be restored; an empty field is any. `before` in seconds since 1970; `day` of the internal date."""

    backup_id: str = ""
    before: float | None = None
    mailbox: str = ""
    folder: str = ""
    message_id: str = ""
    sender: str = ""
    day: date | None = None

    @property
    def is_of_letters(self) -> bool:
        """Whether single letters are asked for."""
        return bool(self.message_id or self.sender or self.day)


@dataclass(slots=True)
class Chosen:
    """One mailbox of one backup: its folders, each with the letters that are wanted."""

    backup: Taken
    file: str
    mailbox: str
    folders: list[FolderRow]

    @property
    def letters(self) -> int:
        """How many."""
        return sum(len(folder.letters) for folder in self.folders)


def parse_time(text: str, zone: ZoneInfo) -> float:
    """`2026-11-20` (its end), `2026-11-20 17:00` or ISO 8601 as seconds since 1970. Raises UsageError."""
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text) + timedelta(days=1), time(), zone).timestamp()
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text}: a date (2026-11-20) or a time (2026-11-20T17:00) is expected") from None
    return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()


def candidates(repository: Repository, backup_id: str, before: float | None) -> list[Taken]:
    """The backups that may be restored from, the newest first. Raises BdmtaError when there is none."""
    taken = repository.taken()
    if not taken:
        raise BdmtaError(f"{repository.place}: there is no backup yet; `bdmta backup run` takes one")
    if backup_id:
        taken = [one for one in taken if one.id == backup_id]
        if not taken:
            raise BdmtaError(f"{backup_id}: no such backup; `bdmta backup list` shows them")
    if before is not None:
        taken = [one for one in taken if one.taken_at <= before]
        if not taken:
            raise BdmtaError("no backup is as old as that; `bdmta backup list` shows them")
    return taken[::-1]


def choose(repository: Repository, wanted: Wanted, zone: ZoneInfo) -> Chosen:
    """The newest backup that has what is wanted, and that. Raises BdmtaError when none has."""
    searched: set[str] = set()
    for backup in candidates(repository, wanted.backup_id, wanted.before):
        for file in _files(backup, wanted.mailbox):
            if backup.manifests[file] in searched:
                continue  # the mailbox was the same in a newer backup
            searched.add(backup.manifests[file])
            folders = _folders(repository, backup, file, wanted, zone)
            if folders:
                return Chosen(backup, file, mailbox_of(file), folders)
    raise BdmtaError(f"no backup has {_described(wanted)}")


def _files(backup: Taken, mailbox: str) -> Iterator[str]:
    if mailbox:
        file = manifest_file(mailbox)
        yield from [file] if file in backup.manifests else []
    else:
        yield from sorted(file for file in backup.manifests if file != SITE)


def manifest_file(mailbox: str) -> str:
    """The name of a mailbox's manifest."""
    return os.path.relpath(mailbox_dir("/mail", mailbox), "/") + ".jsonl"


def _folders(
    repository: Repository, backup: Taken, file: str, wanted: Wanted, zone: ZoneInfo
) -> list[FolderRow]:  # fmt: skip
    try:
        if wanted.message_id and wanted.message_id.strip("<>").encode() not in repository.manifest_octets(backup, file):
            return []
        manifest = repository.manifest(backup, file)
    except NotFound:
        return []
    found = []
    for folder in manifest.folders:
        if wanted.folder and not _is_folder(folder, wanted.folder):
            continue
        letters = [letter for letter in folder.letters if _is_wanted(letter, wanted, zone)]
        if letters or not wanted.is_of_letters:
            found.append(FolderRow(
                folder.name, folder.dir, folder.uidvalidity, folder.uidnext, folder.keywords, None, letters
            ))  # fmt: skip
    return found


def _is_folder(folder: FolderRow, name: str) -> bool:
    return folder.name == name or (name.upper() == "INBOX" and folder.name == "INBOX")


def _is_wanted(letter: LetterRow, wanted: Wanted, zone: ZoneInfo) -> bool:
    if wanted.message_id and letter.message_id.strip("<>") != wanted.message_id.strip("<>"):
        return False
    if wanted.sender and letter.sender != wanted.sender.lower():
        return False
    return wanted.day is None or datetime.fromtimestamp(letter.at_ns / 1e9, zone).date() == wanted.day


def _described(wanted: Wanted) -> str:
    letter = f"a letter {wanted.message_id}" if wanted.message_id else "a letter" if wanted.is_of_letters else ""
    parts = [letter]
    parts += [f"from {wanted.sender}"] if wanted.sender else []
    parts += [f"of {wanted.day}"] if wanted.day else []
    parts += [f"in folder {wanted.folder}"] if wanted.folder else []
    parts += [f"mailbox {wanted.mailbox}" if not letter else f"of mailbox {wanted.mailbox}"] if wanted.mailbox else []
    return " ".join(part for part in parts if part) or "anything"
