"""One letter to hundreds of boxes, from its spool entry; can be done again after any crash without doubling."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from storage.errors import NotFound, StoreError
from storage.files import HeldFd, sync_file_system
from storage.letter import Letter
from storage.maildir import create_folder, folder_dir
from storage.quota import Quota
from storage.spool import QueueEntry, Spool
from storage.spool_entry import Target
from storage.spool_progress import Progress

_HANDFUL_COUNT = 50
_DISK_FAILS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


def expand_entry(
    entry: QueueEntry,
    spool: Spool,
    quota: Quota,
    directory: str,
    *,
    is_resumed: bool,
    pause: Callable[[], None] | None = None,
) -> tuple[list[tuple[str, int]], list[Target]]:
    """Serve the entry's targets from where it stopped: the quota crossings, and the targets that failed.

    `pause` is called after each handful of targets: whoever is in no hurry lets others have the disk.

    Each batch is linked, synced, then recorded. After a reboot the first batch is in doubt, after a kill only the one
    target that was being served: a box that has the letter's file in any folder is passed over, whatever its owner has
    done with it meanwhile but to remove it. Raises StoreError, OSError: the entry stays as it is.
    """
    letter = spool.open_letter(entry.id)
    link = _Linker(letter, f"{spool.directory}/{entry.id}.msg", directory)
    batch_count = entry.batch_count or len(entry.targets)
    progress = Progress(spool, entry)
    done = min(progress.count(), len(entry.targets))
    place = progress.open_place()
    served_until, doubtful_until = _resumed(place.count(), done, batch_count) if is_resumed else (done, done)
    crossings: list[tuple[str, int]] = []
    while done < len(entry.targets):
        served = []
        for position in range(done, min(done + batch_count, len(entry.targets))):
            if position < served_until:
                continue
            if pause is not None and position % _HANDFUL_COUNT == 0:
                pause()
            place.note(position)
            target = entry.targets[position]
            if position < doubtful_until and has_file(target.mailbox, link.inode):
                continue
            try:
                if _serve(link, target, entry.name):
                    served.append(target)
            except (NotFound, StoreError, OSError) as error:
                if isinstance(error, OSError) and error.errno in _DISK_FAILS:
                    raise
                progress.note_failure(position)
        _sync(directory)
        done = min(done + batch_count, len(entry.targets))
        place.note(max(done, served_until))
        if done < len(entry.targets):
            progress.note(done)
        for target in served:
            percent = quota.add(target.mailbox, letter.size_octets, 1, target.limit)
            if percent:
                crossings.append((target.mailbox, percent))
    return crossings, [entry.targets[position] for position in progress.failures() if position < done]


def _resumed(count: int | None, done: int, batch_count: int) -> tuple[int, int]:
    """Up to which target the dead process certainly came, and up to which it may have come."""
    if count is None or count < done:
        return done, done + batch_count
    return count, count + 1


def _serve(link: _Linker, target: Target, name: str) -> bool:
    """Link the letter into one box; False: it is there. Raises NotFound, StoreError, OSError."""
    folder = folder_dir(target.mailbox, target.folder)
    try:
        link(f"{folder}/new/{name}")
    except FileExistsError:
        return False
    except FileNotFoundError:
        create_folder(target.mailbox, target.folder)
        link(f"{folder}/new/{name}")
    return True


class _Linker:
    """Gives the letter its names, from a fresh copy when the inode takes no more."""

    def __init__(self, letter: Letter, path: str, directory: str) -> None:
        self._letter = letter
        self._path = path
        self._directory = directory
        self._copied: HeldFd | None = None
        self.inode = os.stat(path).st_ino

    def __call__(self, name: str) -> None:
        try:
            if self._copied is None:
                os.link(self._path, name)
            else:
                self._copied.link(name)
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EXDEV):
                raise
            self._copied = self._letter.file(self._directory)
            os.fdatasync(self._copied.fd)
            self._copied.link(name)


def has_file(mailbox: str, inode: int) -> bool:
    """A folder of the mailbox has the file, under whatever name: clients give it flags, a move another name."""
    try:
        folders = ["", *(entry.name for entry in os.scandir(mailbox) if entry.name.startswith("."))]
    except OSError:
        return False
    return any(_holds(f"{mailbox}/{folder}/{part}", inode) for folder in folders for part in ("new", "cur"))


def _holds(directory: str, inode: int) -> bool:
    try:
        with os.scandir(directory) as found:
            return any(entry.inode() == inode for entry in found)
    except OSError:
        return False


def has_letter(folder: str, name: str) -> bool:
    """The letter is in the folder, read or not."""
    if os.path.lexists(f"{folder}/new/{name}"):
        return True
    try:
        return any(found == name or found.startswith(f"{name}:") for found in os.listdir(f"{folder}/cur"))
    except OSError:
        return False


def _sync(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_file_system(fd)
    finally:
        os.close(fd)
