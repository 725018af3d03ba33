"""UIDVALIDITY of new folders: never one that this mailbox has given before, in Dovecot's own record
(`dovecot-uidvalidity`).
"""

from __future__ import annotations

import os

_NAME = "dovecot-uidvalidity"


def next_uidvalidity(mailbox: str, now_s: float) -> int:
    """Return a UIDVALIDITY above all given before in this mailbox, and record it.

    Dovecot's form: the file holds the value in hex, and an empty file `dovecot-uidvalidity.<hex>` is renamed from
    value to value, so two takers never agree.
    """
    for _ in range(4096):
        current = _recorded(mailbox)
        wanted = max(int(now_s), current + 1)
        if _claim(mailbox, current, wanted):
            _write_value(mailbox, wanted)
            return wanted
    return int(now_s)


def _recorded(mailbox: str) -> int:
    """Return the highest value on record, 0 when there is none."""
    highest = 0
    for name in os.listdir(mailbox):
        prefix, dot, tail = name.partition(".")
        if prefix == _NAME and dot and len(tail) == 8:
            highest = max(highest, _hex(tail))
    try:
        with open(f"{mailbox}/{_NAME}", encoding="ascii", errors="replace") as file:
            highest = max(highest, _hex(file.read(16).strip()))
    except OSError:
        pass
    return highest


def _hex(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def _claim(mailbox: str, current: int, wanted: int) -> bool:
    """Take the value by renaming the record, or by making it; false when another was faster."""
    target = f"{mailbox}/{_NAME}.{wanted:08x}"
    try:
        os.rename(f"{mailbox}/{_NAME}.{current:08x}", target)
        return True
    except FileNotFoundError:
        pass
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o444))
        return True
    except FileExistsError:
        return False


def _write_value(mailbox: str, value: int) -> None:
    temporary = f"{mailbox}/{_NAME}.tmp{os.getpid()}"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(f"{value:08x}")
    os.rename(temporary, f"{mailbox}/{_NAME}")
