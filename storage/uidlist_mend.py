"""After a loss of power: the UIDs that were told stand in `dovecot-uidlist` again (contract 4).

APPEND by the journal writes its line without a sync: the record vouches for it. What the disk has of such lines may be
all, some, or torn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack

from storage.box_info import arrival_order
from storage.files import fsync_dir
from storage.uidlist import FILE_NAME, next_header, parse_header, parse_lines
from storage.uidlist_lock import uidlist_lock


def mend_uidlist(
    folder: str, uidvalidity: int, listed: Mapping[int, str], *, is_doubtful: bool = False, is_alone: bool = True
) -> bool:
    """Have those UIDs (to base names) in the folder's list, in order, and the next UID above them; other lines stay,
    but for torn ones. Durable; whether it was written. `is_doubtful`: written anew whatever it says. `is_alone`: no
    other process can have the folder's lock. A folder of another UIDVALIDITY is not the one they were told of.

    Blocks. Raises OSError, Locked.
    """
    if not os.path.isdir(folder):
        return False
    with ExitStack() as stack:
        if not is_alone:
            stack.enter_context(uidlist_lock(folder))
        octets = _read(f"{folder}/{FILE_NAME}")
        header, _, rest = octets.partition(b"\n")
        parsed = parse_header(header)
        if parsed is not None and parsed[0] != uidvalidity:
            return False
        lines, is_whole = _lines(rest)
        missing = {uid: base for uid, base in listed.items() if uid not in lines or _is_later(base, lines[uid][1])}
        if parsed is not None and is_whole and not missing and not is_doubtful:
            return False
        lines.update((uid, (b"%d :%b" % (uid, os.fsencode(base)), base)) for uid, base in missing.items())
        next_uid = max(parsed[1] if parsed is not None else 1, max(lines, default=0) + 1)
        head = next_header(header if parsed is not None else b"3", uidvalidity, next_uid)
        _write(folder, b"\n".join([head, *(lines[uid][0] for uid in sorted(lines)), b""]))
    return True


def _is_later(base: str, other: str) -> bool:
    """Of two letters with one UID the later one was told: a process that was killed before it listed the first, told
    nobody.
    """
    return arrival_order(base) > arrival_order(other)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _lines(octets: bytes) -> tuple[dict[int, tuple[bytes, str]], bool]:
    """Line and base name by UID; and whether all of it was that, in order."""
    found: dict[int, tuple[bytes, str]] = {}
    *whole, torn = octets.split(b"\n")
    last, is_whole = 0, not torn
    for line in whole:
        uid, base = next(parse_lines(line + b"\n", above_uid=0), (0, ""))
        if not uid or uid in found or b"\0" in line:
            is_whole = False
            continue
        is_whole &= uid > last
        last = max(last, uid)
        found[uid] = (line, base)
    return found, is_whole


def _write(folder: str, octets: bytes) -> None:
    temporary = f"{folder}/{FILE_NAME}.tmp"
    fd = os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        done = 0
        while done < len(octets):
            done += os.write(fd, octets[done:])
        os.fdatasync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, f"{folder}/{FILE_NAME}")
    fsync_dir(folder)
