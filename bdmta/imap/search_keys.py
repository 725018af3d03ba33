"""What a SEARCH asks for (RFC 3501 §6.4.4, WITHIN of RFC 5032, ESEARCH of RFC 4731, MODSEQ of RFC 7162): a tree."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from bdmta.imap.sequence import SequenceSet, parse_sequence_set
from bdmta.imap.syntax import MAX_NESTING, BadSyntax, Cursor, as_text

MAX_KEYS = 1000
MAX_CHAIN = 100  # NOT NOT NOT ..., OR OR OR ...: clients write long lists of words so
CHARSETS = ("US-ASCII", "UTF-8")

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_DATE = re.compile(rb'("?)(\d{1,2})-([A-Za-z]{3})-(\d{4})\1')
_MONTHS = {name: i for i, name in enumerate(b"JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)}

_FLAGS = {
    "ANSWERED", "DELETED", "DRAFT", "FLAGGED", "NEW", "OLD", "RECENT", "SEEN", "UNANSWERED", "UNDELETED", "UNDRAFT",
    "UNFLAGGED", "UNSEEN",
}  # fmt: skip
_TEXTS = {"BCC", "BODY", "CC", "FROM", "SUBJECT", "TEXT", "TO"}
_DATES = {"BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE"}
_NUMBERS = {"LARGER", "SMALLER", "OLDER", "YOUNGER"}
_KEYWORDS = {"KEYWORD", "UNKEYWORD"}


class BadCharset(ValueError):
    """The charset is not among `CHARSETS` (peer: `NO [BADCHARSET ...]`)."""


@dataclass(frozen=True, slots=True)
class Key:
    """One condition. `name`: the key's, or AND, OR, NOT, ALL, SEQUENCE, UID. Days count from 1970-01-01."""

    name: str
    text: str = ""
    field: str = ""  # HEADER's field name, lower case
    number: int = 0
    set: SequenceSet | None = None
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchProgram:
    """A SEARCH's arguments. `returns` None: the plain answer; else the options of RFC 4731."""

    key: Key
    returns: frozenset[str] | None
    has_modseq: bool


class _Reader:
    def __init__(self, cursor: Cursor, *, allow_modseq: bool) -> None:
        self.cursor = cursor
        self.count = 0
        self.allow_modseq = allow_modseq
        self.has_modseq = False

    def all_of(self, depth: int, closing: bool) -> Key:
        keys = [self.key(depth, 0)]
        while not (self.cursor.skip(b")") if closing else self.cursor.at_end()):
            self.cursor.space()
            keys.append(self.key(depth, 0))
        return keys[0] if len(keys) == 1 else Key("AND", keys=tuple(keys))

    def key(self, depth: int, chain: int) -> Key:
        self.count += 1
        if self.count > MAX_KEYS or depth > MAX_NESTING or chain > MAX_CHAIN:
            raise BadSyntax("search too deep or too long")
        cursor = self.cursor
        first = cursor.peek()
        if first == b"(":
            cursor.expect(b"(")
            return self.all_of(depth + 1, closing=True)
        if first.isdigit() or first == b"*":
            return Key("SEQUENCE", set=parse_sequence_set(cursor))
        name = cursor.word()
        if name == "NOT":
            cursor.space()
            return Key("NOT", keys=(self.key(depth, chain + 1),))
        if name == "OR":
            cursor.space()
            left = self.key(depth, chain + 1)
            cursor.space()
            return Key("OR", keys=(left, self.key(depth, chain + 1)))
        return self.plain(name)

    def plain(self, name: str) -> Key:
        cursor = self.cursor
        if name == "ALL" or name in _FLAGS:
            return Key(name)
        if name == "MODSEQ" and self.allow_modseq:
            return self.modseq()
        if name not in _TEXTS | _DATES | _NUMBERS | _KEYWORDS | {"UID", "HEADER"}:
            raise BadSyntax(f"unknown search key {name[:40]}")
        cursor.space()
        if name in _TEXTS:
            return Key(name, text=cursor.text())
        if name in _DATES:
            return Key(name, number=parse_day(cursor))
        if name in _NUMBERS:
            return Key(name, number=self.positive(name))
        if name in _KEYWORDS:
            return Key(name, text=cursor.atom().decode("ascii", "replace"))
        if name == "UID":
            return Key("UID", set=parse_sequence_set(cursor))
        field = cursor.text().lower()
        cursor.space()
        return Key("HEADER", field=field, text=cursor.text())

    def positive(self, name: str) -> int:
        value = self.cursor.number()
        if value == 0 and name in ("OLDER", "YOUNGER"):  # RFC 5032 §2: nz-number
            raise BadSyntax("interval of nothing")
        return value

    def modseq(self) -> Key:
        cursor = self.cursor
        cursor.space()
        if cursor.peek() == b'"':  # entry name and type: all flags share one mod-sequence here (RFC 7162 §3.1.5)
            cursor.quoted()
            cursor.space()
            if cursor.word() not in ("PRIV", "SHARED", "ALL"):
                raise BadSyntax("priv, shared or all expected")
            cursor.space()
        self.has_modseq = True
        return Key("MODSEQ", number=cursor.number())


def parse_day(cursor: Cursor) -> int:
    """A date as days since 1970-01-01."""
    match = _DATE.match(cursor.data, cursor.at)
    if match is None:
        cursor.fail("date")
    month = _MONTHS.get(match[3].upper())
    try:
        day = date(int(match[4]), month or 0, int(match[2]))
    except ValueError:
        raise BadSyntax("no such day") from None
    cursor.at = match.end()
    return day.toordinal() - _EPOCH_ORDINAL


def parse_search(cursor: Cursor, *, allow_modseq: bool = True, allow_return: bool = True) -> SearchProgram:
    """The arguments of SEARCH. Raises BadSyntax, BadCharset."""
    returns = _returns(cursor) if allow_return else None
    if cursor.data[cursor.at : cursor.at + 8].upper() == b"CHARSET ":
        cursor.at += 8
        if cursor.utf8:  # RFC 6855 §3
            raise BadSyntax("no CHARSET once UTF8=ACCEPT is enabled")
        _charset(cursor)
        cursor.space()
    return _program(cursor, returns, allow_modseq)


def parse_charset_and_search(cursor: Cursor, *, allow_modseq: bool = True) -> SearchProgram:
    """The arguments of SORT and THREAD behind their first: a charset, then keys (RFC 5256 §5)."""
    _charset(cursor)
    cursor.space()
    return _program(cursor, None, allow_modseq)


def _program(cursor: Cursor, returns: frozenset[str] | None, allow_modseq: bool) -> SearchProgram:
    reader = _Reader(cursor, allow_modseq=allow_modseq)
    key = reader.all_of(0, closing=False)
    return SearchProgram(key, returns, reader.has_modseq)


def _charset(cursor: Cursor) -> None:
    name = as_text(cursor.astring()).upper()
    if name not in CHARSETS:
        raise BadCharset(name)


def _returns(cursor: Cursor) -> frozenset[str] | None:
    if cursor.data[cursor.at : cursor.at + 7].upper() != b"RETURN ":
        return None
    cursor.at += 7
    options = frozenset(cursor.words())
    if options - {"MIN", "MAX", "ALL", "COUNT"}:
        raise BadSyntax("unknown RETURN option")
    cursor.space()
    return options or frozenset({"ALL"})  # RFC 4731 §3.1
