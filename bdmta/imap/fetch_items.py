"""What a FETCH asks for (RFC 3501 §6.4.5, RFC 7162 §3.1.4): `FetchItem`s, each with the name its answer bears."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bdmta.imap.syntax import BadSyntax, Cursor

MAX_ITEMS = 100
MAX_FIELDS = 100
MAX_SECTION_DEPTH = 50

_NAME = re.compile(rb"[A-Za-z0-9.]+")
_PART = re.compile(rb"(\d{1,9})(\.)?")

_PLAIN = {"ENVELOPE", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "BODYSTRUCTURE", "UID", "MODSEQ"}
_MACROS = {
    "ALL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"),
    "FAST": ("FLAGS", "INTERNALDATE", "RFC822.SIZE"),
    "FULL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"),
}
_SECTION_TEXTS = ("HEADER.FIELDS.NOT", "HEADER.FIELDS", "HEADER", "TEXT", "MIME")


@dataclass(frozen=True, slots=True)
class Section:
    """A place in a letter. `path` empty: the letter itself.

    `what`: "", HEADER, TEXT, MIME, HEADER.FIELDS or HEADER.FIELDS.NOT.
    """

    path: tuple[int, ...] = ()
    what: str = ""
    fields: tuple[bytes, ...] = ()  # lower case

    @property
    def needs_header_only(self) -> bool:
        """The letter's own header answers it."""
        return not self.path and self.what.startswith("HEADER")


@dataclass(frozen=True, slots=True)
class FetchItem:
    """`name`: FLAGS, UID, ENVELOPE ... or BODY[] with a section. `label`: the octets of its name in the answer."""

    name: str
    label: bytes
    section: Section | None = None
    partial: tuple[int, int] | None = None  # first octet, count
    is_peek: bool = True


def parse_fetch_items(cursor: Cursor) -> tuple[FetchItem, ...]:
    """A macro, one item, or a list of them; each kept once."""
    if not cursor.skip(b"("):
        macro = _macro(cursor)
        return macro if macro is not None else (_item(cursor),)
    items: dict[FetchItem, None] = {}
    while not cursor.skip(b")"):
        if items:
            cursor.space()
            if cursor.skip(b")"):  # some clients leave a space before the parenthesis
                break
        items[_item(cursor)] = None
        if len(items) > MAX_ITEMS:
            raise BadSyntax("too many items")
    if not items:
        raise BadSyntax("no item")
    return tuple(items)


def _macro(cursor: Cursor) -> tuple[FetchItem, ...] | None:
    match = _NAME.match(cursor.data, cursor.at)
    names = _MACROS.get(match[0].decode().upper()) if match else None
    if match is None or names is None:
        return None
    cursor.at = match.end()
    return tuple(plain_item(name) for name in names)


def plain_item(name: str) -> FetchItem:
    """The item of that name that takes no section."""
    return FetchItem(name, name.encode())


def _item(cursor: Cursor) -> FetchItem:
    match = _NAME.match(cursor.data, cursor.at)
    if match is None:
        cursor.fail("item")
    cursor.at = match.end()
    name = match[0].decode().upper()
    if name in _PLAIN:
        return plain_item(name)
    if name == "RFC822":
        return FetchItem("BODY[]", b"RFC822", Section(), is_peek=False)
    if name == "RFC822.HEADER":
        return FetchItem("BODY[]", b"RFC822.HEADER", Section(what="HEADER"))
    if name == "RFC822.TEXT":
        return FetchItem("BODY[]", b"RFC822.TEXT", Section(what="TEXT"), is_peek=False)
    if name in ("BODY", "BODY.PEEK") and cursor.peek() == b"[":
        return _body(cursor, is_peek=name == "BODY.PEEK")
    if name == "BODY":
        return plain_item(name)
    raise BadSyntax(f"unknown item {name[:40]}")


def _body(cursor: Cursor, *, is_peek: bool) -> FetchItem:
    start = cursor.at
    section = _section(cursor)
    label = b"BODY" + cursor.data[start : cursor.at]
    if b"{" in label:  # a field name sent as a literal: written anew
        label = b"BODY[" + _section_text(section) + b"]"
    partial = None
    if cursor.skip(b"<"):
        first = cursor.number()
        cursor.expect(b".")
        count = cursor.number()
        cursor.expect(b">")
        if count == 0:
            raise BadSyntax("a part of no octets")
        partial = (first, count)
        label += b"<%d>" % first
    return FetchItem("BODY[]", label, section, partial, is_peek)


def _section(cursor: Cursor) -> Section:
    cursor.expect(b"[")
    path: list[int] = []
    more = True
    while more and (part := _PART.match(cursor.data, cursor.at)):
        if int(part[1]) == 0 or len(path) >= MAX_SECTION_DEPTH:
            raise BadSyntax("no such section")
        path.append(int(part[1]))
        cursor.at = part.end()
        more = part[2] is not None
    what = ""
    fields: tuple[bytes, ...] = ()
    if more and cursor.peek() != b"]":
        what, fields = _section_what(cursor, bool(path))
    elif more and path:
        raise BadSyntax("section ends with a dot")
    cursor.expect(b"]")
    return Section(tuple(path), what, fields)


def _section_what(cursor: Cursor, has_path: bool) -> tuple[str, tuple[bytes, ...]]:
    match = _NAME.match(cursor.data, cursor.at)
    what = match[0].decode().upper() if match else ""
    if match is None or what not in _SECTION_TEXTS or (what == "MIME" and not has_path):
        cursor.fail("section")
    cursor.at = match.end()
    return what, _fields(cursor) if what.startswith("HEADER.FIELDS") else ()


def _fields(cursor: Cursor) -> tuple[bytes, ...]:
    cursor.space()
    cursor.expect(b"(")
    found: list[bytes] = []
    while not cursor.skip(b")"):
        if found:
            cursor.space()
        found.append(cursor.astring().lower())
        if len(found) > MAX_FIELDS:
            raise BadSyntax("too many fields")
    if not found:
        raise BadSyntax("no field")
    return tuple(found)


def _section_text(section: Section) -> bytes:
    text = ".".join([*map(str, section.path), *([section.what] if section.what else [])]).encode()
    if section.fields:
        names = (b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"' for name in section.fields)
        text += b" (" + b" ".join(names) + b")"
    return text


def parse_fetch_modifiers(cursor: Cursor) -> int | None:
    """`(CHANGEDSINCE n)` (RFC 7162 §3.1.4.1), or None at the end of the command."""
    if cursor.at_end():
        return None
    cursor.space()
    cursor.expect(b"(")
    if cursor.word() != "CHANGEDSINCE":
        raise BadSyntax("unknown modifier")
    cursor.space()
    since = cursor.number()
    cursor.expect(b")")
    cursor.end()
    return since
