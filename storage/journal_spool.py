"""Entries of the spool that a journal makes durable: named there unsynced, brought back after a loss of power.

The record has the letter's octets and, as a target of the name SPOOL, the envelope. Whoever takes such an entry out of
the spool says so with `settle_removed`, or a replay would bring it back and it would be sent again.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from storage.errors import Conflict, Corrupt, Locked, NotFound
from storage.files import HeldFd, fsync_dir, open_unnamed, write_all
from storage.letter import Letter
from storage.settling import SPOOL, note
from storage.spool import Spool
from storage.spool_entry import QueueEntry, parse_entry, render_entry

TAG = "journal"
"""The further key of an entry that holds the tag of the epoch that its record is in."""


class Entering:
    """An entry on its way into the spool. Nothing here is synced: the record is. Raises OSError, Conflict."""

    def __init__(self, spool: Spool, entry: QueueEntry, tag: str) -> None:
        self._directory = spool.directory
        self._path = spool.path(entry.id)
        self._has_letter = False
        self.id = entry.id
        self.envelope = render_entry(replace(entry, more={**entry.more, TAG: tag}))

    def open(self, letter: Letter) -> HeldFd:
        """The letter's file, under its name at once: without its envelope it is no entry."""
        try:
            fd = os.open(f"{self._path}.msg", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except FileExistsError as error:
            raise Conflict(f"the spool has an entry {self.id} already") from error
        self._has_letter = True
        held = HeldFd(fd)
        letter.write_to(fd)
        return held

    def give(self, file: HeldFd) -> None:
        """The entry exists from here on; its record must be durable."""
        if not self._has_letter:
            file.link(f"{self._path}.msg")
            self._has_letter = True
        aside = f"{self._directory}/.{self.id}.tmp"
        fd = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, [self.envelope])
        finally:
            os.close(fd)
        os.rename(aside, f"{self._path}.env")

    def take_back(self) -> None:
        """Remove the letter's name, if it was given; the envelope's comes last, and is never given in vain."""
        names = (f"{self._directory}/.{self.id}.tmp", f"{self._path}.msg") if self._has_letter else ()
        for name in names:
            with suppress(OSError):
                os.unlink(name)


def tag_of_entry(entry: QueueEntry) -> str:
    """The tag of the epoch whose record the entry has, or had; "" for one that was synced itself."""
    return str(entry.more.get(TAG, ""))


def settle_removed(spool: Spool, journal_dir: str, removed: Iterable[tuple[str, str]]) -> None:
    """Make it durable that these (tag, id) are no longer in the spool; they have been unlinked. Raises OSError.

    First the directory, then the notes: an entry whose record counts no more must not come back without its octets.
    """
    fsync_dir(spool.directory)
    by_tag: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for tag, entry_id in removed:
        if tag:
            by_tag[tag].append((SPOOL, entry_id))
    for tag, settled in by_tag.items():
        note(journal_dir, tag, settled)


class SpoolRestore:
    """Brings entries back. Envelopes that are whole stay: who replaced one has synced it."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self.remade = self.repaired = 0

    def restore(self, octets: bytes, envelope: str, settled: set[tuple[str, str]], *, is_doubtful: bool) -> None:
        """One record's entry. In doubt of the disk its files are written anew. Raises OSError."""
        recorded = envelope.encode("utf-8", "surrogateescape")
        entry = parse_entry(recorded, "a record of the journal")
        if (SPOOL, entry.id) in settled:
            return
        is_whole = self._is_whole(entry.id)
        path = self._spool.path(entry.id)
        is_kept = not is_doubtful and holds(f"{path}.msg", octets)
        if not is_kept:  # before the envelope, with which the entry exists
            self._write(entry.id, ".msg", octets)
        if not is_whole:
            self._write(entry.id, ".env", recorded)
            self.remade += 1
        elif not is_kept:
            self.repaired += 1
            if is_doubtful:
                self._rewrite(entry.id)

    def _is_whole(self, entry_id: str) -> bool:
        try:
            self._spool.load(entry_id)
        except (NotFound, Corrupt):
            return False
        return True

    def _rewrite(self, entry_id: str) -> None:
        """The envelope as it is now in a new file; one that is being worked on is replaced or removed by who does."""
        with suppress(Locked, NotFound, Corrupt), self._spool.lock(entry_id) as lock:
            self._spool.update(self._spool.load_locked(lock), lock)

    def _write(self, entry_id: str, suffix: str, octets: bytes) -> None:
        aside = f"{self._spool.directory}/.{entry_id}{suffix}.replayed.tmp"
        with suppress(FileNotFoundError):
            os.unlink(aside)
        file = open_unnamed(self._spool.directory)
        write_all(file.fd, [octets])
        os.fsync(file.fd)
        file.link(aside)
        os.rename(aside, self._spool.path(entry_id) + suffix)

    def sync(self) -> None:
        """Make the names durable. Raises OSError."""
        if self.remade or self.repaired:
            fsync_dir(self._spool.directory)


def holds(path: str, octets: bytes) -> bool:
    """The file has just these octets."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return os.fstat(fd).st_size == len(octets) and os.read(fd, len(octets) + 1) == octets
    except OSError:
        return False  # a block that cannot be read: written anew
    finally:
        os.close(fd)
