"""Letters that wait for something, durable and readable with ls and cat: `<id>.env`, and `<id>.msg` or all in one.

An entry exists when its `.env` does: that is named last. A `.msg` alone was never acknowledged, or is what a removal
left, and an envelope without its letter is what a loss of power may leave of an entry that was never acknowledged;
`sweep` takes them away. The `.msg` may be one inode with letters in mailboxes: it is never written to.
A letter that comes below its envelope (`storage.spool_file`) keeps that file as its `.msg` when the envelope changes.
Locks are flock(2) on the `.env`: a process that dies lets go. Ids of kind "expand" start with `x-`.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from storage.clock import Clock
from storage.errors import Conflict, Invalid, Locked, NotFound
from storage.files import HeldFd, fsync_dir, store_error, sync_file_system, write_all
from storage.letter import Letter
from storage.spool_entry import Kind, QueueEntry, QueueRecipient, Target, render_entry
from storage.spool_file import EntryFile, has_letter_below

__all__ = ["EntryLock", "QueueEntry", "QueueRecipient", "Spool", "Target"]

T = TypeVar("T")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_EXPAND_PREFIX = "x-"
_serial = itertools.count()


class EntryLock:
    """An entry that this process works on; others get Locked. `release` it, or die."""

    def __init__(self, entry_id: str, held: HeldFd) -> None:
        self.id = entry_id
        self._held: HeldFd | None = held

    def release(self) -> None:
        """Let others have the entry. May be called twice."""
        if self._held is not None:
            fcntl.flock(self._held.fd, fcntl.LOCK_UN)
            self._held.close()
            self._held = None

    @property
    def fd(self) -> int:
        """The `.env` as it is. Raises OSError."""
        if self._held is None:
            raise OSError(errno.EBADF, f"{self.id}: the lock has been released")
        return self._held.fd

    def replace(self, held: HeldFd) -> None:
        """Another file, locked already, is the entry's from now on."""
        self._held = held

    def __enter__(self) -> EntryLock:
        return self

    def __exit__(self, *unused: object) -> None:
        self.release()


class Spool:
    """The entries in one directory. Every method blocks; several processes may use it at once."""

    def __init__(self, directory: str, clock: Clock) -> None:
        self.directory = directory
        self._clock = clock

    def new_id(self, kind: Kind = "remote") -> str:
        """A new id: sorts by time, is unique over processes, fits a file name."""
        prefix = _EXPAND_PREFIX if kind == "expand" else ""
        return f"{prefix}{int(self._clock.time() * 1e6):014x}-{os.getpid():x}-{next(_serial):x}"

    def put_sync(self, entry: QueueEntry) -> None:
        """Store the entry with its letter; durable when it returns. Raises Conflict, Invalid, NoSpace, StoreError."""
        if entry.letter is None:
            raise Invalid(f"{entry.id}: an entry needs its letter")
        try:
            message = entry.letter.file(self.directory)
            os.fsync(message.fd)
            self.link(entry, message)
            try:
                fsync_dir(self.directory)
            except OSError:
                self.discard(entry.id)
                raise
        except OSError as error:
            raise store_error(error, f"cannot spool {entry.id}") from error

    def link(self, entry: QueueEntry, message: HeldFd) -> EntryLock:
        """Name a synced letter and its envelope, locked. Durable once the caller has synced the directory.

        Raises Conflict, Invalid, OSError, and nothing is left then.
        """
        path = self.path(entry.id)
        temporary, envelope = self._replacement(entry)
        try:
            os.fsync(envelope.fd)
            try:
                message.link(f"{path}.msg")
            except FileExistsError as error:
                raise Conflict(f"the spool has an entry {entry.id} already") from error
            try:
                os.rename(temporary, f"{path}.env")
            except OSError:
                os.unlink(f"{path}.msg")
                raise
        except BaseException:
            os.unlink(temporary)
            raise
        return EntryLock(entry.id, envelope)

    def list(self, kind: Kind = "remote") -> list[str]:
        """The ids of one kind, oldest first (by their names)."""
        wanted = kind == "expand"
        try:
            names = os.listdir(self.directory)
        except OSError as error:
            raise store_error(error, f"cannot list {self.directory}") from error
        return sorted(
            n[:-4] for n in names if n.endswith(".env") and n[0] != "." and n.startswith(_EXPAND_PREFIX) == wanted
        )

    def load(self, entry_id: str) -> QueueEntry:
        """The entry, without its letter. Raises NotFound, Corrupt, StoreError."""
        return self._open(entry_id, lambda found, held, path: found.entry(entry_id, path))

    def open_letter(self, entry_id: str) -> Letter:
        """The entry's letter. Raises NotFound, Corrupt, StoreError."""

        def letter(found: EntryFile, held: HeldFd, path: str) -> Letter:
            return self._letter(found, found.entry(entry_id, path), held.fd)

        return self._open(entry_id, letter)

    def _open(self, entry_id: str, use: Callable[[EntryFile, HeldFd, str], T]) -> T:
        path = f"{self.path(entry_id)}.env"
        try:
            held = HeldFd(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
            return use(EntryFile.read(held.fd), held, path)
        except FileNotFoundError as error:
            raise NotFound(f"there is no entry {entry_id} in the spool, or no letter") from error
        except OSError as error:
            raise store_error(error, f"cannot read {path}") from error

    def load_locked(self, lock: EntryLock) -> QueueEntry:
        """The entry behind a lock of ours, from the file that is open already. Raises Corrupt, StoreError."""
        path = f"{self.path(lock.id)}.env"
        try:
            found = EntryFile.read(lock.fd)
        except OSError as error:
            raise store_error(error, f"cannot read {path}") from error
        return found.entry(lock.id, path)

    def open_locked(self, lock: EntryLock) -> tuple[QueueEntry, Letter]:
        """The entry behind a lock of ours and its letter; a small letter is in memory then. Raises as `open_letter`."""
        path = f"{self.path(lock.id)}.env"
        try:
            found = EntryFile.read(lock.fd)
            entry = found.entry(lock.id, path)
            return entry, self._letter(found, entry, lock.fd)
        except FileNotFoundError as error:
            raise NotFound(f"there is no letter {lock.id} in the spool") from error
        except OSError as error:
            raise store_error(error, f"cannot read {path}") from error

    def _letter(self, found: EntryFile, entry: QueueEntry, fd: int) -> Letter:
        path = self.path(entry.id)
        if found.has_letter:
            return found.letter(entry, fd, f"{path}.env")
        return Letter.from_file(f"{path}.msg", entry.letter_at_octets)

    def update(self, entry: QueueEntry, lock: EntryLock) -> None:
        """Replace the envelope by `entry` (its letter stays); durable, and still locked. Raises StoreError."""
        path = f"{self.path(entry.id)}.env"
        try:
            if self._keep_letter(lock):
                fsync_dir(self.directory)  # before the envelope loses it
            temporary, held = self._replacement(entry)
            os.fsync(held.fd)
            os.rename(temporary, path)
            lock.replace(held)
            fsync_dir(self.directory)
        except OSError as error:
            raise store_error(error, f"cannot update {path}") from error

    def update_many(self, changed: Sequence[tuple[QueueEntry, EntryLock]]) -> None:
        """As `update` for each, with two syncs for all. Raises StoreError: then some are replaced, and some are not."""
        if not changed:
            return
        try:
            for _, lock in changed:
                self._keep_letter(lock)
            made = [(*self._replacement(entry), entry, lock) for entry, lock in changed]
            sync_file_system(made[0][1].fd)
            for temporary, held, entry, lock in made:
                os.rename(temporary, f"{self.path(entry.id)}.env")
                lock.replace(held)
            fsync_dir(self.directory)
        except OSError as error:
            raise store_error(error, f"cannot update entries in {self.directory}") from error

    def _keep_letter(self, lock: EntryLock) -> bool:
        """Have the letter below a locked envelope as `.msg`; True when that is a new name, not yet durable."""
        found = EntryFile.read(lock.fd)
        if not found.has_letter:
            return False
        path = self.path(lock.id)
        try:
            os.link(f"{path}.env", f"{path}.msg")
        except FileExistsError:
            if os.stat(f"{path}.msg").st_size != found.size_octets:  # else a replay's, or of an update that was cut off
                os.unlink(f"{path}.msg")
                os.link(f"{path}.env", f"{path}.msg")
        return True

    def _replacement(self, entry: QueueEntry) -> tuple[str, HeldFd]:
        """An envelope under another name, written and locked, not synced."""
        temporary = f"{self.directory}/.{entry.id}.{os.getpid()}.{next(_serial)}.tmp"
        held = HeldFd(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        write_all(held.fd, [render_entry(entry)])
        fcntl.flock(held.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return temporary, held

    def remove(self, entry_id: str) -> None:
        """Take the entry out, durably; one that is gone is no error. Raises StoreError."""
        try:
            _unlink(f"{self.path(entry_id)}.env")
            fsync_dir(self.directory)
            self.discard(entry_id)
        except OSError as error:
            raise store_error(error, f"cannot remove {entry_id} from the spool") from error

    def discard(self, entry_id: str) -> None:
        """Unlink the entry's files, the envelope first; not durable. Raises OSError."""
        path = self.path(entry_id)
        _unlink(f"{path}.env")
        if entry_id.startswith(_EXPAND_PREFIX):
            _unlink(f"{path}.done")
            _unlink(f"{path}.at")
        _unlink(f"{path}.msg")

    def lock(self, entry_id: str) -> EntryLock:
        """Have the entry for oneself. Raises Locked, NotFound."""
        path = f"{self.path(entry_id)}.env"
        try:
            while True:
                held = HeldFd(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
                fcntl.flock(held.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(held.fd).st_ino == os.stat(path).st_ino:  # else it was replaced before we had the lock
                    return EntryLock(entry_id, held)
        except FileNotFoundError as error:
            raise NotFound(f"there is no entry {entry_id} in the spool") from error
        except BlockingIOError as error:
            raise Locked(f"{path} is being worked on") from error

    def sweep(self, older_s: float = 3600.0) -> int:
        """Remove what no entry owns and is older than `older_s`; how many files. Raises StoreError."""
        limit = self._clock.time() - older_s
        removed = 0
        try:
            with os.scandir(self.directory) as found:
                names = {e.name: e for e in found}
            for name, entry in names.items():
                stem, dot, suffix = name.rpartition(".")
                other = f"{stem}.msg" if suffix == "env" else f"{stem}.env"  # each is nothing without the other
                is_orphan = suffix in ("msg", "done", "at", "env") and other not in names and not name.startswith(".")
                is_temporary = name.startswith(".") and (suffix == "tmp" or name.startswith(".unnamed."))
                if not (dot and (is_orphan or is_temporary)):
                    continue
                # ctime: naming the letter sets it, whatever age the octets are of
                if entry.stat(follow_symlinks=False).st_ctime >= limit:
                    continue
                if suffix != "env" or is_temporary or not has_letter_below(entry.path):
                    removed += _unlink(entry.path)
        except FileNotFoundError:
            pass  # another sweep
        except OSError as error:
            raise store_error(error, f"cannot sweep {self.directory}") from error
        return removed

    def path(self, entry_id: str) -> str:
        """What the names of the entry's files begin with. Raises Invalid."""
        if not _ID.fullmatch(entry_id):
            raise Invalid(f"{entry_id[:100]!r} is no id of an entry")
        return f"{self.directory}/{entry_id}"


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True
