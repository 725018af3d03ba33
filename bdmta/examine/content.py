"""One file: what it is, what is wrong with it, and what lies within."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from bdmta.examine.bounds import Purse
from bdmta.examine.errors import OverBound, Unreadable
from bdmta.examine.executables import EXTENSIONS, TYPES
from bdmta.examine.inventory import Item
from bdmta.examine.names import extensions, kept, kept_extensions, name_problems, shown
from bdmta.examine.readers import Member, Opening, Reader
from bdmta.examine.readers.registry import READERS
from bdmta.examine.readers.zipped import find_end, local_entry, read_zip
from bdmta.examine.signatures import FAMILIES, detect
from bdmta.examine.text import is_active_html

if TYPE_CHECKING:
    from bdmta.message import Message

_ACTIVE_EXTENSIONS = frozenset({"htm", "html", "xhtml", "xht", "shtml", "mht", "mhtml", "svg", "xml", "xsl", "xslt"})
_ACTIVE_TYPES = frozenset({"text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml"})
_ACTIVE_OCTETS = 4 << 20
_LEAF_FAMILIES = frozenset({"image", "text", "media", "other", ""})
BROKEN = (Unreadable, struct.error, IndexError, ValueError, KeyError, OverflowError, RecursionError)
_DDE_SERVICE = re.compile(rb"\b(?:cmd|powershell|mshta|rundll32|wscript|msexcel)[^\r\n|]{0,20}\|", re.I)
_FORMULA = re.compile(rb"(?:^|[\r\n,;\t])\"?[=+\-@][^\r\n]{0,60}$")

LetterReader = Callable[["Look", bytes, tuple[str, ...], int], None]


class Look:
    """One letter's examination: what was found, and the purse that pays for it."""

    def __init__(self, purse: Purse, read_letter: LetterReader) -> None:
        self.purse = purse
        self.items: list[Item] = []
        self.problems: set[str] = set()
        self.is_truncated = False
        self._read_letter = read_letter

    def file(
        self,
        data: bytes | None,
        names: tuple[str, ...],
        *,
        declared: str = "",
        types: tuple[str, ...] = (),
        role: str = "attachment",
        parent: tuple[str, ...] = (),
        depth: int = 0,
        problems: tuple[str, ...] = (),
        size_octets: int = 0,
    ) -> None:
        """Add one file and everything within it. Raises NeedsWorker in an edge; every other end is a problem."""
        kind = "" if data is None else detect(data)
        path = (*parent, label(names))
        opening = Opening(data or b"", self.purse, kind, names, set(problems) | name_problems(names), declared)
        if not TYPES.isdisjoint((declared, *types)):
            opening.problems.add("executable-type")
        place = len(self.items)
        self.items.append(Item(path))
        if data:
            self._open(opening, path, depth, role)
            self._look_at_text(opening, declared, role)
        family = FAMILIES.get(opening.kind, "")
        if family == "executable" and not (role == "body" and opening.kind in _BODY_TEXT):
            opening.problems.add("executable-content")
        self.items[place] = Item(
            path,
            kept(names),
            kept_extensions(names),
            declared,
            opening.kind,
            family,
            len(data) if data is not None else size_octets,
            role,
            tuple(sorted(opening.problems)),
        )

    def _open(self, opening: Opening, path: tuple[str, ...], depth: int, role: str) -> None:
        reader = READERS.get(opening.kind)
        try:
            if reader is not None and not (role == "body" and opening.kind == "message"):
                self._run(reader, opening, path, depth)
            if role != "component" and self._is_polyglot(opening):
                opening.problems.add("polyglot")
                within = Opening(opening.data, self.purse, opening.kind, opening.names)
                self._run(read_zip, within, path, depth)
                opening.problems |= within.problems - {"hidden-entry"}
        except OverBound as bound:
            self._stopped(opening, bound)
        except MemoryError:
            self._stopped(opening, OverBound("expanded"))
        except BROKEN:
            opening.problems.add("unreadable")

    def _run(self, reader: Reader, opening: Opening, path: tuple[str, ...], depth: int) -> None:
        self.purse.opening(depth + 1)
        members: Iterator[Member] = reader(opening)
        for member in members:
            if member.role == "letter" and member.octets is not None:
                self._read_letter(self, member.octets, path, depth + 1)
                continue
            self.purse.entry()
            self.file(
                member.octets, member.names, declared=member.declared, role=member.role, parent=path, depth=depth + 1,
                problems=member.problems, size_octets=member.size_octets,
            )  # fmt: skip
            if self.is_truncated:
                return

    def _stopped(self, opening: Opening, bound: OverBound) -> None:
        opening.problems.add(bound.code)
        if bound.code in ("entries", "expanded", "time"):
            self.is_truncated = True

    @staticmethod
    def _is_polyglot(opening: Opening) -> bool:
        """A zip, RAR or 7z stands somewhere in a file that is no archive."""
        data, family = opening.data, FAMILIES.get(opening.kind, "")
        if opening.kind.startswith("ole"):
            end = find_end(data)
            return end >= 0 and len(data) - end < 512 and data[-512:].find(b"PK\x05\x06") >= 0
        if family not in _LEAF_FAMILIES and opening.kind not in ("pdf", "rtf", "postscript", "djvu"):
            return False
        # The octet that texts do not have is looked for first: a search for one is sixty times as fast.
        if (b"\x1a" in data and data.find(b"Rar!\x1a\x07") > 0) or (
            b"\x1c" in data and data.find(b"7z\xbc\xaf\x27\x1c") > 0
        ):
            return True
        at = data.find(b"PK\x03\x04") if b"\x03" in data else -1
        for _ in range(100):
            if at < 0:
                break
            if local_entry(data, at) is not None:
                return True
            at = data.find(b"PK\x03\x04", at + 4)
        return False

    def _look_at_text(self, opening: Opening, declared: str, role: str) -> None:
        if role == "component":
            return
        kind, data = opening.kind, opening.data
        is_markup = (
            kind in ("html", "svg")
            or declared in _ACTIVE_TYPES
            or (bool(opening.names) and not _ACTIVE_EXTENSIONS.isdisjoint(extensions(opening.names)))
        )
        if is_markup and FAMILIES.get(kind) in ("text", "image", "") and is_active_html(data[:_ACTIVE_OCTETS]):
            opening.problems.add("html-active")
        if kind == "text" and role != "body" and b"|" in data and _has_formula_command(data[:_ACTIVE_OCTETS]):
            opening.problems.add("dde")


def _has_formula_command(text: bytes) -> bool:
    """A table's cell that starts a program when a spreadsheet opens it (`=cmd|'/c calc'!A0`)."""
    for match in islice(_DDE_SERVICE.finditer(text), 200):
        if _FORMULA.search(text[max(0, match.start() - 64) : match.start()]):
            return True
    return False


_BODY_TEXT = frozenset({"shebang", "script", "reg", "url-shortcut", "desktop-entry", "jnlp", "settings-shortcut"})
"""Kinds that are only text: a letter that begins with `#!/bin/sh` is read, not run."""


def label(names: tuple[str, ...]) -> str:
    """The name to show for a file: the one that runs if there is one, else the first."""
    if not names:
        return "(no name)"
    for name in names:
        if not extensions((name,)).isdisjoint(EXTENSIONS):
            return shown(name)
    return shown(names[0])


__all__ = ["Look", "Message", "label"]
