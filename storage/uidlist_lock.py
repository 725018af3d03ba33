"""The lock that Dovecot and we share on a folder's UIDs: `dovecot-uidlist.lock`, which exists or does not.

Dovecot's dot-locks hold "pid:host"; a lock whose process on this host is gone is taken over at once, any other after
120 s without a change, an empty one after 2 s. Ours has its content before it has its name, so that a process killed
while it takes the lock leaves none behind that nobody can tell the holder of. The holder never keeps it over more than
one batch of renames.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from storage.errors import Locked
from storage.files import open_unnamed, write_all

LOCK_NAME = "dovecot-uidlist.lock"
STALE_AFTER_S = 120.0  # Dovecot's MAILDIR_UIDLIST_LOCK_STALE_TIMEOUT
EMPTY_STALE_AFTER_S = 2.0  # one without content: what a loss of power left, or Dovecot just taking it
_HOST = os.uname().nodename


@contextmanager
def uidlist_lock(folder: str, *, wait_s: float = STALE_AFTER_S + 2) -> Iterator[None]:
    """Hold the folder's UID lock.

    Blocks, retrying every 0.5 to 3 ms (never on an event loop); raises Locked after `wait_s`.
    """
    path = f"{folder}/{LOCK_NAME}"
    give_up_at = time.monotonic() + wait_s
    lock = open_unnamed(folder, 0o644)
    write_all(lock.fd, [f"{os.getpid()}:{_HOST}".encode()])
    while True:
        try:
            lock.link(path)
            break
        except FileExistsError:
            if _take_away_stale(path):
                continue
            if time.monotonic() > give_up_at:
                raise Locked(f"{path} is held by {_holder(path) or 'another program'}") from None
            time.sleep(random.uniform(0.0005, 0.003))
    try:
        yield
    finally:
        _release(path, os.fstat(lock.fd).st_ino)  # open until now, so that no other file has had its inode number


def _release(path: str, inode: int) -> None:
    """Remove the lock if it is still ours: somebody may have judged us dead."""
    try:
        if os.lstat(path).st_ino == inode:
            os.unlink(path)
    except FileNotFoundError:
        pass


def _holder(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(200).strip()
    except OSError:
        return ""


def _take_away_stale(path: str) -> bool:
    """Whether the lock has gone: its holder died, or it is older than the limit. Never takes a live one away."""
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return True
    age_s = time.time() - max(seen.st_mtime, seen.st_ctime)  # noqa: TID251 - compared with the file system's own clock
    if age_s < (STALE_AFTER_S if seen.st_size else EMPTY_STALE_AFTER_S) and not _holder_is_dead(path):
        return False
    aside = f"{path}.{os.getpid()}.{random.getrandbits(32):08x}"
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return True
    found = os.lstat(aside)
    if (found.st_ino, found.st_mtime_ns) != (
        seen.st_ino,
        seen.st_mtime_ns,
    ):  # another took the stale one over before us: give the live lock back
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
    os.unlink(aside)
    return True


def _holder_is_dead(path: str) -> bool:
    pid, _, host = _holder(path).partition(":")
    if host != _HOST or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False
