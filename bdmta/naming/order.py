"""The order of the Vietnamese dictionary: letters a ă â b c d đ e ê …, then tones, syllable by syllable."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TypeAlias

# One part a word: its letters first, its tones when all letters are equal. Compares with any other key.
Key: TypeAlias = tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]

_LETTERS = {letter: place for place, letter in enumerate("aăâbcdđeêfghijklmnoôơpqrstuưvwxyz", 100)}
_TONES = {"\u0300": 1, "\u0309": 2, "\u0303": 3, "\u0301": 4, "\u0323": 5}  # huyền hỏi ngã sắc nặng; ngang is 0
_WORD = re.compile(r"\d+|[^\W\d_]+")


def order_key(text: str) -> Key:
    """The key to sort by: `a ă â b`, `ba bà bả bã bá bạ`, `Phường 2` before `Phường 10`; capitals count the same."""
    return tuple(_word_key(word) for word in _WORD.findall(unicodedata.normalize("NFC", text).lower())[:64])


def person_key(name: str) -> tuple[Key, Key]:
    """As lists of people are kept: by the given name (the last word), then by the rest from the surname on."""
    key = order_key(name)
    return key[-1:], key[:-1]


@lru_cache(maxsize=8192)
def _word_key(word: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if word.isdecimal():
        return (int(word[:18]),), ()
    letters: list[int] = []
    tones: list[int] = []
    for char in word:
        bare, tone = _without_tone(char)
        letters.append(1_000_000_000_000_000_000 + _LETTERS.get(bare, 1000 + ord(bare)))
        tones.append(tone)
    return tuple(letters), tuple(tones)


@lru_cache(maxsize=512)
def _without_tone(char: str) -> tuple[str, int]:
    apart = unicodedata.normalize("NFD", char)
    tone = next((_TONES[mark] for mark in apart if mark in _TONES), 0)
    return unicodedata.normalize("NFC", "".join(mark for mark in apart if mark not in _TONES))[:1] or char, tone
