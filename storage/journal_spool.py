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
from storage.spool_file import EntryFile

TAG = "journal"
"""The further key of an entry that holds the tag of the epoch that its record is in."""


class Entering:
    """An entry on its way into the spool. Nothing here is synced: the record is. Raises OSError, Conflict."""

    def __init__(self, spool: Spool, entry: QueueEntry, tag: str) -> None:
        self._directory = spool.directory
        self._path = spool.path(entry.id)
        self._is_whole = self._has_letter = False
        self.id = entry.id
        self.envelope = render_entry(replace(entry, more={**entry.more, TAG: tag}))

    def open(self, letter: Letter) -> HeldFd:
        """The whole entry in one file, the letter below its envelope: nobody else has this letter."""
        if os.path.lexists(f"{self._path}.env"):
            raise Conflict(f"the spool has an entry {self.id} already")
        self._is_whole = True
        return self._file(Letter([self.envelope, *letter.pieces]))

    def _file(self, octets: Letter) -> HeldFd:
        """Without a name yet: nobody who works in the directory waits while the file is made."""
        held = open_unnamed(self._directory)
        octets.write_to(held.fd)
        return held

    def give(self, file: HeldFd) -> None:
        """The entry exists from here on; its record must be durable. `file`: the letter's, or what `open` gave."""
        try:
            if not self._is_whole:
                file.link(f"{self._path}.msg")
                self._has_letter = True
                file = self._file(Letter([self.envelope]))
            file.link(f"{self._path}.env")
        except FileExistsError as error:
            raise Conflict(f"the spool has an entry {self.id} already") from error

    def take_back(self) -> None:
        """Remove the letter's name, if it was given; the envelope's comes last, and is never given in vain."""
        if self._has_letter:
            with suppress(OSError):
                os.unlink(f"{self._path}.msg")


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
        path = self._spool.path(entry.id)
        known = self._known(path, entry.id)
        if known is None:
            self._write(f"{path}.env", recorded + octets)
            self.remade += 1
        elif known.has_letter:
            self._mend_file(path, entry.id, recorded + octets, is_doubtful=is_doubtful)
        else:
            at = known.entry(entry.id, path).letter_at_octets
            self._mend_letter(path, entry.id, recorded[:at] + octets, at, is_doubtful=is_doubtful)

    def _known(self, path: str, entry_id: str) -> EntryFile | None:
        """The `.env` with an envelope that is whole."""
        try:
            fd = os.open(f"{path}.env", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            found = EntryFile.read(fd)
            found.entry(entry_id, path)
        except (Corrupt, OSError):
            return None
        finally:
            os.close(fd)
        return found

    def _mend_file(self, path: str, entry_id: str, whole: bytes, *, is_doubtful: bool) -> None:
        """Letter and envelope in one file. Who works on it removes it, or changes it, and then keeps our `.msg`."""
        if not is_doubtful and holds(f"{path}.env", whole):
            return
        self.repaired += 1
        with suppress(NotFound):
            try:
                with self._spool.lock(entry_id):
                    self._write(f"{path}.env", whole)
            except Locked:
                self._write(f"{path}.msg", whole)

    def _mend_letter(self, path: str, entry_id: str, file: bytes, start: int, *, is_doubtful: bool) -> None:
        """The letter's own file, in which it begins at `start`; the envelope is the record's or newer."""
        if not is_doubtful and holds(f"{path}.msg", file, start):
            return
        self._write(f"{path}.msg", file)
        self.repaired += 1
        if is_doubtful:  # the envelope too, as it is now
            with suppress(Locked, NotFound, Corrupt), self._spool.lock(entry_id) as lock:
                self._spool.update(self._spool.load_locked(lock), lock)

    def _write(self, path: str, octets: bytes) -> None:
        aside = f"{self._spool.directory}/.{os.path.basename(path)}.replayed.tmp"
        with suppress(FileNotFoundError):
            os.unlink(aside)
        file = open_unnamed(self._spool.directory)
        write_all(file.fd, [octets])
        os.fsync(file.fd)
        file.link(aside)
        os.rename(aside, path)

    def sync(self) -> None:
        """Make the names durable. Raises OSError."""
        if self.remade or self.repaired:
            fsync_dir(self._spool.directory)


def holds(path: str, octets: bytes, start: int = 0) -> bool:
    """The file has just these octets; before `start` it may have others."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        wanted = octets[start:]
        return os.fstat(fd).st_size == len(octets) and os.pread(fd, len(wanted) + 1, start) == wanted
    except OSError:
        return False  # a block that cannot be read: written anew
    finally:
        os.close(fd)
