"""A typed name taken apart into words, with what is odd about it; errors for what is no name."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

from bdmta.charset import Undecodable, decode
from bdmta.charset.syllable import is_syllable, syllables
from bdmta.naming.fold import fold, is_plain
from bdmta.naming.proposal import Proposal, refused

NAME_MAX = 200  # characters; the longest Vietnamese name on record has some forty

_APOSTROPHES = re.compile("['\u2018\u2019\u201b\u02bc\u02b9\u00b4\u0060\u2032]")
_HYPHENS = re.compile("[-\u2010\u2011\u2012\u2013\u00ad]")
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u202a-\u202e\u2066-\u2069]")
_OLD_SETS = ("tcvn3", "vni-windows", "viscii", "vps")
_SET_NAMES = {"tcvn3": "TCVN3 (ABC)", "vni-windows": "VNI", "viscii": "VISCII", "vps": "VPS"}


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a name: as it was typed (NFC), its letters a-z, and what stood inside it."""

    shown: str
    letters: str
    parts: tuple[str, ...]  # between hyphens, letters a-z
    is_hyphenated: bool = False
    has_apostrophe: bool = False
    is_abbreviated: bool = False

    @property
    def is_vietnamese(self) -> bool:
        """Whether Vietnamese spelling allows it, with its marks or without."""
        return all(part in _bare_syllables() for part in self.parts)


@cache
def _bare_syllables() -> frozenset[str]:
    return frozenset(fold(syllable) for syllable in syllables())


def read_words(text: str, what: str = "họ tên") -> tuple[Word, ...] | Proposal:
    """The words of `text`, or the error that says why it is no name. `what`: which field, for the reason."""
    if len(text) > NAME_MAX:
        return refused("too-long", f"{what} dài quá {NAME_MAX} ký tự")
    clean = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    old = _old_set(clean)
    if old:
        return refused(
            "legacy-encoding",
            f"{what} được gõ bằng bảng mã {old}, không phải Unicode (Điều 13); hãy gõ lại bằng Unicode",
        )
    words: list[Word] = []
    for token in clean.split():
        word = _word(token, what)
        if isinstance(word, Proposal):
            return word
        if word is not None:
            words.append(word)
    return tuple(words)


def _word(token: str, what: str) -> Word | Proposal | None:
    """One word; None for a hyphen or a dot that stands alone."""
    if any(char.isnumeric() for char in token):
        return refused("digit", f"{what} có chữ số ({token}); địa chỉ cá nhân chỉ gồm chữ cái (Điều 5.3)")
    bare = token.rstrip(".,") if token[-1:] in ".," else token
    pieces = [piece for piece in _HYPHENS.split(_APOSTROPHES.sub("", bare)) if piece]
    parts = tuple(fold(piece) for piece in pieces)
    if not parts:
        return None
    for part in parts:
        if not is_plain(part):
            return _strange(token, part, what)
    return Word(
        shown=token,
        letters="".join(parts),
        parts=parts,
        is_hyphenated=bool(_HYPHENS.search(bare)),
        has_apostrophe=bool(_APOSTROPHES.search(bare)),
        is_abbreviated=bare != token,
    )


def _strange(token: str, part: str, what: str) -> Proposal:
    odd = next(char for char in part if not ("a" <= char <= "z"))
    if odd.isalpha():
        return refused("script", f"{what} có chữ không thuộc bảng chữ cái La-tinh: {odd} trong {token}")
    return refused("sign", f"{what} có ký hiệu không phải chữ cái: {odd} trong {token}")


def _old_set(text: str) -> str | None:
    """The old Vietnamese set that a name was typed in, or None.

    A name is too short for the letters' detector; but it consists of syllables alone, which a wrong reading never
    gives: it must fail as Unicode, and every word of it must be a syllable by the table.
    """
    if any("\ud800" <= char <= "\udfff" for char in text):
        return "cũ (không phải UTF-8)"
    words = text.split()
    if text.isascii() or all(is_syllable(word) for word in words):
        return None
    for encoding in ("cp1252", "latin-1"):
        try:
            octets = text.encode(encoding)
        except UnicodeEncodeError:
            continue
        for name in _OLD_SETS:
            try:
                read = decode(name, octets).split()
            except Undecodable:
                continue
            if read != words and len(read) > 1 and all(is_syllable(word) for word in read):
                return _SET_NAMES[name]
    return None
