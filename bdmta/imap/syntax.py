r"""The tokens of a command line, literals included (RFC 3501 §9): a cursor that moves over octets, ahead only.

A command arrives here whole and inline, as `frame.Framer` collected it: `A1 LOGIN {5}\r\nadmin "x"`. Whatever is
wrong with it is a `BadSyntax`, which the peer sees as `BAD`; nothing else is ever raised.
"""

from __future__ import annotations

import re
from typing import NoReturn

MAX_NESTING = 20
MAX_NUMBER = (1 << 63) - 1  # RFC 7162 §7: mod-sequences have 63 bits
MAX_UID = (1 << 32) - 1

_ATOM = re.compile(rb'[^(){ %*"\\\]\x00-\x20\x7f]+')
_ASTRING = re.compile(rb'[^(){ %*"\\\x00-\x20\x7f]+')
_LIST_NAME = re.compile(rb'[^(){ "\\\x00-\x20\x7f]+')
_TAG = re.compile(rb'[^(){ %*"\\+\x00-\x20\x7f-\xff]{1,255}')
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\0]|\\["\\])*)"')
_ESCAPE = re.compile(rb"\\(.)")
_LITERAL = re.compile(rb"~?\{(\d{1,19})\+?\}\r?\n")
_NUMBER = re.compile(rb"\d{1,19}")
_FLAG = re.compile(rb'\\?[^(){ %*"\\\]\x00-\x20\x7f]+')


class BadSyntax(ValueError):
    """The command is not what the grammar says; the text is shown to the peer."""


class Cursor:
    """A place in a command. Each method reads one token and moves behind it, or raises BadSyntax."""

    __slots__ = ("at", "data", "utf8")

    def __init__(self, data: bytes, at: int = 0, *, utf8: bool = False) -> None:
        self.data = data
        self.at = at
        self.utf8 = utf8  # UTF8=ACCEPT was enabled (RFC 6855)

    def fail(self, what: str) -> NoReturn:
        """Raise BadSyntax: `what` was expected here."""
        raise BadSyntax(f"{what} expected at octet {self.at}")

    def _take(self, pattern: re.Pattern[bytes], what: str) -> bytes:
        match = pattern.match(self.data, self.at)
        if match is None:
            self.fail(what)
        self.at = match.end()
        return match[0]

    # -- single octets

    def peek(self) -> bytes:
        """The next octet, b"" at the end."""
        return self.data[self.at : self.at + 1]

    def skip(self, octets: bytes) -> bool:
        """Move behind `octets` when they come next."""
        if self.data.startswith(octets, self.at):
            self.at += len(octets)
            return True
        return False

    def expect(self, octets: bytes) -> None:
        """Move behind `octets`, which must come next."""
        if not self.skip(octets):
            self.fail(octets.decode("ascii"))

    def space(self) -> None:
        """Exactly one space (RFC 3501 §9: SP)."""
        self.expect(b" ")

    def at_end(self) -> bool:
        """Nothing follows."""
        return self.at >= len(self.data)

    def end(self) -> None:
        """Nothing may follow."""
        if not self.at_end():
            self.fail("end of the command")

    # -- words

    def tag(self) -> bytes:
        """A command's tag: up to 255 octets, so that answers stay small."""
        return self._take(_TAG, "tag")

    def atom(self) -> bytes:
        """An atom as it stands."""
        return self._take(_ATOM, "atom")

    def word(self) -> str:
        """An atom in upper case: a verb, an item, an option."""
        return self.atom().decode("ascii", "replace").upper()

    def number(self, maximum: int = MAX_NUMBER) -> int:
        """A number of at most `maximum`."""
        value = int(self._take(_NUMBER, "number"))
        if value > maximum:
            raise BadSyntax("number too large")
        return value

    def flag(self) -> bytes:
        """A flag or a keyword."""
        return self._take(_FLAG, "flag")

    def quoted(self) -> bytes:
        """A quoted string's octets."""
        match = _QUOTED.match(self.data, self.at)
        if match is None:
            self.fail("quoted string")
        self.at = match.end()
        inner = match[1]
        return _ESCAPE.sub(rb"\1", inner) if b"\\" in inner else inner

    def literal(self) -> bytes:
        """A literal's octets; the framer has seen to their being there."""
        match = _LITERAL.match(self.data, self.at)
        if match is None:
            self.fail("literal")
        end = match.end() + int(match[1])
        if end > len(self.data):
            self.fail("literal of that size")
        self.at = end
        return self.data[match.end() : end]

    def string(self) -> bytes:
        """A quoted string or a literal."""
        return self.quoted() if self.peek() == b'"' else self.literal()

    def astring(self) -> bytes:
        """An atom (with `]`), a quoted string or a literal."""
        first = self.peek()
        if first == b'"':
            return self.quoted()
        return (
            self.literal()
            if first in (b"{", b"~") and _LITERAL.match(self.data, self.at)
            else self._take(_ASTRING, "string")
        )

    def nil(self) -> bool:
        """Move behind NIL when it comes next."""
        if self.data[self.at : self.at + 3].upper() == b"NIL":
            self.at += 3
            return True
        return False

    def nstring(self) -> bytes | None:
        """A string, or NIL for none."""
        return None if self.nil() else self.string()

    def list_pattern(self) -> bytes:
        """A LIST pattern: may hold `%` and `*` bare."""
        first = self.peek()
        return self.string() if first in (b'"', b"{") else self._take(_LIST_NAME, "mailbox pattern")

    def text(self) -> str:
        """An astring as people's text; what is no UTF-8 is BadSyntax."""
        return as_text(self.astring())

    # -- lists

    def words(self) -> list[str]:
        """A parenthesised list of atoms in upper case; at most 100."""
        self.expect(b"(")
        found: list[str] = []
        while not self.skip(b")"):
            if found:
                self.space()
            found.append(self.word())
            if len(found) > 100:
                raise BadSyntax("list too long")
        return found

    def flags(self) -> list[bytes]:
        """A parenthesised list of flags, or bare ones up to the end (STORE takes both); at most 100."""
        bare = not self.skip(b"(")
        found: list[bytes] = []
        while not (self.at_end() if bare else self.skip(b")")):
            if found:
                self.space()
            found.append(self.flag())
            if len(found) > 100:
                raise BadSyntax("list too long")
        if bare and not found:
            self.fail("flag")
        return found


def as_text(octets: bytes) -> str:
    """UTF-8 octets as text without NUL, or BadSyntax."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSyntax("not UTF-8") from None
    if "\0" in text:
        raise BadSyntax("NUL in a string")
    return text
