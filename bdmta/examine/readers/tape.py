"""tar (ustar, GNU, pax), cpio and ar: files one after the other behind a header each."""

from __future__ import annotations

from collections.abc import Iterator

from bdmta.examine.errors import Unreadable
from bdmta.examine.names import is_traversal
from bdmta.examine.readers.opening import Member, Opening

_BLOCK = 512


def read_tar(opening: Opening) -> Iterator[Member]:
    """Every file of a tar; links and devices are listed with the problem `link`."""
    data, at = opening.data, 0
    long_names: list[str] = []
    pax: dict[str, str] = {}
    while at + _BLOCK <= len(data):
        header = data[at : at + _BLOCK]
        if not any(header):
            break
        _check_sum(header)
        size, kind = _number(header[124:136]), header[156:157]
        if "size" in pax and pax["size"].isdigit():
            size = int(pax["size"])
        content = data[at + _BLOCK : at + _BLOCK + size]
        at += _BLOCK + (size + _BLOCK - 1) // _BLOCK * _BLOCK
        opening.purse.check_time()
        if kind in b"LK" and kind:
            long_names.append(_text(content.rstrip(b"\0")))
        elif kind in b"xg" and kind:
            pax.update(_pax(content))
        else:
            names = _names(header, long_names, pax)
            long_names, pax = [], {}
            if kind == b"5":
                continue
            yield _member(opening, names, kind, content, size)
    if len(data[at:].strip(b"\0")) and at < len(data):
        opening.problems.add("polyglot")
        yield Member(("",), data[at:].lstrip(b"\0"))


def _check_sum(header: bytes) -> None:
    stated = header[148:156].strip(b"\0 ")
    if not stated or stated.strip(b"01234567") or int(stated, 8) != sum(header[:148]) + 256 + sum(header[156:]):
        raise Unreadable("tar checksum")


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    if digits.strip(b"01234567"):
        raise Unreadable("tar number")
    return int(digits or b"0", 8)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1258", "replace")


def _pax(content: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in content.split(b"\n")[:200]:
        key, equals, value = line.partition(b" ")[2].partition(b"=")
        if equals:
            fields[_text(key)] = _text(value)
    return fields


def _names(header: bytes, long_names: list[str], pax: dict[str, str]) -> tuple[str, ...]:
    own = _text(header[:100].split(b"\0")[0])
    prefix = _text(header[345:500].split(b"\0")[0]) if header[257:263] == b"ustar\0" else ""
    names = [f"{prefix}/{own}" if prefix else own, *long_names]
    if "path" in pax:
        names.append(pax["path"])
    return tuple(dict.fromkeys(names))


def _member(opening: Opening, names: tuple[str, ...], kind: bytes, content: bytes, size: int) -> Member:
    problems: tuple[str, ...] = ()
    if any(is_traversal(name.removeprefix("./")) for name in names):
        problems += ("traversal",)
    if kind in (b"1", b"2", b"3", b"4", b"6"):
        return Member(names, b"", problems=(*problems, "link"))
    if len(content) < size:
        opening.problems.add("unreadable")
    return Member(names, content, problems=problems, size_octets=len(content))


def _digits(octets: bytes, base: int) -> int:
    """Digits alone: a sign would lead backwards, and for ever."""
    try:
        if octets.isalnum():
            return int(octets, base)
    except ValueError:
        pass
    raise Unreadable("a number in an archive's header")


def read_ar(opening: Opening) -> Iterator[Member]:
    """Every file of an ar archive (static libraries; a .deb is known by its own mark)."""
    data, at = opening.data, 8
    while at + 60 <= len(data):
        header = data[at : at + 60]
        if header[58:60] != b"`\n":
            raise Unreadable("ar")
        size = _digits(header[48:58].strip() or b"0", 10)
        opening.purse.check_time()
        yield Member((_text(header[:16].strip().rstrip(b"/")),), data[at + 60 : at + 60 + size])
        at += 60 + size + (size & 1)


def read_cpio(opening: Opening) -> Iterator[Member]:
    """Every file of a cpio archive in the portable ASCII formats; the binary one is not read."""
    data, at = opening.data, 0
    while at + 76 <= len(data):
        if data[at : at + 6] in (b"070701", b"070702"):
            numbers = [_digits(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
            mode, size, name_octets, head, pad = numbers[1], numbers[6], numbers[11], 110, 4
        elif data[at : at + 6] == b"070707":
            mode, name_octets, size = (_digits(data[at + a : at + b], 8) for a, b in ((18, 24), (59, 65), (65, 76)))
            head, pad = 76, 1
        else:
            raise Unreadable("cpio")
        name = _text(data[at + head : at + head + name_octets].rstrip(b"\0"))
        content_at = at + (head + name_octets + pad - 1) // pad * pad
        if name == "TRAILER!!!":
            return
        opening.purse.check_time()
        if mode >> 12 != 4:
            kind = b"2" if mode >> 12 != 8 else b"0"
            yield _member(opening, (name,), kind, data[content_at : content_at + size], size)
        at = content_at + (size + pad - 1) // pad * pad
    raise Unreadable("cpio without its end")
