"""Archives, sound and crooked."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib

from tests.corpus.attachments.files import MZ, TEXT, zipped


def gz(octets: bytes, name: str = "") -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(name, "wb", fileobj=out, mtime=0) as file:
        file.write(octets)
    return out.getvalue()


def tar(files: dict[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, octets in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(octets)
            archive.addfile(info, io.BytesIO(octets))
    return out.getvalue()


def tar_link() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("a.txt")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    return out.getvalue()


def nested(octets: bytes, levels: int, name: str = "a.zip") -> bytes:
    for _ in range(levels):
        octets = zipped({name: octets})
    return octets


def renamed_locally(files: dict[str, bytes], old: bytes, new: bytes) -> bytes:
    """The local header tells another name than the central directory."""
    octets = zipped(files)
    assert len(old) == len(new)
    return octets.replace(old, new, 1)


def renamed_centrally(files: dict[str, bytes], old: bytes, new: bytes) -> bytes:
    octets = zipped(files)
    at = octets.rfind(old)
    return octets[:at] + new + octets[at + len(old) :]


def symlink() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("congvan.txt")
        info.create_system = 3
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return out.getvalue()


def encrypted_bit(files: dict[str, bytes]) -> bytes:
    """Every entry says that it is encrypted (ZipCrypto)."""
    octets = bytearray(zipped(files))
    at = octets.find(b"PK\x03\x04")
    while at >= 0:
        octets[at + 6] |= 1
        at = octets.find(b"PK\x03\x04", at + 4)
    at = octets.find(b"PK\x01\x02")
    while at >= 0:
        octets[at + 8] |= 1
        at = octets.find(b"PK\x01\x02", at + 4)
    return bytes(octets)


def overlapping() -> bytes:
    """Two central entries share one local header (CVE-2024-0450)."""
    octets = zipped({"a.txt": TEXT})
    central = octets.find(b"PK\x01\x02")
    end = octets.find(b"PK\x05\x06")
    entry = octets[central:end]
    second = entry.replace(b"a.txt", b"b.txt")
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(entry) * 2, central, 0)
    return octets[:central] + entry + second + tail


def hidden_entry(name: bytes = b"chay.exe", content: bytes = MZ) -> bytes:
    """An entry that only its local header knows, before those of the central directory."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush()
    local = struct.pack(
        "<4s5H3L2H", b"PK\x03\x04", 20, 0, 8, 0, 33, zlib.crc32(content), len(packed), len(content), len(name), 0
    )
    front = local + name + packed
    octets = zipped({"congvan.txt": TEXT})
    central, end = octets.find(b"PK\x01\x02"), octets.find(b"PK\x05\x06")
    entry = bytearray(octets[central:end])
    entry[42:46] = struct.pack("<L", len(front))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(front) + central, 0)
    return front + octets[:central] + bytes(entry) + tail


def without_central(files: dict[str, bytes]) -> bytes:
    octets = zipped(files)
    return octets[: octets.find(b"PK\x01\x02")]


def bomb(mebibytes: int = 64) -> bytes:
    return zipped({"a.txt": bytes(mebibytes << 20)})


def bzip2(octets: bytes) -> bytes:
    return bz2.compress(octets)


def xz(octets: bytes) -> bytes:
    return lzma.compress(octets)


def old_lzma(octets: bytes) -> bytes:
    return lzma.compress(octets, format=lzma.FORMAT_ALONE)


def tnef(files: dict[str, bytes], long_names: dict[str, str] | None = None) -> bytes:
    """A winmail.dat with these attachments."""

    def attribute(level: int, kind: int, body: bytes) -> bytes:
        return struct.pack("<BLL", level, kind, len(body)) + body + struct.pack("<H", sum(body) & 0xFFFF)

    out = b"\x78\x9f\x3e\x22\x01\0" + attribute(1, 0x00089006, b"\0\0\x01\0") + attribute(1, 0x00078008, b"IPM.Note\0")
    for name, octets in files.items():
        out += attribute(2, 0x00069002, bytes(14))
        out += attribute(2, 0x0006800F, octets)
        out += attribute(2, 0x00018010, name.encode("cp1258", "replace") + b"\0")
        long_name = (long_names or {}).get(name)
        if long_name:
            raw = long_name.encode("utf-16-le") + b"\0\0"
            value = struct.pack("<LHHLL", 1, 0x001F, 0x3707, 1, len(raw)) + raw + bytes(-len(raw) % 4)
            out += attribute(2, 0x00069005, value)
    return out


def ber(tag: int, body: bytes) -> bytes:
    size = len(body)
    length = bytes([size]) if size < 128 else b"\x84" + size.to_bytes(4, "big")
    return bytes([tag]) + length + body


def cms(kind: int, content: bytes | None) -> bytes:
    """ContentInfo of kind 2 (signed, `content` within or detached) or 3 (enveloped)."""
    oid = ber(6, b"\x2a\x86\x48\x86\xf7\x0d\x01\x07" + bytes([kind]))
    if kind == 3:
        return ber(0x30, oid + ber(0xA0, ber(0x30, b"\x02\x01\0" + bytes(64))))
    inner = ber(6, b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01")
    if content is not None:
        inner += ber(0xA0, ber(4, content))
    return ber(0x30, oid + ber(0xA0, ber(0x30, b"\x02\x01\x01" + ber(0x31, b"") + ber(0x30, inner) + ber(0x31, b""))))


def rar4(files: dict[str, bytes], method: int = 0x30) -> bytes:
    out = b"Rar!\x1a\x07\0" + struct.pack("<HBHH6x", 0, 0x73, 0, 13)
    for name, octets in files.items():
        raw = name.encode()
        out += struct.pack(
            "<HBHHLLBLLBBHL", 0, 0x74, 0x8000, 32 + len(raw), len(octets), len(octets), 3, 0, 0, 29, method, len(raw), 0
        )
        out += raw + octets
    return out + struct.pack("<HBHH", 0, 0x7B, 0, 7)


def rar5(files: dict[str, bytes], method: int = 0) -> bytes:
    def vint(number: int) -> bytes:
        out = b""
        while number > 127:
            out, number = out + bytes([number & 127 | 128]), number >> 7
        return out + bytes([number])

    out = b"Rar!\x1a\x07\x01\0" + bytes(4) + b"\x03\x01\0\0"
    for name, octets in files.items():
        raw = name.encode()
        size = vint(len(octets))
        body = b"\x02\x02" + size + b"\0" + size + b"\0" + vint(method << 7) + b"\0" + vint(len(raw)) + raw
        out += bytes(4) + vint(len(body)) + body + octets
    return out + bytes(4) + b"\x03\x05\0\0"


def cab(files: dict[str, bytes]) -> bytes:
    entries = b"".join(struct.pack("<LLHHHH", len(o), 0, 0, 0, 0, 32) + n.encode() + b"\0" for n, o in files.items())
    return struct.pack("<4sLLLLLHHHHHH", b"MSCF", 0, 44, 0, 44, 0, 0x103, 1, len(files), 0, 0, 0) + bytes(8) + entries


def lzh(files: dict[str, bytes]) -> bytes:
    out = b""
    for name, octets in files.items():
        raw = name.encode()
        out += (
            bytes([22 + len(raw), 0]) + b"-lh0-" + struct.pack("<LLLBBB", len(octets), len(octets), 0, 32, 0, len(raw))
        )
        out += raw + b"\0\0" + octets
    return out + b"\0"


def arj(files: dict[str, bytes]) -> bytes:
    def header(name: str, octets: bytes) -> bytes:
        body = (
            bytes([30])
            + bytes(11)
            + struct.pack("<LLL", len(octets), len(octets), 0)
            + bytes(6)
            + name.encode()
            + b"\0\0"
        )
        return b"\x60\xea" + struct.pack("<H", len(body)) + body + bytes(4) + b"\0\0"

    return header("a.arj", b"") + b"".join(header(n, o) + o for n, o in files.items()) + b"\x60\xea\0\0"


def cpio(files: dict[str, bytes]) -> bytes:
    out = b""
    for name, octets in {**files, "TRAILER!!!": b""}.items():
        numbers = [0, 0o100644 if octets else 0, 0, 0, 1, 0, len(octets), 0, 0, 0, 0, len(name) + 1, 0]
        head = b"070701" + b"".join(b"%08X" % n for n in numbers) + name.encode() + b"\0"
        out += head + bytes(-len(head) % 4) + octets + bytes(-len(octets) % 4)
    return out


def tnef_object(inner: bytes, name: str = "Fw: bao cao") -> bytes:
    """A winmail.dat that carries another letter (PR_ATTACH_DATA_OBJ)."""
    value = bytes(16) + inner
    properties = struct.pack("<LHHLL", 1, 0x000D, 0x3701, 1, len(value)) + value + bytes(-len(value) % 4)
    out = b"\x78\x9f\x3e\x22\x01\0"
    for kind, body in ((0x00069002, bytes(14)), (0x00018010, name.encode() + b"\0"), (0x00069005, properties)):
        out += struct.pack("<BLL", 2, kind, len(body)) + body + b"\0\0"
    return out
