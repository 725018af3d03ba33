"""How full a mailbox is, for those who look after it."""

from __future__ import annotations

import os
import re

_SIZE = re.compile(r",S=(\d{1,15})(?=[,:]|$)")


def usage(mailbox: str) -> tuple[int, int]:
    """Octets and letters of the Maildir at `mailbox`, all folders included, counted from the names; (0, 0) when absent.

    A letter whose name says no size is looked at. Sizes in names are trusted: the store writes them (contract 3).
    """
    octets = letters = 0
    for folder in (mailbox, *_subfolders(mailbox)):
        for part in ("new", "cur"):
            for size_octets in _sizes(os.path.join(folder, part)):
                octets, letters = octets + size_octets, letters + 1
    return octets, letters


def _subfolders(mailbox: str) -> list[str]:
    try:
        with os.scandir(mailbox) as entries:
            return [
                entry.path for entry in entries if entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []


def _sizes(folder: str) -> list[int]:
    sizes: list[int] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found = _SIZE.search(entry.name)
                try:
                    if not entry.name.startswith("."):
                        sizes.append(int(found[1]) if found else entry.stat(follow_symlinks=False).st_size)
                except FileNotFoundError:
                    continue  # moved or removed meanwhile
    except (FileNotFoundError, NotADirectoryError):
        pass
    return sizes
