"""The second form of the commit: one write and one sync for all letters that wait (contract 1).

A letter is written to a file without a name and not synced; its record goes to the journal with those of all others
that came while the last sync ran; that is synced; then the file gets its name in every `new/`, and 250 may be said.
After a loss of power `journal_replay` brings back what the file system had not written yet. A checkpoint syncs the
file system (every 5 s, or when a segment is full), after which the records count no more and the segment is used again.

Two segments take turns, so that nobody waits for a checkpoint. When both are taken, when the disk fails, or for letters
that do not fit, `take` says no and the first form serves.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from storage.clock import Clock
from storage.errors import StoreError
from storage.files import HeldFd, fsync_dir, store_error, sync_file_system
from storage.journal_replay import DOUBT_SUFFIX, SEGMENT_SUFFIXES, JournalLock, Replayed, replay, segments
from storage.journal_segment import Frame, Listed, Segment, boot_id
from storage.journal_spool import Entering
from storage.letter import Letter, Span
from storage.maildir import unique_name
from storage.open_dirs import OpenDirs
from storage.placing import Naming
from storage.settling import SPOOL, make_notes, note, relative, remove_notes, tag_of
from storage.spool import Spool
from storage.spool_entry import QueueEntry, Target

LETTER_MAX_OCTETS = 262_144
SEGMENT_MIN_OCTETS = 4 << 20
SEGMENT_MAX_OCTETS = 64 << 20
CHECKPOINT_AFTER_S = 5.0


class Way(Protocol):
    """How a letter comes into its folder otherwise than by a name in `new/`: APPEND gives it flags and a UID."""

    def claim(self, file: HeldFd, name: str) -> Listed:
        """Before anything is written: what its record is to say beside the letter. Raises OSError, StoreError."""

    def give(self, file: HeldFd, name: str) -> None:
        """Name it; its record is durable. Raises OSError, StoreError."""

    def take_back(self) -> None:
        """Remove the name, as far as that can be done."""


@dataclass(slots=True)
class Placement:
    """One letter for the journal, and what became of it: `name`, or the `error` that says that nothing is promised.

    `entry`: it goes into the spool too, or only there.
    """

    letter: Letter
    targets: tuple[Target, ...]
    entry: QueueEntry | None = None
    way: Way | None = None
    name: str = ""
    error: StoreError | None = None
    crossings: tuple[tuple[str, int], ...] = ()
    file: HeldFd | None = field(default=None, repr=False)
    naming: Naming | Way | None = field(default=None, repr=False)
    entering: Entering | None = field(default=None, repr=False)


def fits_journal(letter: Letter) -> bool:
    """A small letter that lies in memory: its octets are what the record holds."""
    return letter.size_octets <= LETTER_MAX_OCTETS and not any(isinstance(piece, Span) for piece in letter.pieces)


class Journal:
    """The journal of one process, named `journal` in `directory`. Takes its lock; replays what a dead one left.

    `on_trouble` is told, in a thread, when the disk failed and the journal is given up until the next start.
    """

    def __init__(
        self, directory: str, journal: str, *, mail_root: str, tmp_dir: str, host: str, clock: Clock,
        boot: str | None = None, segment_min_octets: int = SEGMENT_MIN_OCTETS,
        segment_max_octets: int = SEGMENT_MAX_OCTETS, on_trouble: Callable[[str], None] | None = None,
        spool: Spool | None = None,
    ) -> None:  # fmt: skip
        self._directory = directory
        self._journal = journal
        self._mail_root = mail_root
        self._tmp_dir = tmp_dir
        self._host = host
        self._spool = spool
        self._clock = clock
        self._boot = boot_id() if boot is None else boot
        self._min_octets = segment_min_octets
        self._max_octets = segment_max_octets
        self._on_trouble = on_trouble
        self._dirs = OpenDirs()
        self._writing = threading.Lock()  # held over a whole batch: a checkpoint begins between two
        self._checkpointing = threading.Lock()
        self.given_up = ""
        lock = JournalLock.take(directory, journal)
        if lock is None:
            raise StoreError(f"{directory}/{journal}.lock: another process has this journal")
        self._lock = lock
        # Opened before anything is written: syncfs(2) tells of errors since the descriptor was opened.
        self._root = HeldFd(os.open(mail_root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        self.replayed = Replayed()
        found = segments(directory).get(journal, [])
        replay(directory, journal, found, mail_root, tmp_dir, self.replayed, self._boot, spool)
        self.takes_entries = spool is not None and os.stat(spool.directory).st_dev == os.fstat(self._root.fd).st_dev
        self._epoch = int(clock.time() * 1000)
        self._active: Segment | None = self._prepared(SEGMENT_SUFFIXES[0], segment_min_octets)
        self._free: Segment | None = self._prepared(SEGMENT_SUFFIXES[1], segment_min_octets)

    def _prepared(self, suffix: str, octets: int) -> Segment:
        try:
            segment = Segment(f"{self._directory}/{self._journal}{suffix}")
            self._prepare(segment, octets)
            fsync_dir(self._directory)
        except OSError as error:
            raise store_error(error, f"cannot prepare a journal in {self._directory}") from error
        return segment

    def _prepare(self, segment: Segment, octets: int) -> None:
        """A new epoch: the file of its notes first, so that a letter of it is always known as young."""
        self._epoch += 1
        make_notes(self._directory, tag_of(self._journal, self._epoch))
        segment.prepare(self._epoch, self._boot, octets)

    @property
    def is_busy(self) -> bool:
        """Somebody is writing just now."""
        return self._writing.locked()

    @property
    def is_empty(self) -> bool:
        """No record counts: everything is checkpointed."""
        return self._active is None or self._active.frames == 0

    def write(self, placements: Sequence[Placement]) -> list[Placement]:
        """Store these together; each has its name or its error when it returns. Those that the journal has no room
        for are given back untouched, for the first form. Blocks.
        """
        with self._writing:
            active = self._active
            if active is None:
                return list(placements)
            tag = tag_of(self._journal, active.epoch)
            frame = Frame()
            taken: list[Placement] = []
            refused: list[Placement] = []
            for placement in placements:
                name = unique_name(self._clock, self._host, placement.letter.size_octets, tag)
                if self._add(frame, placement, name, active, tag):
                    taken.append(placement)
                elif placement.error is None:
                    refused.append(placement)
            if taken and self._append(active, frame, taken):
                for placement in taken:
                    self._name(placement, tag)
            active.is_full |= bool(refused)
            return refused

    def _add(self, frame: Frame, placement: Placement, name: str, active: Segment, tag: str) -> bool:
        """Write the letter to its file and its record into the frame; false when it failed or does not fit."""
        letter = placement.letter
        targets = [(relative(t.mailbox, self._mail_root), t.folder) for t in placement.targets]
        if placement.entry is not None and self._spool is not None:
            placement.entering = Entering(self._spool, placement.entry, tag)
            targets.append((SPOOL, placement.entering.envelope.decode("utf-8", "surrogateescape")))
        pieces = [piece for piece in letter.pieces if isinstance(piece, bytes | memoryview)]
        named_octets = 128 + len(name) + sum(4 * (len(m) + len(f)) + 2 for m, f in targets)
        if not active.has_room(frame.room_with(letter.size_octets + named_octets)):
            return False
        listed = None
        try:
            placement.naming = placement.way or Naming(self._dirs, placement.targets)
            if placement.entering is not None and not placement.targets:
                placement.file = placement.entering.open(letter)
            else:
                placement.file = letter.file(self._tmp_dir)
            if placement.way is not None:
                listed = placement.way.claim(placement.file, name)
        except (OSError, StoreError) as error:
            placement.error = _as_store_error(error)
            self._take_back(placement)
            return False
        placement.name = name
        frame.add(name, targets, pieces, listed)
        return True

    def _append(self, active: Segment, frame: Frame, taken: Sequence[Placement]) -> bool:
        """Write and sync the frame. A failed sync is never tried again: what it left unwritten counts as written."""
        try:
            active.append(frame)
            return True
        except OSError as error:
            failed = store_error(error, "cannot write the journal")
        self._active, self._free = self._free, None
        for placement in taken:
            placement.error = failed
            self._take_back(placement)
            self._settle(placement, tag_of(self._journal, active.epoch))
        threading.Thread(target=self._bury, args=(active, failed), name="journal burial", daemon=True).start()
        return False

    def _name(self, placement: Placement, tag: str) -> None:
        """Name the letter everywhere; or nowhere, and then its record is made to count no more."""
        assert placement.file is not None and placement.naming is not None
        try:
            placement.naming.give(placement.file, placement.name)
            if placement.entering is not None:
                placement.entering.give(placement.file)
        except (OSError, StoreError) as error:
            placement.error = _as_store_error(error)
            self._take_back(placement)
            self._settle(placement, tag)
        placement.file = placement.naming = placement.entering = None

    @staticmethod
    def _take_back(placement: Placement) -> None:
        if placement.naming is not None:
            placement.naming.take_back()
        if placement.entering is not None:
            placement.entering.take_back()
        placement.file = placement.naming = placement.entering = None

    def _settle(self, placement: Placement, tag: str) -> None:
        mailboxes = {relative(target.mailbox, self._mail_root) for target in placement.targets}
        with suppress(OSError, StoreError):  # else, after a loss of power, a letter comes that was not promised
            settled = [(mailbox, placement.name) for mailbox in mailboxes]
            if placement.entry is not None:
                settled.append((SPOOL, placement.entry.id))
            note(self._directory, tag, settled)

    # -- checkpoints

    @property
    def wants_checkpoint(self) -> bool:
        """The active segment is full, or nearly."""
        active = self._active
        return active is not None and (active.is_full or active.end * 4 > active.size_octets * 3)

    def checkpoint(self) -> None:
        """Sync the file system; the records written so far count no more. Blocks, while others write on."""
        with self._checkpointing:
            with self._writing:
                old = self._active
                if old is None or not old.frames:
                    return
                self._active, self._free = self._free, None
            try:
                sync_file_system(self._root.fd)
            except OSError as error:
                self._doubt(old, error)
                return
            self._retire(old)

    def _retire(self, old: Segment) -> None:
        tag = tag_of(self._journal, old.epoch)
        wanted = min(self._max_octets, 2 * old.size_octets) if old.end * 2 > old.size_octets else old.size_octets
        try:
            self._prepare(old, max(wanted, self._min_octets))
        except OSError as error:
            self._give_up(f"cannot prepare a segment: {error}")
            return
        remove_notes(self._directory, tag)
        with self._writing:
            if self._active is None and not self.given_up:
                self._active = old
            else:
                self._free = old

    def _bury(self, dead: Segment, error: Exception) -> None:
        """A segment that could not be written: its letters are brought to the disk, then it goes, for a fresh one."""
        with self._checkpointing:
            try:
                sync_file_system(self._root.fd)
                dead.close()
                os.unlink(dead.path)
                fsync_dir(self._directory)
                remove_notes(self._directory, tag_of(self._journal, dead.epoch))
                fresh = self._prepared(dead.path[-2:], self._min_octets)
            except (OSError, StoreError) as more:
                self._doubt(dead, more)
                return
            with self._writing:
                if self._active is None and not self.given_up:
                    self._active = fresh
                else:
                    self._free = fresh
        if self._on_trouble is not None:
            self._on_trouble(f"a segment was given up: {error}")

    def _doubt(self, old: Segment, error: Exception) -> None:
        """A checkpoint that failed: its letters may not be on the disk, and no later sync would say so. The segment is
        kept for the next start, which writes each of them anew.
        """
        with suppress(OSError):
            os.rename(old.path, f"{self._directory}/{self._journal}.{old.epoch:x}{DOUBT_SUFFIX}")
            fsync_dir(self._directory)
        self._give_up(f"a checkpoint failed: {error}")

    def _give_up(self, why: str) -> None:
        with self._writing:
            self._active = None
            self.given_up = self.given_up or why
        if self._on_trouble is not None:
            self._on_trouble(why)

    def close(self) -> None:
        """Checkpoint, and let the journal go. Blocks."""
        self.checkpoint()
        with self._checkpointing, self._writing:
            for segment in (self._active, self._free):
                if segment is not None:
                    segment.close()
            self._active = self._free = None
        self._dirs.close()
        self._lock.release()


def _as_store_error(error: Exception) -> StoreError:
    if isinstance(error, OSError):
        return store_error(error, "cannot store a letter")
    return error if isinstance(error, StoreError) else StoreError(str(error))
