"""Address lists of header fields: From, To, Cc … as strangers write them (RFC 5322 §3.4, with its obsolete forms).

Linear and bounded (Dovecot's CVE-2024-23184: a header of 100,000 addresses took 12 s). For addresses of the envelope,
which are strict, see `bdmta.address`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bdmta.message.words import decode_words, raw_text, unfolded

MAX_VALUE_CHARACTERS = 256 * 1024
_TOKENS_PER_MAILBOX = 40

_TOKEN = re.compile(
    r"""(?P<space>[\s\0]++)
      | (?P<quoted>"(?:[^"\\]++|\\.)*+(?:"|\Z|\\\Z))
      | (?P<comment>\()
      | (?P<literal>\[[^\]\[\\,<>]*+\]?)
      | (?P<word>=\?[^?\s=]{1,80}\?[bBqQ]\?[^?\s]*+\?=)
      | (?P<special>[,;:<>@])
      | (?P<atom>[^\s\0"(\[,;:<>@]++)
    """,
    re.VERBOSE | re.DOTALL,
)
_PARENTHESES = re.compile(r"[()\\]")
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_SPACES = re.compile(r"[\s\0]+")


class Mailbox(NamedTuple):
    """One mailbox of a list: `name` for people ("" where none), `local` unquoted, `domain` in lower case.

    What is no address at all has its text in `local` and an empty `domain`; the null address `<>` has both empty.
    A group's name and its end are not mailboxes; its members are.
    """

    name: str
    local: str
    domain: str
    route: str = ""
    """A source route, `@a,@b` (RFC 5322 §4.4): nobody sends by it, IMAP's ENVELOPE names it."""

    @property
    def address(self) -> str:
        """`local@domain`, or `local` alone."""
        return f"{self.local}@{self.domain}" if self.domain else self.local


class Group(NamedTuple):
    """`name: member, member;` (RFC 5322 §3.4). IMAP's ENVELOPE marks them."""

    name: str
    members: tuple[Mailbox, ...]


def mailboxes(value: bytes | str, limit: int = 1000) -> list[Mailbox]:
    """The mailboxes in a field's value, groups opened, at most `limit`; linear, never raises."""
    out: list[Mailbox] = []
    for entry in addresses(value, limit):
        out.extend(entry.members if isinstance(entry, Group) else (entry,))
    return out[:limit]


def addresses(value: bytes | str, limit: int = 1000) -> list[Mailbox | Group]:
    """The same with its groups kept; at most `limit` mailboxes and groups together."""
    text = raw_text(value[:MAX_VALUE_CHARACTERS]) if isinstance(value, bytes) else value[:MAX_VALUE_CHARACTERS]
    return _Reader(unfolded(text), limit).read()


class _Reader:
    """One pass over the tokens; what was read of the mailbox under way lies in a few lists."""

    def __init__(self, text: str, limit: int) -> None:
        self.text = text
        self.limit = limit
        self.count = 0
        self.out: list[Mailbox | Group] = []
        self.group: str | None = None
        self.members: list[Mailbox] = []
        self.clear()

    def clear(self) -> None:
        self.phrase: list[str] = []  # words and blanks before <, or of a bare address
        self.comment = ""
        self.inside: list[str] | None = None  # of < >
        self.route = ""
        self.at_phrase: int | None = None  # where in the list the last @ stands
        self.at_inside: int | None = None
        self.closed = False

    def read(self) -> list[Mailbox | Group]:
        at = 0
        text = self.text
        tokens_left = self.limit * _TOKENS_PER_MAILBOX + 1000
        while at < len(text) and self.count < self.limit and tokens_left > 0:
            tokens_left -= 1
            match = _TOKEN.match(text, at)
            if match is None:
                at += 1
                continue
            at = match.end()
            kind = match.lastgroup
            if kind == "comment":
                inner, at = _comment(text, at)
                self.comment = self.comment or inner
            elif kind == "special":
                self.special(match[0])
            elif kind == "space":
                self.add(" ")
            else:
                self.add(match[0])
        self.finish()
        self.end_group()
        return self.out

    def add(self, word: str) -> None:
        if self.inside is not None and not self.closed:
            self.inside.append(word)
        elif not self.closed:
            self.phrase.append(word)

    def special(self, mark: str) -> None:
        opened = self.inside is not None and not self.closed
        if mark == "<" and self.closed:  # `<a@b> <c@d>`: readers differ on whose it is, so both are listed
            self.finish()
        if mark == "<" and self.inside is None:
            self.inside = []
        elif mark == ">" and opened:
            self.closed = True
        elif mark == "@":
            if opened and self.inside is not None:
                self.at_inside = len(self.inside)
            elif not self.closed:
                self.at_phrase = len(self.phrase)
            self.add("@")
        elif mark == ":" and opened and self.inside is not None:
            self.route = _joined(self.inside)  # a source route, @a,@b: (RFC 5322 §4.4)
            self.inside.clear()
            self.at_inside = None
        elif mark == ":" and self.inside is None and self.group is None and self.at_phrase is None:
            self.group = _words(self.phrase)
            self.clear()
        elif mark == "," and opened and self.inside is not None and self.inside[:1] == ["@"]:
            self.add(",")  # within a route
        elif mark == ",":
            self.finish()
        elif mark == ";":
            self.finish()
            self.end_group()
        else:
            self.add(mark)

    def finish(self) -> None:
        mailbox = self.mailbox()
        self.clear()
        if mailbox is None:
            return
        self.count += 1
        (self.out if self.group is None else self.members).append(mailbox)

    def end_group(self) -> None:
        if self.group is not None:
            self.count += 1
            self.out.append(Group(self.group, tuple(self.members)))
            self.group = None
            self.members = []

    def mailbox(self) -> Mailbox | None:
        if self.inside is not None:
            local, domain = _address(self.inside, self.at_inside)
            return Mailbox(_words(self.phrase) or self.comment, local, domain, self.route)
        if self.at_phrase is None:
            text = _words(self.phrase)
            return Mailbox(self.comment, text, "") if text else None
        local, domain = _address(self.phrase, self.at_phrase)
        return Mailbox(self.comment, local, domain)


def _address(words: list[str], at: int | None) -> tuple[str, str]:
    """Local part and domain around the last @; blanks around dots are obsolete, not part of it."""
    if at is None:
        return _joined(words), ""
    return _joined(words[:at]), _joined(words[at + 1 :]).lower()


def _joined(words: list[str]) -> str:
    return "".join(_unquoted(word) for word in words if word != " ")


def _words(words: list[str]) -> str:
    """A phrase for people: quotes off, encoded words decoded (also within quotes, as clients do)."""
    text = "".join(_unquoted(word) for word in words).strip()
    return _SPACES.sub(" ", decode_words(text)).strip() if text else ""


def _unquoted(word: str) -> str:
    if not word.startswith('"'):
        return word
    inner = word[1:-1] if len(word) > 1 and word.endswith('"') else word[1:]
    return _PAIR.sub(r"\1", inner) if "\\" in inner else inner


def _comment(text: str, at: int) -> tuple[str, int]:
    """The comment whose parenthesis stands before `at`, and where it ends; an open one reaches to the end."""
    start = at
    depth = 1
    while (match := _PARENTHESES.search(text, at)) is not None:
        at = match.end()
        if match[0] == "\\":
            at += 1
            continue
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            return _words([text[start : at - 1]]), at
    return _words([text[start:]]), len(text)
