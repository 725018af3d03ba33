"""Every reading of a file's name that some program could make; the worst one counts.

The scanner has already undone RFC 2231 and RFC 2047; here are the readings of file systems and of eyes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

from bdmta.examine.executables import EXTENSIONS

MAX_NAME_CHARS = 1024

_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_MARKS = re.compile("[\u200b-\u200f\u2060-\u2064\ufeff\u00ad\u034f\u061c\u180e\ufe00-\ufe0f]")
_CONTROLS = re.compile("[\x01-\x1f\x7f-\x9f]")
_DOTS = re.compile("[\u2024\u2025\u2026\ufe52\uff0e\u3002\uff61\u06d4\u0701\u0702\ua60e\u00b7\u2027\u30fb\uff65\u0387]")
_FORBIDDEN = re.compile('[<>"|?*]')
_CLSID = re.compile(r"\.?\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}\s*$")
_TAIL = " .\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\u1680\t'\";,"
_PLAIN = re.compile(r"[A-Za-z0-9_\- ()]+(\.[A-Za-z0-9]+)?")
_DRIVE = re.compile(r"^[A-Za-z]:")


def readings(name: str) -> tuple[str, ...]:
    """`name` and all it could be taken for, without repetitions, at most 32; bare file names, no folders."""
    if _PLAIN.fullmatch(name):
        return (name,)
    return _all_readings(name[:MAX_NAME_CHARS] + name[-64:] if len(name) > MAX_NAME_CHARS else name)


@lru_cache(maxsize=512)
def _all_readings(name: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text in _decodings(name):
        for cut in (text, *_cuts(text)):
            _add(found, cut)
            plain = unicodedata.normalize("NFKC", _CONTROLS.sub("", _MARKS.sub("", _BIDI.sub("", cut))))
            _add(found, plain)
            _add(found, _FORBIDDEN.sub("", plain))
            _add(found, _CLSID.sub("", plain))
            dotted = _DOTS.sub(".", cut)
            if dotted != cut:
                _add(found, unicodedata.normalize("NFKC", _MARKS.sub("", _BIDI.sub("", dotted))))
        seen = _seen(text)
        if seen != text:
            _add(found, seen)
    return tuple(found)[:32]


def _decodings(name: str) -> Iterable[str]:
    yield name
    if "%" in name:
        yield unquote(name, errors="replace")


def _cuts(text: str) -> Iterable[str]:
    """Where a C string or an NTFS stream name would end."""
    if "\0" in text:
        yield text.replace("\0", "")
        yield from (piece for piece in text.split("\0")[:4] if piece)
    if ":" in text:
        yield from (piece for piece in text.split(":")[:4] if piece)
        yield text.replace(":", "")


def _seen(text: str) -> str:
    """The name as an eye reads it after a right-to-left override (U+202E turns what follows)."""
    before, mark, after = text.partition("\u202e")
    if not mark:
        before, mark, after = text.partition("\u2067")
    if not mark:
        return text
    turned, _, rest = after.partition("\u202c")
    return before + turned[::-1] + rest


def _add(found: dict[str, None], text: str) -> None:
    base = re.split(r"[/\\]", text)[-1] if ("/" in text or "\\" in text) else text
    found.setdefault(base)
    stripped = base.rstrip(_TAIL)
    if stripped != base:
        found.setdefault(stripped)


def extension(name: str) -> str:
    """What follows the last dot, in lower case; "" without one. Blanks around it do not count."""
    head, dot, tail = name.rpartition(".")
    return tail.strip().lower() if dot and (head or tail) else ""


def extensions(names: Iterable[str]) -> frozenset[str]:
    """The extensions of all readings of all `names`."""
    return frozenset(extension(reading) for name in names for reading in readings(name))


def name_problems(names: Iterable[str]) -> set[str]:
    """`executable-name` and `disguised-name`, as they apply to any of `names`."""
    problems: set[str] = set()
    for name in names:
        if any(extension(reading) in EXTENSIONS for reading in readings(name)):
            problems.add("executable-name")
        if "\0" in name or _BIDI.search(name) or _CLSID.search(name) or "::$" in name.upper():
            problems.add("disguised-name")
    return problems


def is_traversal(name: str) -> bool:
    """A member's name leads out of the folder it would be unpacked into."""
    parts = re.split(r"[/\\]", name)
    return ".." in parts or name.startswith(("/", "\\", "~/")) or bool(_DRIVE.match(name)) or "\0" in name


def kept(names: Iterable[str]) -> tuple[str, ...]:
    """A few names for an item, each bounded in length without losing its end."""
    return tuple(n if len(n) <= 255 else f"{n[:190]}…{n[-64:]}" for n in names)[:8]


def kept_extensions(names: Iterable[str]) -> tuple[str, ...]:
    """`extensions`, in order and bounded."""
    return tuple(sorted(e[:32] for e in extensions(names)))[:32]


def shown(name: str, max_chars: int = 120) -> str:
    """`name` for a reply, a log or a report: no control, no bidi character, bounded in length."""
    text = "".join(c if c.isprintable() and not _BIDI.match(c) else f"<{ord(c):04X}>" for c in name[: max_chars * 2])
    return text if len(text) <= max_chars else text[: max_chars // 2] + "…" + text[-max_chars // 3 :]
