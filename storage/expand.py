"""One letter to hundreds of boxes, from its spool entry; can be done again after any crash without doubling."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

from storage.errors import NotFound, StoreError
from storage.files import HeldFd, sync_file_system
from storage.letter import Letter
from storage.maildir import create_folder, folder_dir
from storage.quota import Quota
from storage.spool import QueueEntry, Spool
from storage.spool_entry import Target

_HANDFUL_COUNT = 50


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

    Each batch is linked, synced, then recorded. After a crash only the first batch is in doubt: a box that has the
    name in `new/` or `cur/` is passed over. Raises StoreError, OSError: the entry stays as it is.
    """
    letter = spool.open_letter(entry.id)
    link = _Linker(letter, f"{spool.directory}/{entry.id}.msg", directory)
    batch_count = entry.batch_count or len(entry.targets)
    done = min(spool.progress(entry), len(entry.targets))
    doubtful_until = done + batch_count if is_resumed else 0
    crossings: list[tuple[str, int]] = []
    failed: list[Target] = []
    while done < len(entry.targets):
        batch = entry.targets[done : done + batch_count]
        served = _link_batch(link, batch, entry.name, failed, is_doubtful=done < doubtful_until, pause=pause)
        _sync(directory)
        done += len(batch)
        if done < len(entry.targets):
            spool.note_progress(entry, done)
        for number, target in enumerate(served, 1):
            if pause is not None and number % _HANDFUL_COUNT == 0:
                pause()
            percent = quota.add(target.mailbox, letter.size_octets, 1, target.limit)
            if percent:
                crossings.append((target.mailbox, percent))
    return crossings, failed


def _link_batch(
    link: _Linker,
    batch: Sequence[Target],
    name: str,
    failed: list[Target],
    *,
    is_doubtful: bool,
    pause: Callable[[], None] | None,
) -> list[Target]:
    served = []
    for number, target in enumerate(batch, 1):
        if pause is not None and number % _HANDFUL_COUNT == 0:
            pause()
        folder = folder_dir(target.mailbox, target.folder)
        if is_doubtful and has_letter(folder, name):
            continue
        try:
            try:
                link(f"{folder}/new/{name}")
            except FileNotFoundError:
                create_folder(target.mailbox, target.folder)
                link(f"{folder}/new/{name}")
        except FileExistsError:
            continue
        except (NotFound, StoreError, OSError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
                raise
            failed.append(target)
            continue
        served.append(target)
    return served


class _Linker:
    """Gives the letter its names, from a fresh copy when the inode takes no more."""

    def __init__(self, letter: Letter, path: str, directory: str) -> None:
        self._letter = letter
        self._path = path
        self._directory = directory
        self._copied: HeldFd | None = None

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
