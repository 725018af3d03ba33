"""Looking somebody up: with or without diacritics, by name, agency or address; the rule of the page's script."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bdmta.naming import fold

Json = dict[str, Any]
QUERY_MAX = 100
_WORDS_MAX = 12
_AFTER_AT = re.compile(r"(?<=.)@.*")  # nobody is found by the domain, which all have in common


@dataclass(frozen=True, slots=True)
class Line:
    """One entry with the texts it is found by. `kind`: agency or official."""

    kind: str
    name: str
    below: str
    address: str
    paper_address: str
    abbreviation: str
    plain: str
    marked: str


def lines_of(book: Json) -> list[Line]:
    """The entries of a book in its order, agencies first."""
    found = [_line("agency", one, one["parent"], one["paper_address"], one["abbreviation"]) for one in book["agencies"]]
    return found + [_line("official", one, one["agency"], "", "") for one in book["officials"]]


def _line(kind: str, one: Json, below: str, paper_address: str, abbreviation: str) -> Line:
    text = search_text(one["name"], below, one["address"])
    return Line(kind, one["name"], below, one["address"], paper_address, abbreviation, fold(text), _small(text))


def search_text(name: str, below: str, address: str) -> str:
    """What an entry is found by."""
    return " ".join(part for part in (name, below, address.partition("@")[0]) if part)


def search(lines: Iterable[Line], query: str) -> list[Line]:
    """The lines that hold every word of `query`. A word with diacritics wants them; if so nobody is found, none do."""
    words = [_AFTER_AT.sub("", word) for word in _small(query[:QUERY_MAX]).split()[:_WORDS_MAX]]
    known = list(lines)
    strict = [(word, fold(word) != word) for word in words]
    hits = _matching(known, strict)
    return hits or _matching(known, [(fold(word), False) for word in words])


def _matching(lines: Sequence[Line], words: Sequence[tuple[str, bool]]) -> list[Line]:
    return [
        line for line in lines if all(word in (line.marked if is_marked else line.plain) for word, is_marked in words)
    ]


def _small(text: str) -> str:
    return unicodedata.normalize("NFC", text).lower()
