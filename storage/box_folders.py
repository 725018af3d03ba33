"""Making, removing and renaming folders (RFC 3501 §6.3.3-6.3.5) on Maildir++: a folder is a directory
`.<level>.<level>` in the mailbox.
"""

from __future__ import annotations

import os
import shutil

from storage.box_info import sizes_in
from storage.errors import Conflict, Invalid, NotFound
from storage.files import fsync_dir, write_durable
from storage.maildir import SPECIAL_FOLDERS, create_folder, folder_dir, list_folders
from storage.uidlist import UidList
from storage.uidlist_validity import next_uidvalidity

_SPECIAL_USE = ".special-use"
SPECIAL_USES = frozenset({"\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"})


def create_new_folder(mailbox: str, name: str, now_s: float) -> None:
    """Make the folder, whole or not at all. Raises Conflict, Invalid.

    It has its UIDVALIDITY from the start: other processes may remember one of that name that was deleted.
    """

    def with_uids(path: str) -> None:
        UidList(path).assign(lambda: next_uidvalidity(mailbox, now_s), lambda news, next_uid: [])

    create_folder(mailbox, name, prepare=with_uids)


def delete_folder(mailbox: str, name: str, unique: str) -> tuple[int, int]:
    """Take the folder away at once, then remove its letters; returns (octets, letters) for the quota.

    Raises NotFound, Invalid.
    """
    if name == "INBOX":
        raise Invalid("INBOX cannot be deleted")
    path = folder_dir(mailbox, name)
    if not os.path.isdir(f"{path}/cur"):
        raise NotFound(f"there is no folder {name!r}")
    aside = f"{mailbox}/tmp/deleted.{unique}"  # noqa: S108 - the Maildir's own
    os.rename(path, aside)
    fsync_dir(mailbox)
    octets = letters = 0
    for sub in ("cur", "new"):
        for entry in os.listdir(f"{aside}/{sub}"):
            if not entry.startswith("."):
                physical, virtual = sizes_in(entry)
                size = physical or virtual
                octets += size if size is not None else os.lstat(f"{aside}/{sub}/{entry}").st_size
                letters += 1
    shutil.rmtree(aside, ignore_errors=True)
    return octets, letters


def rename_folders(mailbox: str, old: str, new: str) -> list[tuple[str, str]]:
    """Rename a folder and what lies below it; returns the (old, new) names. Raises NotFound, Conflict, Invalid."""
    if new == "INBOX" or new.startswith(old + "/"):
        raise Invalid(f"a folder cannot become {new!r}")
    folder_dir(mailbox, new)
    names = list_folders(mailbox)
    moving = [name for name in names if name == old or name.startswith(old + "/")]
    if not moving or old == "INBOX":
        raise NotFound(f"there is no folder {old!r}")
    pairs = [(name, new + name[len(old) :]) for name in sorted(moving)]
    taken = set(names)
    for _, target in pairs:
        if target in taken or os.path.lexists(folder_dir(mailbox, target)):
            raise Conflict(f"the folder {target!r} exists already")
    for source, target in pairs:
        os.rename(folder_dir(mailbox, source), folder_dir(mailbox, target))
    fsync_dir(mailbox)
    return pairs


def special_uses(mailbox: str) -> dict[str, str]:
    """Return folder name to special use: the usual names, and what CREATE-SPECIAL-USE gave (RFC 6154)."""
    uses = dict(SPECIAL_FOLDERS)
    try:
        with open(f"{mailbox}/{_SPECIAL_USE}", encoding="utf-8", errors="replace") as file:
            lines = file.read(1 << 20).splitlines()
    except FileNotFoundError:
        return uses
    for line in lines:
        use, _, name = line.partition(" ")
        if use in SPECIAL_USES and name:
            uses = {other: kept for other, kept in uses.items() if kept != use}
            uses[name] = use
    return uses


def set_special_use(mailbox: str, name: str, use: str) -> None:
    """Record that the folder is the one for that use. Raises Invalid."""
    if use not in SPECIAL_USES or "\n" in name:
        raise Invalid(f"{use!r} is no special use")
    uses = {other: kept for other, kept in special_uses(mailbox).items() if kept != use}
    uses[name] = use
    text = "".join(f"{kept} {other}\n" for other, kept in uses.items() if SPECIAL_FOLDERS.get(other) != kept)
    write_durable(f"{mailbox}/{_SPECIAL_USE}", text.encode())
