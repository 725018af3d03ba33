"""Letters of one mailbox moved into another while mail arrives: each is in exactly one place at any moment."""

from __future__ import annotations

import contextlib
import os
import shutil

from storage.errors import NotFound
from storage.files import fsync_dir, store_error
from storage.maildir import INBOX, create_folder, create_mailbox, folder_dirs, folder_name
from storage.settling import note_mailbox_move


def rename_mailbox(old: str, new: str) -> bool:
    """Give a mailbox's directory another name, with all that its clients know (UIDs, flags); durable.

    False when it was done before: `new` is there. Deliveries that had `old` open go on into it. Raises StoreError.
    """
    if os.path.isdir(new):
        return False
    try:
        os.makedirs(os.path.dirname(new), mode=0o700, exist_ok=True)
        note_mailbox_move(old, new)
        os.rename(old, new)
        fsync_dir(os.path.dirname(new))
    except FileNotFoundError:
        create_mailbox(new)
    except OSError as error:
        raise store_error(error, f"cannot rename {old}") from error
    return True


def move_letters(source: str, target: str, below: str = "") -> int:
    """Move every letter of `source` into `target`, into the same folders or, with `below`, into folders beneath that.

    How many were moved. Repeat it at will: what was moved is not there any more; a crash leaves each letter in one of
    the two. The emptied folders go; a letter that is delivered meanwhile stays for the next time. Raises StoreError.
    """
    try:
        directories = folder_dirs(source)
    except NotFound:
        return 0
    create_mailbox(target)
    moved = 0
    try:
        note_mailbox_move(source, target)
        for path in directories:
            moved += _move_folder(path, source, target, below)
        for path in [*_subfolders(source), source]:
            _remove_empty(path, source)
    except OSError as error:
        raise store_error(error, f"cannot move letters of {source}") from error
    return moved


def _move_folder(path: str, source: str, target: str, below: str) -> int:
    name = INBOX if path == source else folder_name(os.path.basename(path))
    waiting = [(part, file) for part in ("cur", "new") for file in _files(f"{path}/{part}")]
    if not waiting:
        return 0
    if name is None:  # a name that nobody can open; its letters must not be lost for it
        name = "Khác"
    if below:
        name = below if name == INBOX else f"{below}/{name}"
    into = create_folder(target, name)
    keywords = f"{path}/dovecot-keywords"
    if os.path.exists(keywords) and not os.path.exists(f"{into}/dovecot-keywords"):
        shutil.copyfile(keywords, f"{into}/dovecot-keywords")
    for part, file in waiting:
        with contextlib.suppress(FileNotFoundError):  # its owner has given it another flag just now: next time
            os.rename(f"{path}/{part}/{file}", f"{into}/{part}/{file}")
    for folder in (into, path):
        for part in ("cur", "new"):
            fsync_dir(f"{folder}/{part}")
    return len(waiting)


def _remove_empty(path: str, source: str) -> None:
    """Take an empty folder away. Only rmdir(2) touches where letters lie: it refuses as soon as one has come."""
    if path == source and _subfolders(source):
        return
    try:
        for part in ("new", "cur"):
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(f"{path}/{part}")
        for name in _files(f"{path}/tmp"):  # noqa: S108 - the Maildir's own tmp/
            os.unlink(f"{path}/tmp/{name}")  # noqa: S108 - the Maildir's own tmp/
        for entry in list(os.scandir(path)):
            os.rmdir(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
        os.rmdir(path)
    except OSError:
        for part in ("tmp", "cur", "new"):
            with contextlib.suppress(OSError):
                os.makedirs(f"{path}/{part}", mode=0o700, exist_ok=True)


def _subfolders(source: str) -> list[str]:
    """Also those that a killed run has emptied halfway."""
    with os.scandir(source) as entries:
        return [entry.path for entry in entries if entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)]


def _files(path: str) -> list[str]:
    try:
        return [name for name in os.listdir(path) if not name.startswith(".")]
    except FileNotFoundError:
        return []
