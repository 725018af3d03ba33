"""`dovecot-uidlist` version 3: which file name has which UID. Written so that Dovecot reads it, and reads what
Dovecot wrote.

    3 V<uidvalidity> N<next uid> G<guid>
    <uid> [<letter><value> ...] :<file name, perhaps with its flags>

Lines are only appended (contract 4); Dovecot appends without touching the header, so the next UID is the greater of the
header's and the highest line's plus one. Fields and lines that we do not know stay as they are.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from storage.files import fsync_dir
from storage.uidlist_lock import uidlist_lock

Remembered = tuple[int, int, list[tuple[int, str]]]  # uidvalidity, next UID, (UID, base) of what is known
FILE_NAME = "dovecot-uidlist"
_TAIL_OCTETS = 64
UID_MAX = 0xFFFFFFFF
_PLAIN_LINE = re.compile(r"^([0-9]{1,10})(?: [^:\n]*)? :([^:\n]+)(?::[^\n]*)?\n", re.MULTILINE)


@dataclass(slots=True)
class Known:
    """How far a file was read: what another reading may start from, and what the index keeps."""

    inode: int = 0
    offset: int = 0  # octets read, up to a line's end
    uidvalidity: int = 0
    next_uid: int = 1
    header: bytes = b""  # the first line, for fields that we do not know
    tail: bytes = b""  # the octets before `offset`: a file that was replaced may have got the same inode number


@dataclass(slots=True)
class News:
    """What a reading found. `whole`: the entries are all there are, forget what was known before."""

    whole: bool
    entries: list[tuple[int, str]] = field(default_factory=list)  # (UID, base name), UIDs ascending


class UidList:
    """One folder's uidlist, as far as it was read. Not for two threads at once: its folder's lock is held around it."""

    def __init__(self, folder: str, known: Known | None = None) -> None:
        self.folder = folder
        self.path = f"{folder}/{FILE_NAME}"
        self.known = known or Known()

    def read(self) -> News | None:
        """Read what came since; None when there is no usable file (the next `assign` makes one).

        Never raises on junk.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            stat = os.fstat(fd)
            if stat.st_ino == self.known.inode and stat.st_size >= self.known.offset:
                tail = self._since_known(fd, stat.st_size)
                if tail is not None:
                    return self._take(tail, whole=False)
            octets = _read_all(fd, 0, stat.st_size)
        finally:
            os.close(fd)
        return self._take_whole(octets, stat.st_ino)

    def has_changed(self) -> bool:
        """Whether the file differs from what was read. One stat."""
        try:
            stat = os.stat(self.path)
        except FileNotFoundError:
            return self.known.inode != 0
        return stat.st_ino != self.known.inode or stat.st_size != self.known.offset

    def _since_known(self, fd: int, size: int) -> bytes | None:
        """What follows what was read; None when the file does not begin with that any more."""
        known = self.known
        if os.pread(fd, len(known.header) + 1, 0) != known.header + b"\n":
            return None
        start = known.offset - len(known.tail)
        octets = _read_all(fd, start, size)
        return octets[len(known.tail) :] if octets.startswith(known.tail) else None

    def _take_whole(self, octets: bytes, inode: int) -> News | None:
        end = octets.find(b"\n")
        header = octets[:end] if end >= 0 else b""
        parsed = parse_header(header)
        if parsed is None:
            return None
        uidvalidity, next_uid = parsed
        self.known = Known(inode, end + 1, uidvalidity, next_uid, header, octets[: end + 1][-_TAIL_OCTETS:])
        return self._take(octets[end + 1 :], whole=True)

    def _take(self, octets: bytes, *, whole: bool) -> News:
        """Add complete lines; the rest of a line still being written (or torn by a crash) waits."""
        octets = octets[: octets.rfind(b"\n") + 1]
        self.known.offset += len(octets)
        self.known.tail = (self.known.tail + octets)[-_TAIL_OCTETS:]
        lowest = 0 if whole else self.known.next_uid - 1
        entries = list(parse_lines(octets, above_uid=lowest))
        if entries:
            self.known.next_uid = max(self.known.next_uid, entries[-1][0] + 1)
        return News(whole, entries)

    def assign(
        self,
        uidvalidity: Callable[[], int],
        place: Callable[[News, int], Sequence[str]],
        remembered: Remembered | None = None,
    ) -> list[tuple[int, str]]:
        """Give UIDs under the lock, on disk when it returns, and return them with their names.

        `place(news, next_uid)` gets what others listed meanwhile, puts its files in place and returns their base names
        in UID order; names already listed must not be among them. With no file, or one that is broken, a new one is
        made of what is `remembered`, else with the UIDVALIDITY of `uidvalidity()`.
        """
        with uidlist_lock(self.folder):
            news = self.read()
            listed: list[tuple[int, str]] = []
            if news is None:
                known_validity, next_uid, listed = remembered or (uidvalidity(), 1, [])
                self.known = Known(uidvalidity=known_validity, next_uid=next_uid)
                news = News(whole=True, entries=listed)
            bases = place(news, self.known.next_uid)
            first = self.known.next_uid
            added = list(zip(range(first, first + len(bases)), bases, strict=True))
            if self.known.inode == 0:
                self._write_whole(listed + added)
            elif not self.can_append:  # version 1, of very old servers: write it anew as version 3
                with open(self.path, "rb") as file:
                    listed = list(parse_lines(file.read(self.known.offset).partition(b"\n")[2], above_uid=0))
                self._write_whole(listed + added)
            elif added:
                self._append(added)
        return added

    @property
    def can_append(self) -> bool:
        """Whether a line can be added to the file as it was read; else `assign` writes it anew."""
        return self.known.inode != 0 and not self.known.header.startswith(b"1 ")

    def list_unsynced(self, base: str) -> int:
        """Give one letter the next UID, within `assign`'s `place` and if `can_append`. The line is there for every
        process, but not on the disk: that is the caller's to provide for before the UID is told (contract 4).
        """
        uid = self.known.next_uid
        self._append([(uid, base)], synced=False)
        return uid

    def sync(self) -> None:
        """Bring all lines to the disk. Raises OSError, FileNotFoundError too."""
        fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def write_back(self, remembered: Remembered) -> None:
        """Make the file again from what is remembered, when it was lost. Does nothing when it is there."""
        self.assign(lambda: remembered[0], lambda news, next_uid: [], remembered)

    def renumber(self, uidvalidity: int, bases: Sequence[str]) -> None:
        """Give these letters new UIDs, in this order, durably, under another UIDVALIDITY.

        They go on from the next UID: mbsync may take another UIDVALIDITY for no more than that, and then never looks
        below what it has fetched (docs/decisions/0012).
        """
        with uidlist_lock(self.folder):
            news = self.read()
            known = set(bases)
            later = [base for _, base in news.entries if base not in known] if news is not None else []
            first = self.known.next_uid
            self.known = Known(uidvalidity=uidvalidity, header=self.known.header, next_uid=first)
            self._write_whole(list(enumerate([*bases, *later], first)))

    def uidvalidity_now(self) -> int:
        """UIDVALIDITY as the file has it now; 0 without a usable file."""
        try:
            with open(self.path, "rb") as file:
                parsed = parse_header(file.readline(4096).rstrip(b"\n"))
        except FileNotFoundError:
            return 0
        return parsed[0] if parsed is not None else 0

    def _append(self, added: list[tuple[int, str]], *, synced: bool = True) -> None:
        octets = render_lines(added)
        fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if os.fstat(fd).st_size > self.known.offset:  # a line torn by a crash: never told to anyone, so cut it off
                os.ftruncate(fd, self.known.offset)
            done = os.pwrite(fd, octets, self.known.offset)
            while done < len(octets):
                done += os.pwrite(fd, octets[done:], self.known.offset + done)
            if synced:
                os.fdatasync(fd)
        finally:
            os.close(fd)
        self.known.offset += len(octets)
        self.known.tail = (self.known.tail + octets)[-_TAIL_OCTETS:]
        self.known.next_uid = added[-1][0] + 1

    def _write_whole(self, entries: list[tuple[int, str]]) -> None:
        """Write the file anew by rename; the lock is held."""
        next_uid = max(self.known.next_uid, entries[-1][0] + 1 if entries else 1)
        header = next_header(self.known.header, self.known.uidvalidity, next_uid)
        octets = header + b"\n" + render_lines(entries)
        temporary = f"{self.path}.tmp"
        fd = os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, octets)
            os.fdatasync(fd)
            inode = os.fstat(fd).st_ino
        finally:
            os.close(fd)
        os.rename(temporary, self.path)
        fsync_dir(self.folder)
        self.known = Known(inode, len(octets), self.known.uidvalidity, next_uid, header, octets[-_TAIL_OCTETS:])

    def compact(self, is_alive: Callable[[int], bool]) -> None:
        """Drop the lines of letters that are gone. Fields of the others stay; the header keeps the next UID, and notes
        when that was (`compacted_at`).
        """
        with uidlist_lock(self.folder):
            if self.read() is None:
                return
            with open(self.path, "rb") as file:
                lines = file.read(self.known.offset).split(b"\n")[1:-1]
            kept = [line for line in lines if not (uid := line.partition(b" ")[0]).isdigit() or is_alive(int(uid))]
            next_uid = self.known.next_uid
            temporary = f"{self.path}.tmp"
            with open(temporary, "wb") as out:
                now = int(os.fstat(out.fileno()).st_mtime)
                header = _compacted(next_header(self.known.header, self.known.uidvalidity, next_uid), now)
                octets = b"\n".join([header, *kept, b""])
                out.write(octets)
                out.flush()
                os.fdatasync(out.fileno())
                inode = os.fstat(out.fileno()).st_ino
            os.rename(temporary, self.path)
            fsync_dir(self.folder)
            self.known = Known(inode, len(octets), self.known.uidvalidity, next_uid, header, octets[-_TAIL_OCTETS:])


def compacted_at(header: bytes) -> float:
    """Until when, in seconds since 1970, lines of letters that were gone have been dropped; 0: never.

    A field of ours, `C<seconds>`; Dovecot keeps fields that it does not know.
    """
    found = (word[1:] for word in header.split(b" ")[1:] if word.startswith(b"C"))
    return float(next((number for number in found if number.isdigit() and len(number) <= 12), 0))


def _compacted(header: bytes, now: int) -> bytes:
    words = [word for word in header.split(b" ") if not word.startswith(b"C")]
    return b" ".join([*words, b"C%d" % now])


def with_later_uids(octets: bytes, count: int) -> bytes:
    """A whole uidlist whose next UID is later by `count`; as it was when it cannot be read."""
    header, end, lines = octets.partition(b"\n")
    parsed = parse_header(header)
    if parsed is None:
        return octets
    uidvalidity, next_uid = parsed
    last = max((uid for uid, _ in parse_lines(lines, above_uid=0)), default=0)
    later = min(max(next_uid, last + 1) + count, UID_MAX)
    if header.startswith(b"1 "):
        header = b" ".join([b"1", b"%d" % uidvalidity, b"%d" % later, *header.split(b" ")[3:]])
    else:
        header = next_header(header, uidvalidity, later)
    return header + end + lines


def _read_all(fd: int, start: int, end: int) -> bytes:
    octets = os.pread(fd, end - start, start)
    while len(octets) < end - start and (more := os.pread(fd, end - start - len(octets), start + len(octets))):
        octets += more
    return octets


def parse_header(line: bytes) -> tuple[int, int] | None:
    """Return (uidvalidity, next UID) of a first line, version 3 or 1; None when it is no such line."""
    words = line.split(b" ")
    if words[0] == b"1" and len(words) >= 3 and words[1].isdigit() and words[2].isdigit():
        return _bounded(int(words[1]), int(words[2]))
    if words[0] != b"3":
        return None
    fields = {word[:1]: word[1:] for word in words[1:]}
    validity, next_uid = fields.get(b"V", b""), fields.get(b"N", b"1")
    if not (validity.isdigit() and next_uid.isdigit()):
        return None
    return _bounded(int(validity), int(next_uid))


def _bounded(uidvalidity: int, next_uid: int) -> tuple[int, int] | None:
    if 0 < uidvalidity <= UID_MAX and 0 < next_uid <= UID_MAX:
        return uidvalidity, next_uid
    return None


def parse_lines(octets: bytes, *, above_uid: int) -> Iterator[tuple[int, str]]:
    """Yield (UID, base name) of the lines that ascend; others are not ours to repair and are passed over."""
    text = os.fsdecode(octets)
    last = above_uid
    plain = _PLAIN_LINE.findall(text)
    if len(plain) == text.count("\n"):  # the usual case: every line as we and Dovecot write it
        for number, base in plain:
            uid = int(number)
            if last < uid <= UID_MAX:
                last = uid
                yield uid, base
        return
    for line in text.split("\n"):
        front, colon, name = line.partition(" :")
        if not colon:  # version 1: "<uid> <name>"
            front, _, name = line.partition(" ")
        number = front.partition(" ")[0]
        base = name.partition(":")[0] if ":" in name else name
        if not base or not (number.isdigit() and number.isascii()) or len(number) > 10:
            continue
        uid = int(number)
        if last < uid <= UID_MAX:
            last = uid
            yield uid, base


def render_lines(entries: Iterable[tuple[int, str]]) -> bytes:
    """Return the lines of those letters."""
    return b"".join(b"%d :%b\n" % (uid, os.fsencode(base)) for uid, base in entries)


def next_header(header: bytes, uidvalidity: int, next_uid: int) -> bytes:
    """Return the first line with a new next UID; the guid and unknown fields stay."""
    words = header.split(b" ")
    kept = [word for word in words[1:] if word[:1] not in (b"V", b"N")] if words[0] == b"3" else []
    if not any(word.startswith(b"G") for word in kept):
        kept.append(b"G" + secrets.token_hex(16).encode())
    return b" ".join([b"3", b"V%d" % uidvalidity, b"N%d" % next_uid, *kept])
