"""Every document of a letter, at every depth, and its words."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bdmta.charset.reading import readings_of, texts_of
from bdmta.examine.bounds import Bounds, Purse
from bdmta.examine.content import BROKEN
from bdmta.examine.errors import OverBound
from bdmta.examine.readers.opening import Opening
from bdmta.examine.readers.registry import READERS
from bdmta.examine.signatures import FAMILIES, detect
from bdmta.examine.wording.document import DOCUMENTS, words_of
from bdmta.message import Octets, Part, scan

MAX_FILE_CHARACTERS = 400_000
MAX_LETTER_CHARACTERS = 4_000_000
_MAX_PART_OCTETS = 64 << 20
_CONTAINERS = frozenset({"zip", "gzip", "bzip2", "xz", "lzma", "compress", "tar", "ar", "cpio", "tnef", "cms"})
_EMBEDDING = frozenset({"docx", "xlsx", "pptx", "docm", "xlsm", "pptm", "odt", "ods", "odp"})
_DEFAULT_BOUNDS = Bounds()


def texts(octets: Octets, bounds: Bounds = _DEFAULT_BOUNDS) -> list[tuple[str, str]]:
    """`(path, text)` of every document in the letter, clean (`bdmta.charset.reading.clean`); never raises.

    A text that may be in several old sets comes once in each reading. Over a bound, what was read so far.
    """
    purse = Purse(bounds)
    out: list[tuple[str, str]] = []
    room = MAX_LETTER_CHARACTERS
    try:
        for path, text in _of_letter(octets, (), purse, 0):
            if text.strip():
                out.append(("/".join(path), text[:room]))
                room -= len(text)
            if room <= 0:
                break
    except (OverBound, MemoryError, *BROKEN):
        pass
    return out


def texts_task(octets: Octets, bounds: Bounds) -> bytes:
    """`texts` as a worker answers: JSON in UTF-8."""
    return json.dumps(texts(octets, bounds), ensure_ascii=False).encode("utf-8", "replace")


def _of_letter(
    octets: Octets, path: tuple[str, ...], purse: Purse, depth: int
) -> Iterator[tuple[tuple[str, ...], str]]:
    for part in scan(octets).walk():
        purse.check_time()
        if part.children or not _is_file(part):
            continue
        name = part.names[0] if part.names else part.media_type
        content = part.decoded(_MAX_PART_OCTETS)
        purse.grow(len(content))
        yield from _of_file(content, (*path, name), part.charset, purse, depth)


def _is_file(part: Part) -> bool:
    """Whether a part is a document, and not the letter's own text, which the policy reads itself."""
    if part.is_multipart or part.media_type.startswith(("image/", "audio/", "video/", "message/")):
        return False
    is_text = part.media_type in ("text/plain", "text/html")
    return not is_text or part.disposition == "attachment" or bool(part.names)


def _of_file(
    content: bytes, path: tuple[str, ...], label: str, purse: Purse, depth: int
) -> Iterator[tuple[tuple[str, ...], str]]:
    purse.entry()
    kind = detect(content)
    if kind == "message":
        purse.opening(depth + 1)
        yield from ((path, text) for _, text in texts_of(scan(content)))
        yield from _of_letter(content, path, purse, depth + 1)
        return
    if kind in DOCUMENTS:
        try:
            text = words_of(kind, content, MAX_FILE_CHARACTERS, purse)
        except BROKEN:
            text = ""
        yield from ((path, reading) for reading in readings_of(text.encode("utf-8", "replace"), "utf-8"))
    elif FAMILIES.get(kind) == "text" or kind == "":
        is_html = kind == "html"
        yield from (
            (path, reading) for reading in readings_of(content[: 4 * MAX_FILE_CHARACTERS], label, is_html=is_html)
        )
    if kind in _CONTAINERS or kind == "zip":
        yield from _of_members(kind, content, path, purse, depth)


def _of_members(
    kind: str, content: bytes, path: tuple[str, ...], purse: Purse, depth: int
) -> Iterator[tuple[tuple[str, ...], str]]:
    purse.opening(depth + 1)
    opening = Opening(content, purse, kind, (path[-1],))
    try:
        for member in READERS[kind](opening):
            name = member.names[0] if member.names else ""
            is_part = member.role == "component" or (opening.kind in _EMBEDDING and member.role != "embedded")
            if member.octets and not is_part:
                yield from _of_file(member.octets, (*path, name), "", purse, depth + 1)
    except BROKEN:
        return
