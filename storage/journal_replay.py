"""After a loss of power: bring every letter that the journal vouches for back to what its record says.

Nothing is served before this is done. A letter that is found by its base name in any folder of its mailbox is compared
with its record and replaced where its octets were not written; one that is nowhere is made again; one that somebody
settled (storage.settling) is left alone. Then everything is synced, and only then do the records count no more: killed
half-way, it begins anew. In the same boot nothing is lost (the page cache outlives a process), so that only the sync
remains to be done.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from storage.box_info import arrival_order
from storage.errors import Corrupt, StoreError
from storage.files import HeldFd, fsync_dir, open_unnamed, store_error, sync_file_system, write_all
from storage.journal_segment import Found, Record, boot_id, read_found, read_records
from storage.journal_spool import SpoolRestore, holds
from storage.maildir import create_folder, folder_dir, folder_dirs, name_octets
from storage.maildirsize import FILE_NAME as SIZES_NAME
from storage.settling import SPOOL, absolute, forget_moved, moved_mailboxes, read_notes, remove_notes, tag_of
from storage.settling import SUFFIX as NOTES_SUFFIX
from storage.spool import Spool
from storage.uidlist_mend import mend_uidlist

SEGMENT_SUFFIXES = (".a", ".b")
_TAG = re.compile(r"J\d+x[0-9a-f]+\.")  # of names that a journal has given
_SECTOR_OCTETS = 512
_NAMES_MAX_COUNT = 500_000  # kept in memory at once
DOUBT_SUFFIX = ".doubt"  # a segment whose checkpoint failed: its letters may be lost though the machine still runs


@dataclass(slots=True)
class Replayed:
    """What a replay did. `without_mailbox`: copies for mailboxes whose directories are gone."""

    records: int = 0
    remade: int = 0
    repaired: int = 0
    doubles_removed: int = 0
    without_mailbox: int = 0
    torn: int = 0
    lists_mended: int = 0
    unreadable: tuple[str, ...] = ()


class JournalLock:
    """One journal for one process: an flock(2) that goes with it."""

    def __init__(self, fd: int) -> None:
        self._held: HeldFd | None = HeldFd(fd)

    @classmethod
    def take(cls, directory: str, journal: str) -> JournalLock | None:
        """The lock, or None when another process has it. Raises OSError."""
        fd = os.open(f"{directory}/{journal}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return cls(fd)

    def release(self) -> None:
        """Let others have it."""
        self._held = None


def segments(directory: str) -> dict[str, list[str]]:
    """The segments' files by journal; empty where there is no journal."""
    found: dict[str, list[str]] = {}
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return found
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix in (*SEGMENT_SUFFIXES, DOUBT_SUFFIX):
            found.setdefault(stem.partition(".")[0], []).append(f"{directory}/{name}")
    return found


def waiting(directory: str) -> Iterator[Found]:
    """Every segment that holds records. Those of a running server are among them. Raises OSError."""
    for paths in segments(directory).values():
        for path in paths:
            try:
                found = read_found(path)
            except (Corrupt, FileNotFoundError):
                continue
            if found.records:
                yield found


def replay_all(
    directory: str, mail_root: str, tmp_dir: str, boot: str | None = None, spool: Spool | None = None
) -> Replayed:
    """Replay every journal that no process has; before anything is served. Blocks. Raises StoreError (a full disk, or
    entries in it and no `spool`).
    """
    done = Replayed()
    is_any_alive = False
    for journal, paths in segments(directory).items():
        lock = JournalLock.take(directory, journal)
        if lock is None:
            is_any_alive = True
            continue
        try:
            replay(directory, journal, paths, mail_root, tmp_dir, done, boot_id() if boot is None else boot, spool)
        finally:
            lock.release()
    if not is_any_alive:
        forget_moved(mail_root)
    return done


def replay(
    directory: str, journal: str, paths: list[str], mail_root: str, tmp_dir: str, done: Replayed, boot: str,
    spool: Spool | None = None,
) -> None:  # fmt: skip
    """Replay one journal, whose lock the caller has; segments that held records are gone afterwards."""
    held: list[Found] = []
    for path in paths:
        try:
            found = read_found(path)
        except Corrupt:
            if os.path.getsize(path):
                done.unreadable += (path,)  # a preparation that was cut off: it held nothing that counted
            os.unlink(path)
            continue
        done.torn += found.torn
        if found.records or path.endswith(DOUBT_SUFFIX):
            held.append(found)
    held.sort(key=lambda found: found.epoch)
    try:
        if held:
            restore = _Restore(mail_root, tmp_dir, done, spool)
            for found in held:
                done.records += found.records
                if found.boot != boot or not boot or found.path.endswith(DOUBT_SUFFIX):
                    restore.segment(found, read_notes(directory, tag_of(journal, found.epoch)))
            restore.uidlists(is_alone=all(found.boot != boot for found in held))
            restore.sync()
            _sync(mail_root)
        _forget(directory, journal, held)
    except OSError as error:
        raise store_error(error, f"cannot replay the journal in {directory}") from error


def _sync(mail_root: str) -> None:
    fd = os.open(mail_root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_file_system(fd)
    finally:
        os.close(fd)


def _forget(directory: str, journal: str, held: list[Found]) -> None:
    """The records count no more: first they go, durably, then what was noted about them."""
    for found in held:
        os.unlink(found.path)
    fsync_dir(directory)
    for name in os.listdir(directory):
        if name.startswith(f"J{journal}x") and name.endswith(NOTES_SUFFIX):
            remove_notes(directory, name[: -len(NOTES_SUFFIX)])


class _Restore:
    """One replay: what it knows of the mailboxes it has looked into."""

    def __init__(self, mail_root: str, tmp_dir: str, done: Replayed, spool: Spool | None) -> None:
        self._entries = SpoolRestore(spool) if spool is not None else None
        self._mail_root = mail_root
        self._tmp_dir = tmp_dir
        self._done = done
        self._letters: dict[str, dict[str, list[str]] | None] = {}
        self._names_count = 0
        self._moved = moved_mailboxes(mail_root)
        self._told: dict[tuple[str, int], dict[int, str]] = {}  # by folder's directory and UIDVALIDITY: base by UID
        self._doubtful: set[str] = set()  # directories whose lists the disk may have lost

    def segment(self, found: Found, settled: set[tuple[str, str]]) -> None:
        """Bring back every record of the segment. In doubt of the disk each letter is written anew."""
        is_doubtful = found.path.endswith(DOUBT_SUFFIX)
        for record in read_records(found.path):
            fresh: HeldFd | None = None
            for mailbox, folder in record.targets:
                if mailbox == SPOOL:
                    self._entry(record, folder, settled, is_doubtful)
                    continue
                places = [mailbox, *self._moved.get(mailbox, ())]
                self._note_uid(record, places, folder, is_doubtful)
                if any((place, record.name) in settled for place in places):
                    continue
                where = self._where(record, [absolute(place, self._mail_root) for place in places])
                fresh = self._restore(record, where, folder, fresh, is_doubtful)

    def _entry(self, record: Record, envelope: str, settled: set[tuple[str, str]], is_doubtful: bool) -> None:
        if self._entries is None:
            raise StoreError("the journal has entries of the spool, and no spool was given")
        self._entries.restore(record.octets, envelope, settled, is_doubtful=is_doubtful)

    def sync(self) -> None:
        """Make the spool's names durable, which may lie elsewhere now; sum up."""
        if self._entries is not None:
            self._entries.sync()
            self._done.remade += self._entries.remade
            self._done.repaired += self._entries.repaired

    def _note_uid(self, record: Record, places: list[str], folder: str, is_doubtful: bool) -> None:
        """Whatever became of the letter, its UID was told and is given to no other."""
        if record.listed is not None:
            for place in places:
                path = folder_dir(absolute(place, self._mail_root), folder)
                told = self._told.setdefault((path, record.listed.uidvalidity), {})
                told[record.listed.uid] = max(told.get(record.listed.uid, ""), record.name, key=arrival_order)
                if is_doubtful:
                    self._doubtful.add(path)

    def uidlists(self, *, is_alone: bool) -> None:
        """Have all UIDs that were told in the folders' lists. Raises OSError, StoreError."""
        for (path, uidvalidity), listed in self._told.items():
            is_doubtful = path in self._doubtful
            self._done.lists_mended += mend_uidlist(
                path, uidvalidity, listed, is_doubtful=is_doubtful, is_alone=is_alone
            )

    def _where(self, record: Record, places: list[str]) -> str:
        """The mailbox that has the letter, of those that its letters may have gone to; else the first that is there."""
        known = [(place, letters) for place in places if (letters := self._letters_of(place)) is not None]
        having = (place for place, letters in known if letters.get(record.name))
        return next(having, known[0][0] if known else places[0])

    def _restore(
        self, record: Record, mailbox: str, folder: str, fresh: HeldFd | None, is_doubtful: bool
    ) -> HeldFd | None:
        letters = self._letters_of(mailbox)
        if letters is None:
            self._done.without_mailbox += 1
            return fresh
        paths = [path for path in letters.get(record.name, ()) if os.path.lexists(path)]
        paths = paths or self._renamed(record, letters)
        if not paths:
            fresh = fresh or self._fresh(record)
            letters[record.name] = [self._name(fresh, mailbox, folder, record)]
            self._done.remade += 1
            return fresh
        kept = next((path for path in paths if "/new/" not in path), paths[0])
        for path in paths:
            if path != kept:
                os.unlink(path)
                self._done.doubles_removed += 1
        if is_doubtful or not holds(kept, record.octets):
            fresh = fresh or self._fresh(record)
            for path in self._links_of(kept, record, letters):
                self._replace(fresh, path, f"{mailbox}/tmp/{record.name}.replayed")  # noqa: S108 - the Maildir's own
            self._done.repaired += 1
        elif record.listed is not None and int(os.stat(kept).st_mtime) != record.listed.internaldate_s:
            os.utime(kept, (record.listed.internaldate_s, record.listed.internaldate_s))
        return fresh

    @staticmethod
    def _renamed(record: Record, letters: dict[str, list[str]]) -> list[str]:
        """The letter's file when another program gave it a name of its own (Dovecot does when it moves): one that has
        its octets, or of which only some were written. No two letters that were delivered have equal octets: each has
        its own Received. A client may append the same ones twice, so that there a whole file is no proof.
        """
        others = [p for p in letters.get(f"={len(record.octets)}", ()) if not _TAG.search(os.path.basename(p))]
        found = [path for path in others if holds(path, record.octets)]
        if record.listed is not None:
            others, found = [path for path in others if path not in found], []
        return found[:1] or [path for path in others if _holds_partly(path, record.octets)][:1]

    @staticmethod
    def _links_of(kept: str, record: Record, letters: dict[str, list[str]]) -> list[str]:
        """The file's names in this mailbox: what shares the inode shares the damage."""
        inode = os.lstat(kept).st_ino
        others = letters.get(f"={len(record.octets)}", ())
        return [kept, *(p for p in others if p != kept and os.path.lexists(p) and os.lstat(p).st_ino == inode)]

    @staticmethod
    def _replace(fresh: HeldFd, path: str, aside: str) -> None:
        _unlink(aside)
        fresh.link(aside)
        os.rename(aside, path)

    def _letters_of(self, mailbox: str) -> dict[str, list[str]] | None:
        """The mailbox's files by base name, and by `=<octets>`; None when it is gone.

        Its `maildirsize` is not durable either: it is summed anew when it is wanted.
        """
        if mailbox in self._letters:
            return self._letters[mailbox]
        if self._names_count > _NAMES_MAX_COUNT:
            self._letters.clear()
            self._names_count = 0
        letters: dict[str, list[str]] | None = None
        if os.path.isdir(mailbox):
            letters = {}
            for folder in folder_dirs(mailbox):
                for sub in ("new", "cur"):
                    for name in _listed(f"{folder}/{sub}"):
                        path = f"{folder}/{sub}/{name}"
                        letters.setdefault(name.partition(":")[0], []).append(path)
                        letters.setdefault(f"={name_octets(name)}", []).append(path)
                        self._names_count += 1
            _unlink(f"{mailbox}/{SIZES_NAME}")
        self._letters[mailbox] = letters
        return letters

    def _fresh(self, record: Record) -> HeldFd:
        """The record's letter in a new file, synced before it gets a name."""
        file = open_unnamed(self._tmp_dir)
        write_all(file.fd, [record.octets])
        came_at = record.name.partition(".")[0]
        if record.listed is not None:
            os.utime(file.fd, (record.listed.internaldate_s, record.listed.internaldate_s))
        elif came_at.isdigit():
            os.utime(file.fd, (int(came_at), int(came_at)))
        os.fsync(file.fd)
        return file

    @staticmethod
    def _name(file: HeldFd, mailbox: str, folder: str, record: Record) -> str:
        name = f"new/{record.name}" if record.listed is None else f"cur/{record.name}{record.listed.info}"
        path = f"{folder_dir(mailbox, folder)}/{name}"
        try:
            file.link(path)
        except FileNotFoundError:
            create_folder(mailbox, folder)
            file.link(path)
        return path


def _holds_partly(path: str, octets: bytes) -> bool:
    """The file is what a loss of power may have left of them: sectors that were never written, or cut off."""
    try:
        with open(path, "rb") as file:
            found = file.read(len(octets) + 1)
    except OSError:
        return False
    zeros = bytes(_SECTOR_OCTETS)
    pairs = (
        (found[at : at + _SECTOR_OCTETS], octets[at : at + _SECTOR_OCTETS])
        for at in range(0, len(found), _SECTOR_OCTETS)
    )
    return len(found) <= len(octets) and all(
        wanted.startswith(sector) or sector == zeros[: len(sector)] for sector, wanted in pairs
    )


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
