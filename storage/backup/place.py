"""Restoring files as they were: names, UIDs, UIDVALIDITY, flags, dates. Where there is nothing, or nothing any more.

Everything is built aside, synced, and then renamed into place: a crash leaves the mailbox as it was, or restored.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress

from storage.backup.manifest import FileRow, FolderRow, LetterRow, Manifest
from storage.backup.objects import Objects
from storage.backup.sealed import unseal
from storage.errors import Corrupt, NotFound
from storage.files import fsync_dir, store_error, sync_file_system, write_all
from storage.uidlist import FILE_NAME as UIDLIST_FILE
from storage.uidlist import with_later_uids
from storage.uidlist_lock import uidlist_lock

_LATER_UIDS = 100_000
"""Sessions may have been told so many UIDs between the backup and the loss: none of them is given to another letter."""


def folder_is_void(path: str) -> bool:
    """Whether a folder can be put back as it was: it is absent, or has neither letters nor UIDs that were told."""
    if os.path.lexists(f"{path}/{UIDLIST_FILE}"):
        return False
    return not any(_names(f"{path}/{sub}") for sub in ("cur", "new"))


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


class Placer:
    """Puts letters and files back, read from `objects`; equal letters of one date share a file again.

    `problems` has the letters that could not be read whole; the others are restored.
    """

    def __init__(self, objects: Objects, progress: Callable[[int, int], None] = lambda letters, octets: None) -> None:
        self._objects = objects
        self._progress = progress
        self._placed: dict[tuple[str, int], str] = {}
        self.letters = 0
        self.octets = 0
        self.problems: list[str] = []

    def mailbox(self, manifest: Manifest, mailbox: str, aside: str) -> list[str]:
        """Put back every folder that is void; the names of those. Raises StoreError.

        `aside`: a folder that does not exist, on the file system of `mailbox`.
        """
        void = [folder for folder in manifest.folders if folder_is_void(_folder_path(mailbox, folder))]
        try:
            os.makedirs(aside, mode=0o700)
            for folder in void:
                self._build(folder, manifest.files, f"{aside}/{folder.dir or 'INBOX'}")
            _sync(aside)
            os.makedirs(mailbox, mode=0o700, exist_ok=True)
            for folder in sorted(void, key=lambda one: one.dir == ""):  # INBOX last: then the mailbox can be opened
                _move_in(f"{aside}/{folder.dir or 'INBOX'}", _folder_path(mailbox, folder))
            for path in (mailbox, os.path.dirname(mailbox), os.path.dirname(os.path.dirname(mailbox))):
                fsync_dir(path)
        except OSError as error:
            raise store_error(error, f"cannot restore {mailbox}") from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return [folder.name or folder.dir for folder in void]

    def _build(self, folder: FolderRow, files: list[FileRow], path: str) -> None:
        for sub in ("tmp", "new", "cur"):
            os.makedirs(f"{path}/{sub}", mode=0o700)
        prefix = f"{folder.dir}/" if folder.dir else ""
        for file in files:
            name = file.path.removeprefix(prefix)
            if file.path.startswith(prefix) and "/" not in name:
                self.file(file, f"{path}/{name}")
        _tell_later_uids(f"{path}/{UIDLIST_FILE}")
        for letter in folder.letters:
            sub = "cur" if letter.uid is not None or letter.info else letter.sub
            info = letter.info or (":2," if sub == "cur" else "")
            self._letter(letter, f"{path}/{sub}/{letter.base}{info}")

    def _letter(self, letter: LetterRow, path: str) -> None:
        key = (letter.sha256, letter.at_ns)
        known = self._placed.get(key)
        if known is not None:
            try:
                os.link(known, path)
                self.note(letter.octets)
                return
            except OSError:
                pass  # moved meanwhile, or too many links
        try:
            octets = self.checked(letter.sha256)
        except (Corrupt, NotFound) as error:
            self.problems.append(f"letter {letter.message_id or letter.base} is not restored: {error}")
            return
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, [octets])
            os.utime(fd, ns=(letter.at_ns, letter.at_ns))
        finally:
            os.close(fd)
        self._placed[key] = path
        self.note(letter.octets)

    def note(self, octets: int) -> None:
        """One more letter was put back."""
        self.letters += 1
        self.octets += octets
        self._progress(1, octets)

    def checked(self, sha256: str) -> bytes:
        """The object's octets. Raises NotFound, Corrupt: what is not as it was backed up is not put back unseen."""
        octets = self._objects.read(sha256)
        if hashlib.sha256(octets).hexdigest() != sha256:
            raise Corrupt(f"{self._objects.path(sha256)} is damaged (docs/backup.md)")
        return octets

    def file(self, row: FileRow, path: str, passphrase: bytes = b"") -> None:
        """Write a file whole, with its mode and time; folders are made. Not durable. Raises OSError, StoreError."""
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        temporary = f"{path}.restoring"
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            for part in row.parts:
                octets = self.checked(part)
                write_all(fd, [unseal(octets, passphrase) if row.sealed else octets])
            os.fchmod(fd, row.mode)
            os.utime(fd, ns=(row.at_ns, row.at_ns))
        finally:
            os.close(fd)
        os.rename(temporary, path)


def _tell_later_uids(path: str) -> None:
    """Raise the next UID of a restored uidlist. Raises OSError."""
    try:
        with open(path, "r+b") as file:
            octets = with_later_uids(file.read(), _LATER_UIDS)
            file.seek(0)
            file.write(octets)
            file.truncate()
    except FileNotFoundError:
        return


def _folder_path(mailbox: str, folder: FolderRow) -> str:
    if "/" in folder.dir or folder.dir in (".", ".."):
        raise NotFound(f"{folder.dir!r} is no folder of a mailbox")
    return f"{mailbox}/{folder.dir}" if folder.dir else mailbox


def _move_in(built: str, path: str) -> None:
    """Put a built folder into place: by one rename where there is none, else file by file and then its letters."""
    if not os.path.lexists(path):
        os.rename(built, path)
        return
    for sub in ("tmp", "new", "cur"):
        os.makedirs(f"{path}/{sub}", mode=0o700, exist_ok=True)
    with uidlist_lock(path):
        for name in os.listdir(built):
            if os.path.isfile(f"{built}/{name}") and (name == UIDLIST_FILE or not os.path.lexists(f"{path}/{name}")):
                os.rename(f"{built}/{name}", f"{path}/{name}")
        for sub in ("new", "cur"):
            os.rename(f"{built}/{sub}", f"{path}/{sub}")  # over the empty one; fails if a letter came this instant
    fsync_dir(path)


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_file_system(fd)
    finally:
        os.close(fd)
