"""How full a mailbox is: Maildir++'s `maildirsize`, shared with Dovecot (contract 6).

The file's first line is the limit, every further one `<octets> <letters>` to add up. It is not durable: it is summed
anew from the names of the letters when it is missing, broken, longer than 5,120 octets, made for another limit, or says
"full" though it is old or has several lines. Trash counts.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from concurrent.futures import Executor
from dataclasses import dataclass

from storage.clock import Clock
from storage.errors import StoreError
from storage.files import store_error
from storage.maildirsize import (
    FILE_NAME,
    MAX_FILE_OCTETS,
    STALE_AFTER_S,
    Limit,
    Sizes,
    Usage,
    parse_sizes,
    render_sizes,
    sum_letters,
)

__all__ = ["WARNING_PERCENTS", "LateQuota", "Limit", "Quota", "Usage"]

WARNING_PERCENTS = (80, 95)
_MARKER_FRESH_S = 60.0  # two processes that pass a mark at once warn once
_LEFTOVER_AFTER_S = 3600.0
_CACHED_COUNT = 10_000
_AMPLE_FOR_S = 60.0
_AMPLE_OCTETS = 64 << 20
_AMPLE_COUNT = 1000


@dataclass(slots=True)
class _Known:
    stamp: tuple[int, int, int]  # mtime_ns, size, inode
    sizes: Sizes
    seen_at: float


class Quota:
    """The usage of mailboxes, cached by a stat(2) of `maildirsize`; safe in several threads.

    With an `executor`, a mailbox whose letters must be summed anew is summed there and nobody waits for it: `fits`
    answers meanwhile by what the file says, and yes when there is none. Without, it is summed on the spot.
    """

    def __init__(self, clock: Clock, executor: Executor | None = None) -> None:
        self._clock = clock
        self._executor = executor
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._summing: set[str] = set()
        self._again: set[str] = set()  # something came that the sum under way may have passed already
        self._lock = threading.Lock()

    def usage(self, mailbox: str) -> Usage:
        """Octets and letters in all folders of `mailbox`. Blocks when they must be summed. Raises StoreError."""
        sizes = self._read(mailbox)
        if sizes is None:
            return self.recalculate(mailbox)
        return sizes.usage

    def fits(self, mailbox: str, limit: Limit, size_octets: int) -> bool:
        """One more letter of `size_octets` stays within `limit`; 0 octets asks whether the mailbox is full."""
        if not limit.octets and not limit.letters:
            return True
        sizes = self._read(mailbox)
        if sizes is None or sizes.limit != limit:
            self._sum(mailbox, limit)
            sizes = self._read(mailbox) if self._executor is None else sizes
            if sizes is None:
                return True
        if limit.holds(sizes.usage, size_octets):
            return True
        if sizes.lines > 1 or self._age_s(mailbox) > STALE_AFTER_S:
            self._sum(mailbox, limit)
            sizes = self._read(mailbox) if self._executor is None else None
            return sizes is not None and limit.holds(sizes.usage, size_octets)
        return False

    def fits_member(self, mailbox: str, limit: Limit, size_octets: int) -> bool:
        """As `fits`, for one of a group's many mailboxes: one that this process saw less than half full, with plenty
        of room, within the last minute is not looked at again. To overrun its limit by that, 64 MiB or 1,000 letters
        must have come in that minute by other processes.
        """
        known = self._known.get(mailbox)
        if known is not None and known.sizes.limit == limit and self._clock.monotonic() - known.seen_at < _AMPLE_FOR_S:
            usage = known.sizes.usage
            free_octets = limit.octets - usage.octets - size_octets
            free_letters = limit.letters - usage.letters - 1
            if (not limit.octets or free_octets > max(_AMPLE_OCTETS, limit.octets // 2)) and (
                not limit.letters or free_letters > max(_AMPLE_COUNT, limit.letters // 2)
            ):
                return True
        return self.fits(mailbox, limit, size_octets)

    def add(self, mailbox: str, octets: int, letters: int, limit: Limit | None = None) -> int:
        """Record what was added (or, below zero, removed). The percent of `limit` just passed upward (80, 95), else 0.

        One append, not durable. Never fails for the file's sake: a letter is in the mailbox already.
        """
        try:
            sizes = self._append(mailbox, octets, letters)
        except OSError:
            sizes = None
        if sizes is None or (limit is not None and sizes.limit != limit):
            self._sum(mailbox, limit)
            sizes = self._read(mailbox) if sizes is None and self._executor is None else sizes
        if sizes is None or limit is None or not (limit.octets or limit.letters):
            return 0
        return self._crossing(mailbox, sizes.usage, Usage(octets, letters), limit)

    def set_limit(self, mailbox: str, limit: Limit) -> None:
        """Write a new limit into the file, with the letters summed anew. Blocks. Raises StoreError."""
        self.recalculate(mailbox, limit)

    def recalculate(self, mailbox: str, limit: Limit | None = None) -> Usage:
        """Sum every folder's letters by their names and write the file. Blocks. Raises NotFound, StoreError.

        Letters that arrive meanwhile may be counted twice or not at all, until the next time, as with Dovecot.
        """
        if limit is None:
            known = self._read(mailbox)
            limit = known.limit if known is not None else Limit()
        path = f"{mailbox}/{FILE_NAME}"
        for _ in range(3):
            before = _stamp(path)
            usage = sum_letters(mailbox)
            if _stamp(path) == before:
                break
        temporary = f"{mailbox}/tmp/{FILE_NAME}.{os.getpid()}.{os.urandom(6).hex()}"  # noqa: S108 - the Maildir's own tmp/
        try:
            fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, render_sizes(limit, usage))
            finally:
                os.close(fd)
            os.rename(temporary, path)
        except OSError as error:
            raise store_error(error, f"cannot write {path}") from error
        self._clear_markers(mailbox, usage, limit)
        self._sweep(mailbox)
        return usage

    def _sweep(self, mailbox: str) -> None:
        """Remove what a process that died while it summed has left."""
        for name in os.listdir(f"{mailbox}/tmp"):  # noqa: S108 - the Maildir's own tmp/
            path = f"{mailbox}/tmp/{name}"  # noqa: S108 - the Maildir's own tmp/
            if name.startswith(f"{FILE_NAME}."):
                try:
                    if self._clock.time() - os.stat(path).st_mtime > _LEFTOVER_AFTER_S:
                        os.unlink(path)
                except OSError:
                    pass

    def _sum(self, mailbox: str, limit: Limit | None) -> None:
        """Recalculate now, or in the executor, once at a time."""
        if self._executor is None:
            self._recalculate_quietly(mailbox, limit)
            return
        with self._lock:
            if mailbox in self._summing:
                self._again.add(mailbox)
                return
            self._summing.add(mailbox)
        self._executor.submit(self._recalculate_quietly, mailbox, limit)

    def _recalculate_quietly(self, mailbox: str, limit: Limit | None) -> None:
        try:
            self.recalculate(mailbox, limit)
        except StoreError:
            pass  # the mailbox is gone, or the disk is full: asked again next time
        finally:
            with self._lock:
                self._summing.discard(mailbox)
                is_wanted = mailbox in self._again
                self._again.discard(mailbox)
            if is_wanted:
                self._sum(mailbox, limit)

    def _read(self, mailbox: str) -> Sizes | None:
        """What the file says, or None when it must be summed anew."""
        path = f"{mailbox}/{FILE_NAME}"
        known = self._known.get(mailbox)
        if known is not None and known.stamp == _stamp(path):
            known.seen_at = self._clock.monotonic()
            return known.sizes
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            return self._parse(mailbox, fd)
        finally:
            os.close(fd)

    def _parse(self, mailbox: str, fd: int) -> Sizes | None:
        octets = os.pread(fd, MAX_FILE_OCTETS + 1, 0)
        found = os.fstat(fd)
        is_whole = len(octets) == found.st_size <= MAX_FILE_OCTETS
        sizes = parse_sizes(octets) if is_whole else None
        if sizes is not None:
            self._keep(mailbox, (found.st_mtime_ns, found.st_size, found.st_ino), sizes)
        return sizes

    def _keep(self, mailbox: str, stamp: tuple[int, int, int], sizes: Sizes) -> None:
        with self._lock:
            self._known[mailbox] = _Known(stamp, sizes, self._clock.monotonic())
            self._known.move_to_end(mailbox)
            if len(self._known) > _CACHED_COUNT:
                self._known.popitem(last=False)

    def _append(self, mailbox: str, octets: int, letters: int) -> Sizes | None:
        """Append one line; the new sizes, or None when they must be summed anew."""
        line = b"%d %d\n" % (octets, letters)
        try:
            fd = os.open(f"{mailbox}/{FILE_NAME}", os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            os.write(fd, line)
            found = os.fstat(fd)
            if found.st_size > MAX_FILE_OCTETS:
                return None
            known = self._known.get(mailbox)
            if known is None or known.stamp[1:] != (found.st_size - len(line), found.st_ino):
                return self._parse(mailbox, fd)
        finally:
            os.close(fd)
        sizes = known.sizes.plus(octets, letters)
        self._keep(mailbox, (found.st_mtime_ns, found.st_size, found.st_ino), sizes)
        return sizes

    def _crossing(self, mailbox: str, after: Usage, added: Usage, limit: Limit) -> int:
        before = Usage(after.octets - added.octets, after.letters - added.letters)
        percent_before, percent = limit.percent(before), limit.percent(after)
        if percent < percent_before:
            self._clear_markers(mailbox, after, limit)
            return 0
        crossed = 0
        for mark in WARNING_PERCENTS:
            if percent >= mark and self._mark(f"{mailbox}/bdmta-quota-{mark}", was_below=percent_before < mark):
                crossed = mark
        return crossed

    def _mark(self, path: str, *, was_below: bool) -> bool:
        """Whether this is the first to notice the crossing."""
        now = self._clock.time()
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            os.utime(path, (now, now))
            return True
        except FileExistsError:
            if not was_below:
                return False
        except OSError:
            return False
        try:
            # The mailbox was below since (another program removed letters): this is a new crossing.
            if now - os.stat(path).st_mtime < _MARKER_FRESH_S:
                return False
            os.utime(path, (now, now))
            return True
        except OSError:
            return False

    def _clear_markers(self, mailbox: str, usage: Usage, limit: Limit) -> None:
        percent = limit.percent(usage)
        for mark in WARNING_PERCENTS:
            if percent < mark:
                try:
                    os.unlink(f"{mailbox}/bdmta-quota-{mark}")
                except OSError:
                    pass

    def _age_s(self, mailbox: str) -> float:
        stamp = _stamp(f"{mailbox}/{FILE_NAME}")
        return 0.0 if stamp is None else self._clock.time() - stamp[0] / 1e9


class LateQuota(Quota):
    """Never sums: a mailbox without a `maildirsize` is summed when somebody asks how full it is.

    For a letter to everybody, which would have thousands of mailboxes summed at once that nobody has looked at.
    """

    def _sum(self, mailbox: str, limit: Limit | None) -> None:
        return


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
