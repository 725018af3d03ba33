"""Reading a mailbox that is in use: every letter, wherever its clients move it meanwhile.

Names are claims: a letter is renamed when its flags change, and moved from new/ to cur/ and between folders, while we
read. So new/ is listed before cur/; a letter is opened before anything else is done with it, and stays readable then;
and folders are listed again until none has changed since its last listing began.
"""

from __future__ import annotations

import os
import re
import stat as stat_module
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from storage.backup.manifest import FileRow, FolderRow, LetterRow, Manifest
from storage.backup.objects import Objects
from storage.box_info import is_letter_name, split_name
from storage.clock import Clock
from storage.errors import NotFound, StoreError
from storage.keywords import FILE_NAME as KEYWORDS_FILE
from storage.maildir import INBOX, folder_dirs, folder_name
from storage.scan_folder import Stamp, is_settled, stamp_of
from storage.uidlist import FILE_NAME as UIDLIST_FILE
from storage.uidlist import parse_header, parse_lines

_ROUNDS = 10
_FRESH_NS = 20_000_000  # a change in the same tick of the kernel's clock as the listing would go unseen
_PAUSE_S = 0.005
_HEAD_OCTETS = 32_768
_PASSED_OVER = re.compile(
    r"maildirsize|.*\.lock|.*\.tmp\w*|\.unnamed\..*|dovecot\.index.*|dovecot-uidlist\.tmp.*|bdmta-.*pending.*"
)
_MESSAGE_ID = re.compile(rb"(?im)^message-id:[ \t]*(?:\r?\n[ \t]+)?(<[^\r\n>]{1,500}>)")
_FROM = re.compile(rb"(?im)^from:[ \t]*((?:[^\r\n]|\r?\n[ \t])*)")
_ADDRESS = re.compile(rb"<\s*([^<>\s]{1,320})\s*>|([^\s<>\"(),;:]{1,64}@[^\s<>\"(),;:]{1,255})")


@dataclass(slots=True)
class _Reading:
    """A folder as it was listed last: base name to (sub, info), and the letters kept so far."""

    path: str
    stamp: Stamp | None = None
    names: dict[str, tuple[str, str]] = field(default_factory=dict)
    rows: dict[str, LetterRow] = field(default_factory=dict)
    gone: dict[str, LetterRow] = field(default_factory=dict)  # kept by an earlier listing, not in the last
    inodes: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # inode, its names, which listing: by base


class MailboxReader:
    """Reads one mailbox into a manifest, its octets into `objects`.

    `before`: the manifest of an earlier backup, whose letters are not read again. `problems` has what could not be
    read, by name.
    """

    def __init__(
        self, mailbox: str, objects: Objects, clock: Clock, before: Manifest | None = None,
        *, pause: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self._mailbox = mailbox
        self._objects = objects
        self._clock = clock
        self._before = {folder.dir: folder for folder in before.folders} if before else {}
        self._files_before = {file.path: file for file in before.files} if before else {}
        self._pause = pause
        self._readings: dict[str, _Reading] = {}
        self._failed: dict[str, str] = {}
        self._listings = 0

    @property
    def problems(self) -> list[str]:
        """Letters and files that could not be read, with the system's word for it."""
        return [f"{path}: {why}" for path, why in sorted(self._failed.items())]

    def is_unchanged(self) -> bool:
        """Whether everything still looks as `before` has it. Cheap: a few stat(2) a folder. Raises NotFound."""
        if not self._before:
            return False
        paths = folder_dirs(self._mailbox)
        if {self._relative(path) for path in paths} != self._before.keys():
            return False
        for path in paths:
            stamp = self._before[self._relative(path)].stamp
            if stamp is None or stamp_of(path) != stamp:
                return False
        found = {name: (stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in self._files(paths)}
        return found == {name: (row.at_ns, row.octets, row.inode) for name, row in self._files_before.items()}

    def read(self) -> Manifest:
        """The mailbox now; what cannot be read is a problem, no error. Raises NotFound, NoSpace, StoreError."""
        began_at = self._clock.time()
        for round_number in range(_ROUNDS):
            paths = folder_dirs(self._mailbox)
            for path in self._readings.keys() - set(paths):
                del self._readings[path]
            unsettled = [path for path in paths if self._is_unsettled(path)]
            if not unsettled:
                break
            if round_number:
                self._pause(_PAUSE_S)
            for path in unsettled:
                self._list(path)
                self._keep_letters(self._readings[path])
        self._settle_gone()
        self._drop_doubles()
        manifest = Manifest()
        for path, reading in sorted(self._readings.items()):
            manifest.folders.append(self._folder_row(path, reading, began_at))
        manifest.files = self._keep_files(sorted(self._readings))
        return manifest

    def _relative(self, path: str) -> str:
        return path[len(self._mailbox) + 1 :]

    def _is_unsettled(self, path: str) -> bool:
        reading = self._readings.get(path)
        if reading is None or reading.stamp is None:
            return True
        try:
            return stamp_of(path) != reading.stamp or len(reading.rows) < len(reading.names)
        except NotFound:
            return False

    def _list(self, path: str) -> None:
        """List the folder; what an earlier listing had and this lacks stays if it is still there (readdir may miss)."""
        reading = self._readings.setdefault(path, _Reading(path))
        self._listings += 1
        try:
            stamp = stamp_of(path)
            new, cur = os.listdir(f"{path}/new"), os.listdir(f"{path}/cur")
        except (FileNotFoundError, NotADirectoryError, NotFound):
            reading.stamp, reading.names = None, {}
            return
        fresh_from = self._clock.time() * 1e9 - _FRESH_NS
        is_fresh = max(stamp.cur_mtime_ns, stamp.new_mtime_ns) > fresh_from
        reading.stamp = None if is_fresh else stamp
        names: dict[str, tuple[str, str]] = {}
        for sub, listed in (("new", new), ("cur", cur)):
            for name in listed:
                if is_letter_name(name):
                    base, info = split_name(name)
                    names[base] = (sub, info)
        for base, (sub, info) in reading.names.items():
            if base not in names and os.path.lexists(f"{path}/{sub}/{base}{info}"):
                names[base] = (sub, info)
        reading.names = names

    def _keep_letters(self, reading: _Reading) -> None:
        before = self._before.get(self._relative(reading.path))
        known = {row.base: row for row in before.letters} if before else {}
        for base in reading.rows.keys() - reading.names.keys():
            reading.gone[base] = reading.rows.pop(base)
        subs: dict[str, int] = {}
        try:
            for sub in ("cur", "new"):
                subs[sub] = os.open(f"{reading.path}/{sub}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for base, (sub, info) in list(reading.names.items()):
                kept = reading.rows.get(base)
                if kept is not None:
                    if (kept.sub, kept.info) != (sub, info):
                        reading.rows[base] = _renamed(kept, sub, info)
                    continue
                row = self._letter(reading, subs[sub], base, known.get(base))
                if row is not None:
                    reading.rows[base] = row
        except FileNotFoundError:
            reading.stamp = None  # the folder went
        finally:
            for fd in subs.values():
                os.close(fd)

    def _letter(self, reading: _Reading, dir_fd: int, base: str, known: LetterRow | None) -> LetterRow | None:
        sub, info = reading.names[base]
        name = base + info
        try:
            if known is not None:
                stat = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
                reading.inodes[base] = (stat.st_ino, stat.st_nlink, self._listings)
                if (stat.st_mtime_ns, stat.st_size) == (known.at_ns, known.octets):
                    return _renamed(known, sub, info)
            return self._read_letter(reading, dir_fd, name, sub)
        except FileNotFoundError:
            return None  # renamed or removed: the next round tells
        except OSError as error:
            del reading.names[base]
            self._failed[f"{reading.path}/{sub}/{name}"] = error.strerror or str(error)
            if known is not None:
                reading.names[base] = (sub, info)
                return _renamed(known, sub, info)  # what was kept of it earlier is whole
            return None

    def _read_letter(self, reading: _Reading, dir_fd: int, name: str, sub: str) -> LetterRow:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=dir_fd)
        try:
            stat = os.fstat(fd)
            if not stat_module.S_ISREG(stat.st_mode):
                raise OSError(0, "is no file")
            reading.inodes[split_name(name)[0]] = (stat.st_ino, stat.st_nlink, self._listings)
            octets = os.read(fd, stat.st_size + 1)
            while len(octets) < stat.st_size and (block := os.read(fd, stat.st_size - len(octets))):
                octets += block
            sha256 = self._objects.put(octets, fd)
        finally:
            os.close(fd)
        base, info = split_name(name)
        message_id, sender = _identity(octets)
        return LetterRow(base, info, sub, None, stat.st_mtime_ns, len(octets), sha256, message_id, sender)

    def _settle_gone(self) -> None:
        """What went while we read was moved, and is found elsewhere, or was removed a moment ago.

        One that is found nowhere stays where it was: rather a letter too many in a backup than one that dodged us.
        """
        for reading in self._readings.values():
            for base in reading.rows.keys() - reading.names.keys():
                reading.gone[base] = reading.rows.pop(base)
        found = {(row.sha256, row.at_ns) for reading in self._readings.values() for row in reading.rows.values()}
        for reading in self._readings.values():
            for base, row in reading.gone.items():
                if (row.sha256, row.at_ns) not in found:
                    found.add((row.sha256, row.at_ns))
                    reading.rows[base] = row
                    reading.stamp = None

    def _drop_doubles(self) -> None:
        """A letter that moved on from folder to folder until we gave up listing may have been seen in two of them.

        A file seen under more names than it has is such a one: the name seen last is kept. A copy has its own name.
        """
        seen: dict[tuple[int, str], list[tuple[int, _Reading, str]]] = {}
        for reading in self._readings.values():
            for base, row in reading.rows.items():
                if base in reading.inodes:
                    inode, _, listing = reading.inodes[base]
                    seen.setdefault((inode, row.sha256), []).append((listing, reading, base))
        for (inode, sha256), names in seen.items():
            if len(names) == 1:
                continue
            names.sort(key=lambda one: one[0])
            count = max(reading.inodes[base][1] for _, reading, base in names)
            count -= self._objects.is_link_of(sha256, inode)
            for _, reading, base in names[: max(len(names) - count, 0)]:
                del reading.rows[base]
                reading.stamp = None

    def _folder_row(self, path: str, reading: _Reading, began_at: float) -> FolderRow:
        name = INBOX if path == self._mailbox else folder_name(os.path.basename(path)) or ""
        row = FolderRow(name, self._relative(path))
        octets = _read_small(f"{path}/{UIDLIST_FILE}")
        header, _, lines = octets.partition(b"\n")
        if (parsed := parse_header(header)) is not None:
            row.uidvalidity, row.uidnext = parsed
        uids = {base: uid for uid, base in parse_lines(lines[: lines.rfind(b"\n") + 1], above_uid=0)}
        row.uidnext = max([row.uidnext, *(uid + 1 for uid in uids.values())])
        row.keywords = _keywords(_read_small(f"{path}/{KEYWORDS_FILE}"))
        row.letters = [_with_uid(letter, uids.get(letter.base)) for letter in reading.rows.values()]
        row.letters.sort(key=lambda letter: (letter.uid is None, letter.uid or 0, letter.base))
        is_whole = len(reading.rows) == len(reading.names) and reading.stamp is not None
        if is_whole and reading.stamp is not None and is_settled(reading.stamp, began_at):
            row.stamp = reading.stamp
        return row

    # -- the other files

    def _files(self, paths: list[str]) -> list[tuple[str, os.stat_result]]:
        found = []
        for path in paths:
            prefix = self._relative(path) + "/" if path != self._mailbox else ""
            try:
                with os.scandir(path) as entries:
                    for entry in entries:
                        if entry.is_file(follow_symlinks=False) and not _PASSED_OVER.fullmatch(entry.name):
                            found.append((prefix + entry.name, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
        return sorted(found, key=lambda one: one[0])

    def _keep_files(self, paths: list[str]) -> list[FileRow]:
        rows = []
        for name, seen in self._files(paths):
            known = self._files_before.get(name)
            if known and (known.at_ns, known.octets, known.inode) == (seen.st_mtime_ns, seen.st_size, seen.st_ino):
                rows.append(known)
                continue
            try:
                rows.append(keep_file(self._objects, f"{self._mailbox}/{name}", name))
            except FileNotFoundError:
                continue  # replaced or removed
            except OSError as error:
                self._failed[f"{self._mailbox}/{name}"] = error.strerror or str(error)
        return rows


def keep_file(objects: Objects, path: str, name: str) -> FileRow:
    """Keep the file at `path` as it is now, under `name`. Raises OSError, StoreError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        stat = os.fstat(fd)
        if not stat_module.S_ISREG(stat.st_mode):
            raise StoreError(f"{path} is no file")
        octets, parts = objects.put_file(fd)
    finally:
        os.close(fd)
    return FileRow(name, stat_module.S_IMODE(stat.st_mode), stat.st_mtime_ns, octets, parts, stat.st_ino)


def _renamed(row: LetterRow, sub: str, info: str) -> LetterRow:
    if (row.sub, row.info) == (sub, info):
        return row
    return LetterRow(
        row.base, info, sub, row.uid, row.at_ns, row.octets, row.sha256, row.message_id, row.sender
    )  # fmt: skip


def _with_uid(row: LetterRow, uid: int | None) -> LetterRow:
    if row.uid == uid:
        return row
    return LetterRow(
        row.base, row.info, row.sub, uid, row.at_ns, row.octets, row.sha256, row.message_id, row.sender
    )  # fmt: skip


def _identity(octets: bytes) -> tuple[str, str]:
    """The Message-ID and the address in From, for finding the letter again; "" where there is none."""
    end = octets.find(b"\r\n\r\n", 0, _HEAD_OCTETS)
    head = octets[: end + 2] if end >= 0 else octets[:_HEAD_OCTETS]
    found = _MESSAGE_ID.search(head)
    message_id = found[1].decode("utf-8", "replace") if found else ""
    sender = ""
    if (found := _FROM.search(head)) and (address := _ADDRESS.search(found[1])):
        sender = (address[1] or address[2]).decode("utf-8", "replace").lower()
    return message_id, sender


def _keywords(octets: bytes) -> tuple[str, ...]:
    names = {}
    for line in octets.split(b"\n"):
        number, _, name = line.partition(b" ")
        if number.isdigit() and len(number) <= 2 and name and int(number) < 26:
            names[int(number)] = name.decode("utf-8", "replace")
    return tuple(names.get(place, "") for place in range(max(names, default=-1) + 1))


def _read_small(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(256 << 20)
    except FileNotFoundError:
        return b""
