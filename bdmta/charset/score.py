"""How much a text reads like Vietnamese: the evidence that one reading of some octets has over the label's own.

Each distinct word counts once, as the logarithm of how much likelier it is in Vietnamese text than in another
language read by the wrong table. The weights were measured on a million sentences in 60 languages and 34,000 in
Vietnamese (`scripts/measure-charset` measures again): short words mean little, since `à`, `né` or `thé` turn into
syllables by chance; words of four letters or more hardly ever do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set
from dataclasses import dataclass

from bdmta.charset.syllable import common_syllables, syllables

_EDGES = ".,;:!?()[]{}<>\"'*_-/\u2013\u2014\u2018\u2019\u201c\u201d\u2026"
_JOINTS = re.compile(r"[-/.,;:'\"()_\u2013\u2019]+")
_SHAPE = re.compile(r"(?:[^\W\d_])(?:(?:(?![A-Z\u00c0-\u00de])[^\W\d_])*|[A-Z\u00c0-\u00de]*)")
_LOOKED_AT = 20_000
_NO_TEXT = ("://", "@", "www.")  # links and addresses are of no language
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f]")
_WORD = re.compile(r"[^\W\d_]+")
_FOR = (0.0, 0.0, 0.4, 2.7, 5.5, 6.5, 6.5, 6.5)  # a syllable with marks, by its letters
_AGAINST = (0.0, -1.0, -2.5, -4.5, -5.5, -6.0, -6.0)
_PLAIN_FOR = (0.0, 0.0, 0.0, 1.0, 3.0, 4.0, 4.0)  # a word in ASCII: of the language, not of the encoding
_PLAIN_AGAINST = (0.0, 0.0, 0.0, -1.0, -0.9, -0.7, -0.7)
_PLAIN_MOST, _PLAIN_LEAST = 6.0, -6.0
_UNCHANGED_MOST = 9.0  # words that both readings share say that the language is Vietnamese
_COMMON = 1.2  # more for a syllable of everyday text, as much less for one that spelling merely allows
_DAMAGED = -8.0
_CONTROL = -4.0

#: Letters that only Vietnamese text in Unicode has together: what the old sets show never holds them.
UNICODE_VIETNAMESE = re.compile("[ăđĩũơưĂĐĨŨƠƯ\u1ea0-\u1ef9\u0300\u0301\u0303\u0309\u0323]")
_ABBREVIATION = re.compile("[B-DF-HJ-NP-TV-XZĐ]{1,6}|[đĐ]")  # QĐ, HĐND, đ: say nothing


@dataclass(frozen=True, slots=True)
class Score:
    """`evidence` from words that this reading changes, `language` from all the others.

    `words_for` counts distinct changed words that are syllables, `words_against` those that are none (changed or
    not), both of two letters or more.
    """

    evidence: float
    language: float
    words_for: int
    words_against: int
    odd_count: int = 0
    """Controls and codes that the table does not have."""

    @property
    def total(self) -> float:
        """Both together; above `detect.SURE` it is taken as proved."""
        return self.evidence + self.language


NOTHING = Score(0.0, 0.0, 0, 0)


def words(text: str) -> set[str]:
    """The distinct words of `text`."""
    if any(sign in text for sign in _NO_TEXT):
        text = " ".join(each for each in text.split() if not any(sign in each for sign in _NO_TEXT))
    return set(_WORD.findall(text))


def score(text: str, literal_words: Set[str] = frozenset()) -> Score:
    """The score of `text` (NFC) against the words that the label's own reading gives."""
    known, common = syllables(), common_syllables()
    changed = unchanged = plain = 0.0
    words_for = words_against = 0
    for word in words(text):
        size = min(len(word), 6)
        low = word.lower()
        if word.isascii():
            if not word.isupper():
                plain += (_PLAIN_FOR if low in known else _PLAIN_AGAINST)[size]
            continue
        if _ABBREVIATION.fullmatch(word):
            continue
        if low not in known:
            weight = _AGAINST[size]
        elif size > 1:
            weight = _FOR[size] + (_COMMON if low in common else -_COMMON)
        else:
            weight = 0.0
        if word in literal_words:
            unchanged += weight
            words_against += size > 1 and low not in known
            continue
        changed += weight
        words_for += size > 1 and low in known
        words_against += size > 1 and low not in known
    controls = set(_CONTROLS.findall(text))
    is_damaged = "\ufffd" in text
    changed += _DAMAGED * is_damaged + _CONTROL * len(controls)
    language = max(_PLAIN_LEAST, min(_PLAIN_MOST, plain)) + min(_UNCHANGED_MOST, unchanged)
    return Score(changed, language, words_for, words_against, len(controls) + is_damaged)


def reads_rightly(text: str) -> bool:
    """Whether every word of `text` that is not ASCII is a syllable in a usual shape: then it stands as it is.

    Ngô Anh Lâm and Hoàng Anh Bình hold Latin-1 letters only, and old sets read them as well (Ngụ Anh Lõm): two readings
    of which one is the label's own are no evidence. What is really in an old set shows signs or capitals within words.
    """
    tokens = [token for token in text[:_LOOKED_AT].split() if not token.isascii()]
    return bool(tokens) and all(_stands(unicodedata.normalize("NFC", token).strip(_EDGES)) for token in tokens)


def _stands(token: str) -> bool:
    parts = _JOINTS.split(token)
    return all(part.isascii() or (_SHAPE.fullmatch(part) and part.lower() in syllables()) for part in parts)


def reads_as_vietnamese(text: str) -> bool:
    """Whether Unicode `text` is Vietnamese with its marks, beyond a borrowed word or a name."""
    if UNICODE_VIETNAMESE.search(text) is None:
        return False
    found = score(unicodedata.normalize("NFC", text))
    return found.words_for >= 1 and found.evidence > 0
