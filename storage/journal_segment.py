"""One file of the journal: a header, then frames of records, each frame whole or not there at all.

The file is preallocated and written with zeros once, so that a frame costs one write and one flush and no change of the
file's own metadata. Whoever makes it free writes a new epoch into the header: what an older epoch left behind is then
no frame of this one. A frame begins at a 4 KiB boundary: no octet that was synced is ever written again.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from storage.errors import Corrupt

BLOCK_OCTETS = 4096
_MAGIC = b"bdmta journal 1\n"
_HEADER = struct.Struct("<16sQ36s")
_FRAME_MAGIC = b"frame\r\n\0"
_FRAME = struct.Struct("<8sQQQQ")  # magic, epoch, number in the segment, records, octets that follow
_CRC = struct.Struct("<I")
_RECORD = struct.Struct("<II")  # octets of the name and targets, octets of the letter
_IOV_MAX = 1000


def boot_id() -> str:
    """What the kernel calls this boot; "" where it does not tell, and then every start counts as one after a reboot."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read(36)
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Listed:
    """What else was promised of a letter that came by APPEND: flags (`info`, behind its name), UID and date."""

    info: str
    uid: int
    uidvalidity: int
    internaldate_s: int


@dataclass(frozen=True, slots=True)
class Record:
    """A letter that was acknowledged: its file name, its (mailbox below the root, folder) pairs, its octets."""

    name: str
    targets: tuple[tuple[str, str], ...]
    octets: bytes
    listed: Listed | None = None


class Frame:
    """Records that are written and synced together."""

    def __init__(self) -> None:
        self.count = 0
        self.octets = 0
        self.pieces: list[bytes | memoryview] = []

    def add(
        self, name: str, targets: Sequence[tuple[str, str]], pieces: Sequence[bytes | memoryview],
        listed: Listed | None = None,
    ) -> None:  # fmt: skip
        """Put one letter in. No name holds a NUL, none of a letter a tab."""
        if listed is not None:
            name = f"{name}\t{listed.info}\t{listed.uid}\t{listed.uidvalidity}\t{listed.internaldate_s}"
        meta = "\0".join([name, *(part for target in targets for part in target)]).encode("utf-8", "surrogateescape")
        size = sum(map(len, pieces))
        self.pieces += (_RECORD.pack(len(meta), size), meta, *pieces)
        self.octets += _RECORD.size + len(meta) + size
        self.count += 1

    @property
    def room(self) -> int:
        """The octets that the frame takes in a segment."""
        return _padded(_FRAME.size + _CRC.size + self.octets)

    def room_with(self, more_octets: int) -> int:
        """The octets that it would take with so many more; names and targets are counted generously."""
        return self.room + _padded(more_octets)


class Segment:
    """A segment that is written to. Not for several threads at once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.size_octets = os.fstat(self.fd).st_size
        self.epoch = 0
        self.end = BLOCK_OCTETS
        self.frames = 0
        self.is_full = False

    def prepare(self, epoch: int, boot: str, wanted_octets: int) -> None:
        """Make it empty, durably, and at least so large. Whatever it held is forgotten. Raises OSError."""
        if self.size_octets < wanted_octets:
            zeros = bytes(1 << 20)
            at = self.size_octets
            while at < wanted_octets:
                at += os.pwrite(self.fd, zeros[: wanted_octets - at], at)
            self.size_octets = wanted_octets
        head = _HEADER.pack(_MAGIC, epoch, boot.encode("ascii"))
        os.pwritev(self.fd, [head + _CRC.pack(zlib.crc32(head))], 0)
        os.fdatasync(self.fd)
        self.epoch, self.end, self.frames, self.is_full = epoch, BLOCK_OCTETS, 0, False

    def has_room(self, octets: int) -> bool:
        """A frame that takes so much still fits."""
        return self.end + octets <= self.size_octets

    def append(self, frame: Frame) -> None:
        """Write and sync one frame: durable when it returns. Raises OSError: the segment must not be used again."""
        head = _FRAME.pack(_FRAME_MAGIC, self.epoch, self.frames, frame.count, frame.octets)
        crc = zlib.crc32(head)
        for piece in frame.pieces:
            crc = zlib.crc32(piece, crc)
        pieces = [head, _CRC.pack(crc), *frame.pieces]
        padding = frame.room - _FRAME.size - _CRC.size - frame.octets
        if padding:
            pieces.append(bytes(padding))
        if len(pieces) > _IOV_MAX:
            pieces = [b"".join(pieces)]
        if os.pwritev(self.fd, pieces, self.end) != frame.room:
            raise OSError("short write to the journal")
        os.fdatasync(self.fd)
        self.end += frame.room
        self.frames += 1

    def close(self) -> None:
        """Let the file go."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@dataclass(frozen=True, slots=True)
class Found:
    """What a segment's file holds: its epoch, the boot it was prepared in, its whole frames.

    `torn`: something of this epoch follows that is no whole frame; nothing in it was acknowledged.
    """

    path: str
    epoch: int
    boot: str
    records: int
    torn: bool


def read_found(path: str) -> Found:
    """What the segment's file holds. Raises Corrupt when the header cannot be read, OSError."""
    with _Mapped(path) as view:
        epoch, boot = _header(view, path)
        count = end = 0
        for start, frame_count, _ in _frames(view, epoch):
            count += frame_count
            end = start
        return Found(path, epoch, boot, count, _is_torn(view, epoch, end))


def read_records(path: str) -> Iterator[Record]:
    """The records of a segment's whole frames, in the order in which they were written. Raises Corrupt, OSError."""
    with _Mapped(path) as view:
        epoch, _ = _header(view, path)
        for _, count, at in _frames(view, epoch):
            for _ in range(count):
                meta_octets, size = _RECORD.unpack_from(view, at)
                at += _RECORD.size
                name, *parts = bytes(view[at : at + meta_octets]).decode("utf-8", "surrogateescape").split("\0")
                at += meta_octets
                base, listed = _listed(name)
                targets = tuple(zip(parts[::2], parts[1::2], strict=True))
                yield Record(base, targets, bytes(view[at : at + size]), listed)
                at += size


def _listed(name: str) -> tuple[str, Listed | None]:
    base, tab, rest = name.partition("\t")
    if not tab:
        return base, None
    info, uid, uidvalidity, internaldate_s = rest.split("\t")
    return base, Listed(info, int(uid), int(uidvalidity), int(internaldate_s))


class _Mapped:
    """A file's octets without reading all of them."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def __enter__(self) -> bytes | mmap.mmap:
        size = os.fstat(self._fd).st_size
        self._view = mmap.mmap(self._fd, size, access=mmap.ACCESS_READ) if size else b""
        return self._view

    def __exit__(self, *unused: object) -> None:
        if isinstance(self._view, mmap.mmap):
            self._view.close()
        os.close(self._fd)


def _header(view: bytes | mmap.mmap, path: str) -> tuple[int, str]:
    if len(view) >= BLOCK_OCTETS:
        head = bytes(view[: _HEADER.size])
        magic, epoch, boot = _HEADER.unpack(head)
        (crc,) = _CRC.unpack_from(view, _HEADER.size)
        if magic == _MAGIC and crc == zlib.crc32(head):
            return epoch, boot.rstrip(b"\0").decode("ascii", "replace")
    raise Corrupt(f"{path} has no header of a journal")


def _frames(view: bytes | mmap.mmap, epoch: int) -> Iterator[tuple[int, int, int]]:
    """Yield (where the next frame would begin, records, where the first record is) of each whole frame."""
    at = BLOCK_OCTETS
    number = 0
    while at + _FRAME.size + _CRC.size <= len(view):
        magic, of_epoch, of_number, count, octets = _FRAME.unpack_from(view, at)
        body = at + _FRAME.size + _CRC.size
        if magic != _FRAME_MAGIC or of_epoch != epoch or of_number != number or octets > len(view) - body:
            return
        (crc,) = _CRC.unpack_from(view, at + _FRAME.size)
        with memoryview(view) as octets_of:
            found = zlib.crc32(octets_of[body : body + octets], zlib.crc32(octets_of[at : at + _FRAME.size]))
        if found != crc:
            return
        at += _padded(_FRAME.size + _CRC.size + octets)
        number += 1
        yield at, count, body


def _is_torn(view: bytes | mmap.mmap, epoch: int, end: int) -> bool:
    at = end or BLOCK_OCTETS
    if at + _FRAME.size > len(view):
        return False
    magic, of_epoch, *_ = _FRAME.unpack_from(view, at)
    return bool(magic == _FRAME_MAGIC and of_epoch == epoch)


def _padded(octets: int) -> int:
    return -(-octets // BLOCK_OCTETS) * BLOCK_OCTETS
