"""APPEND: a letter comes into a folder by a session, with its flags, its date and its UID; all of that is on disk when
it is answered.

By the journal where there is one (storage.journal): its record is made durable, which vouches for the letter, its name
and its UID alike (one sync); then it gets its name, and its line in the uidlist. Or, in the first form, each is synced
by itself: the file, before it has a name; the uidlist; the directory, in which a file system with one journal finds
nothing to do any more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from storage.box_info import info_with
from storage.box_read import Box
from storage.box_sync import Lister, Put
from storage.box_types import SYSTEM_MASK, Placed
from storage.errors import NotFound
from storage.files import HeldFd, fsync_dir, store_error
from storage.journal import Placement
from storage.journal_segment import Listed
from storage.letter import Letter
from storage.spool_entry import Target


def append(box: Box, letter: Letter, flags: int, keywords: Iterable[str], internaldate_s: float | None) -> Placed:
    """Write a letter (CRLF octets) into the folder. Raises OverQuota, NoSpace, Invalid, NotFound. Blocks."""
    boxes = box.mailbox.boxes
    size = letter.size_octets
    boxes.admit_quota(box.mailbox.path, size, 1)
    info = info_with(":2,", flags & SYSTEM_MASK | box.keyword_mask(keywords))
    coming = _Coming(box, letter, info, internaldate_s)
    try:
        if not boxes.has_journal_for(letter):
            coming.write()  # before the folder is locked: it may be large
        with box.lock:
            found, uids = box.sync.place(box.state, coming.put)
            if not coming.is_recorded:
                fsync_dir(box.cur)
            box.apply(found)
    except FileNotFoundError:
        raise NotFound(f"{box.name} is gone") from None
    except OSError as error:
        raise store_error(error, "the letter could not be stored") from error
    boxes.count_quota(box.mailbox.path, size, 1)
    return Placed(box.uidvalidity, tuple(uids))


class _Coming:
    """The letter on its way; for the journal a `Way`."""

    def __init__(self, box: Box, letter: Letter, info: str, internaldate_s: float | None) -> None:
        self._box = box
        self._letter = letter
        self._info = info
        self._internaldate_s = internaldate_s
        self._lister: Lister | None = None
        self._file: HeldFd | None = None
        self._path = ""
        self.is_recorded = False

    def write(self) -> HeldFd:
        """Its octets, on the disk. Raises OSError."""
        if self._file is None:
            self._file = self._letter.file(f"{self._box.path}/tmp")  # noqa: S108 - the Maildir's own
            self._set_date(self._file)
            os.fsync(self._file.fd)
        return self._file

    def put(self, lister: Lister | None) -> list[Put]:
        """Bring it into cur/, by the journal if that takes it. Raises OSError, StoreError."""
        boxes = self._box.mailbox.boxes
        self._lister = lister
        if lister is not None and self._file is None:
            placement = Placement(self._letter, (Target(self._box.mailbox.path, self._box.name),), way=self)
            self.is_recorded = boxes.place_now(placement)
            if self.is_recorded:
                return [self._as_put(placement.name)]
        size = self._letter.size_octets
        base = f"{boxes.unique_base()},S={size},W={size}"
        self.write().link(f"{self._box.cur}/{base}{self._info}")
        return [self._as_put(base)]

    def _as_put(self, base: str) -> Put:
        assert self._internaldate_s is not None
        return Put(base, self._info, self._letter.size_octets, int(self._internaldate_s))

    def _set_date(self, file: HeldFd) -> None:
        if self._internaldate_s is None:
            self._internaldate_s = os.fstat(file.fd).st_mtime
        else:
            os.utime(file.fd, (self._internaldate_s, self._internaldate_s))

    # -- what the journal asks (storage.journal.Way)

    def claim(self, file: HeldFd, name: str) -> Listed:
        """It gets the next UID, for the folder is locked."""
        assert self._lister is not None
        self._set_date(file)
        assert self._internaldate_s is not None
        return Listed(self._info, self._lister.uid, self._lister.uidvalidity, int(self._internaldate_s))

    def give(self, file: HeldFd, name: str) -> None:
        """Name it, then list it: others take no lock to read the list, and a line tells them that the file is there."""
        assert self._lister is not None
        path = f"{self._box.cur}/{name}{self._info}"
        try:
            file.link(path)
            self._path = path
            self._lister.list(name)
        except FileNotFoundError:
            raise NotFound(f"{self._box.name} is gone") from None

    def take_back(self) -> None:
        """Remove the name."""
        if self._path:
            with suppress(OSError):
                os.unlink(self._path)
