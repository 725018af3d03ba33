"""Letters younger than the last checkpoint, and what must be done before one of them is removed, moved or copied.

Such a letter lies in its folder like any other, but only its record in a journal is certain to outlast a loss of power.
Who changes it otherwise than by its flags settles it first: its octets and its name are synced, then a durable note
says that the record no longer counts for this mailbox. From then on it is a letter like any other, and replay leaves
it alone: it neither brings back what was expunged nor doubles what was moved.

The notes of an epoch lie in `<tag>.settled` beside the journal, made before the epoch's first record and removed once
its records count no more. The tag is part of each letter's file name. So the file's being there is what says "young".
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Sequence

from storage.errors import StoreError
from storage.files import fsync_dir, store_error, sync_file_system

SUFFIX = ".settled"
_MOVED = ".moved"  # beside the domains, none of which begins with a dot
SPOOL = ".spool"  # stands where records and notes name a mailbox, for an entry of the spool and its id
_SYNCFS_ABOVE_COUNT = 4


def tag_of(journal: str, epoch: int) -> str:
    """What the file names of letters hold whose records are in this epoch of the journal."""
    return f"J{journal}x{epoch:x}"


def live_tags(directory: str) -> list[str]:
    """The tags of all epochs whose records still count."""
    try:
        return [name[: -len(SUFFIX)] for name in os.listdir(directory) if name.endswith(SUFFIX)]
    except FileNotFoundError:
        return []


class Settling:
    """For all who change letters in mailboxes below `mail_root`. Safe in several threads and processes."""

    def __init__(self, directory: str, mail_root: str) -> None:
        self.directory = directory
        self._mail_root = mail_root

    def settle(self, mailbox: str, folder: str, names: Iterable[str]) -> None:
        """Make those of the files `names` in directory `folder` of `mailbox` that are young independent of the
        journal. Durable when it returns; costs nothing where there is none. Blocks. Raises StoreError.
        """
        tags = live_tags(self.directory)
        if not tags:
            return
        marks = [f"{tag}." for tag in tags]
        young = [name for name in names if any(mark in name for mark in marks)]
        if not young:
            return
        try:
            synced = self._sync(folder, young)
            for tag in tags:
                bases = [base for base in (name.partition(":")[0] for name in synced) if f"{tag}." in base]
                if bases:
                    note(self.directory, tag, [(self.relative(mailbox), base) for base in bases])
        except OSError as error:
            raise store_error(error, f"cannot settle letters in {folder}") from error

    def relative(self, mailbox: str) -> str:
        """The mailbox as records name it."""
        return relative(mailbox, self._mail_root)

    @staticmethod
    def _sync(folder: str, names: Sequence[str]) -> list[str]:
        """Sync the letters and their names; those of the letters that were there under these names."""
        dir_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if len(names) > _SYNCFS_ABOVE_COUNT:
                there = set(os.listdir(dir_fd))
                sync_file_system(dir_fd)
                return [name for name in names if name in there]
            synced = []
            for name in names:
                try:
                    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=dir_fd)
                except FileNotFoundError:
                    continue  # another program was faster; the caller looks again
                try:
                    os.fdatasync(fd)
                finally:
                    os.close(fd)
                synced.append(name)
            os.fsync(dir_fd)
            return synced
        finally:
            os.close(dir_fd)


def relative(mailbox: str, mail_root: str) -> str:
    """`mailbox` below the root of the mailboxes; as it is when it lies elsewhere."""
    return mailbox[len(mail_root) + 1 :] if mailbox.startswith(f"{mail_root}/") else mailbox


def absolute(mailbox: str, mail_root: str) -> str:
    """The mailbox that a record names."""
    return mailbox if mailbox.startswith("/") else f"{mail_root}/{mailbox}"


def make_notes(directory: str, tag: str) -> None:
    """Begin an epoch: its file of notes, durable. Raises OSError."""
    os.close(os.open(f"{directory}/{tag}{SUFFIX}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    fsync_dir(directory)


def note(directory: str, tag: str, settled: Sequence[tuple[str, str]]) -> None:
    """Record durably that the epoch's records of these (mailbox, base name) count no more. Raises OSError.

    No file: none of its records counts any more, and there is nothing to record.
    """
    lines = []  # each begins with a line end: what is torn before it spoils only itself
    for mailbox, base in settled:
        text = f"{mailbox}\t{base}".encode("utf-8", "surrogateescape")
        lines.append(b"\n%08x %s\n" % (zlib.crc32(text), text))
    octets = b"".join(lines)
    try:
        fd = os.open(f"{directory}/{tag}{SUFFIX}", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        if os.write(fd, octets) != len(octets):
            raise StoreError(f"{directory}/{tag}{SUFFIX}: written short")
        os.fdatasync(fd)
    finally:
        os.close(fd)


def read_notes(directory: str, tag: str) -> set[tuple[str, str]]:
    """The (mailbox, base name) pairs that are settled; torn lines are passed over. Raises OSError."""
    try:
        with open(f"{directory}/{tag}{SUFFIX}", "rb") as file:
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return set()
    found = set()
    for line in lines:
        crc, _, text = line.partition(b" ")
        if len(crc) == 8 and crc == b"%08x" % zlib.crc32(text):
            mailbox, _, base = text.decode("utf-8", "surrogateescape").partition("\t")
            found.add((mailbox, base))
    return found


def remove_notes(directory: str, tag: str) -> None:
    """End an epoch whose records count no more."""
    try:
        os.unlink(f"{directory}/{tag}{SUFFIX}")
    except FileNotFoundError:
        pass


def note_mailbox_move(source: str, target: str) -> None:
    """Letters of mailbox `source` go to `target` (or all of it gets that name): recorded durably before it happens.

    A replay then looks for them in both. Raises OSError.
    """
    root = os.path.dirname(os.path.dirname(source))
    line = f"{relative(source, root)}\t{relative(target, root)}"
    path = f"{root}/{_MOVED}"
    if line in _lines(path):
        return
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, f"{line}\n".encode("utf-8", "surrogateescape"))
        os.fsync(fd)
    finally:
        os.close(fd)
    fsync_dir(root)


def moved_mailboxes(mail_root: str) -> dict[str, list[str]]:
    """Where letters of each mailbox may have gone since the journals began. Raises OSError."""
    pairs = [line.split("\t") for line in _lines(f"{mail_root}/{_MOVED}") if line.count("\t") == 1]
    found: dict[str, list[str]] = {}
    for start in {source for source, _ in pairs}:
        reached = [start]
        for one in reached:
            reached += [target for source, target in pairs if source == one and target not in reached]
        found[start] = reached[1:]
    return found


def forget_moved(mail_root: str) -> None:
    """No record counts any more."""
    try:
        os.unlink(f"{mail_root}/{_MOVED}")
    except FileNotFoundError:
        pass


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().split("\n")
    except FileNotFoundError:
        return []
