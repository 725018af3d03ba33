"""Reading the directories of a folder, and when such a reading may be believed later (contract 5)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple

from storage.box_info import is_letter_name
from storage.errors import NotFound

TRUST_AFTER_NS = 1_000_000_000  # mtime has too coarse a grain: a change in the same instant would go unseen


class Stamp(NamedTuple):
    """What `cur` and `new` looked like: equal stamps and a reading that began late enough mean an equal folder."""

    cur_mtime_ns: int
    cur_inode: int
    new_mtime_ns: int
    new_inode: int

    def has_same_cur(self, other: Stamp) -> bool:
        """`cur` is as it was, whatever came into `new`."""
        return self[:2] == other[:2] and self.new_inode == other.new_inode


@dataclass(slots=True)
class Scan:
    """One reading of `cur` and `new`. `stamp` is None when it may not be believed at a later time."""

    cur: list[str]
    new: list[str]
    stamp: Stamp | None


def stamp_of(folder: str) -> Stamp:
    """Return the folder's stamp now. Raises NotFound."""
    try:
        cur = os.stat(f"{folder}/cur")
        new = os.stat(f"{folder}/new")
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"{folder} is no folder of letters") from None
    return Stamp(cur.st_mtime_ns, cur.st_ino, new.st_mtime_ns, new.st_ino)


def is_settled(stamp: Stamp, now_s: float) -> bool:
    """Whether a reading begun at `now_s` can be known again by this stamp."""
    return now_s * 1e9 - max(stamp.cur_mtime_ns, stamp.new_mtime_ns) > TRUST_AFTER_NS


def scan(folder: str, now_s: float) -> Scan:
    """List the folder; names that cannot be letters are left out. Raises NotFound."""
    before = stamp_of(folder)
    try:
        new = os.listdir(f"{folder}/new")
        cur = os.listdir(f"{folder}/cur")
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"{folder} is no folder of letters") from None
    believed = before if is_settled(before, now_s) and stamp_of(folder) == before else None
    return Scan(_letters(cur), _letters(new), believed)


def names_in_new(folder: str) -> list[str]:
    """The letters that came and nobody looked at. Raises NotFound."""
    try:
        return _letters(os.listdir(f"{folder}/new"))
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"{folder} is no folder of letters") from None


def _letters(names: list[str]) -> list[str]:
    """Leave out what is no letter; the usual case, nothing to leave out, costs one look at the joined names."""
    joined = "\n" + "\n".join(names)
    if "\n." not in joined and "\n:" not in joined and "\r" not in joined and joined.count("\n") == max(len(names), 1):
        return names
    return [name for name in names if is_letter_name(name)]
