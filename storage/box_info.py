"""What a Maildir file name says: `<unique>,S=<octets>,W=<octets>:2,<flags>`.

Suffixes are few: each is read once and kept.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

from storage.box_types import ANSWERED, DELETED, DRAFT, FLAGGED, KEYWORD_COUNT, KEYWORD_SHIFT, SEEN
from storage.maildir import name_octets

_BITS = {"D": DRAFT, "F": FLAGGED, "R": ANSWERED, "S": SEEN, "T": DELETED}
_BITS |= {chr(ord("a") + place): 1 << (KEYWORD_SHIFT + place) for place in range(KEYWORD_COUNT)}
_VIRTUAL = re.compile(r",W=(\d{1,15})")
_PHYSICAL = re.compile(r",S=(\d{1,15})")


def split_name(name: str) -> tuple[str, str]:
    """Return (base, info): the part that never changes, and the rest from its colon on ("" without one)."""
    base, colon, info = name.partition(":")
    return base, colon + info


@lru_cache(maxsize=4096)
def flags_of(info: str) -> int:
    """Return the flag bits of an info suffix; letters that we do not know count nothing."""
    if not info.startswith(":2,"):
        return 0
    flags = 0
    for letter in info[3:].partition(",")[0]:
        flags |= _BITS.get(letter, 0)
    return flags


@lru_cache(maxsize=16384)
def info_with(info: str, flags: int) -> str:
    """Return the suffix with exactly those flags; letters that we do not know (P for passed) stay.

    ASCII order, as the rule is.
    """
    letters, comma, tail = info[3:].partition(",") if info.startswith(":2,") else ("", "", "")
    kept = {letter for letter in letters if letter not in _BITS}
    kept |= {letter for letter, bit in _BITS.items() if flags & bit}
    return ":2," + "".join(sorted(kept)) + comma + tail


def sizes_in(base: str) -> tuple[int | None, int | None]:
    """Return (octets in the file, octets with CRLF line ends) as the name claims them; None where it does not."""
    virtual = _VIRTUAL.search(base)
    physical = _PHYSICAL.search(base)
    return (int(physical[1]) if physical else None), (int(virtual[1]) if virtual else None)


def virtual_octets_in(base: str) -> int | None:
    """Return the octets with CRLF line ends as the name claims them."""
    tail = base.rpartition(",W=")[2]
    if tail.isdecimal() and tail.isascii() and len(tail) < 16 and len(tail) < len(base):  # how we and Dovecot write it
        return int(tail)
    virtual = _VIRTUAL.search(base)
    return int(virtual[1]) if virtual else None


def is_letter_name(name: str) -> bool:
    """Whether a directory entry can be a letter: no dot file, nothing that would break a line of the uidlist."""
    return not name.startswith((".", ":")) and "\n" not in name and "\r" not in name


def arrival_order(base: str) -> tuple[int, int, str]:
    """Sort key of letters that get their UIDs together: the time in their names, `<seconds>.M<microseconds>P...`."""
    seconds, _, rest = base.partition(".")
    match = re.match(r"M(\d{1,9})", rest)
    return (int(seconds) if seconds.isdigit() and len(seconds) < 16 else 0), (int(match[1]) if match else 0), base


def file_octets(cur_fd: int, name: str) -> int:
    """The octets of a letter's file, by its name or else by the file; what `maildirsize` counts.

    That is less than RFC822.SIZE where Dovecot wrote LF. Blocks. Raises FileNotFoundError.
    """
    told = name_octets(name)
    return told if told is not None else os.stat(name, dir_fd=cur_fd).st_size
