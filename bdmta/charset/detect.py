"""Which of the old Vietnamese sets some octets are written in; conservative: silence unless the evidence is strong.

The same octets are read by every table; each reading is scored by its syllables. The best must pass `SURE` and stand
clear of the next. What another language's text becomes under these tables has been measured to stay far below.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bdmta.charset.codec import Undecodable, decode, western_text
from bdmta.charset.score import Score, score, words

#: The tables that are tried; TCVN3 before VN1, whose lower case is the same.
CANDIDATES = ("tcvn3", "vni-windows", "viscii", "vps", "windows-1258", "tcvn5712-vn1")
SURE = 9.0
SURE_BY_TWO = 5.5  # no other language's text came over 1.5 with two changed words in 450,000 trials
LIKELY = 3.0  # enough for a unit of a letter that is known to be in that encoding, or to be Vietnamese
SUSPECT = 6.0  # worth a mark, not a change
_CLEAR_BY = 3.0
_SAMPLE_OCTETS = 32 * 1024

_SIGN_IN_CAPITALS = re.compile(
    "[A-ZĐÂĂÊÔƠƯ][\u20ac\u201a-\u201c\u201e\u2020\u2021\u2022\u02c6\u2030\u2039\u02dc\u2018\u2013\u2014][A-ZĐ]"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of the octets: the table (or `utf-8`), and what it scored."""

    encoding: str
    score: Score

    def passes(self, bar: float = SURE) -> bool:
        """Strong enough: many words for, hardly any against; two words that agree need less than one alone."""
        found = self.score
        needed = min(bar, SURE_BY_TWO) if found.words_for >= 2 else bar
        return found.total >= needed and found.evidence >= needed / 2 and found.words_for > 3 * found.words_against


def sample(octets: bytes) -> bytes:
    """The lines with something to judge, to a bound."""
    if len(octets) <= _SAMPLE_OCTETS:
        return octets
    if octets.isascii():
        return b""
    taken: list[bytes] = []
    room = _SAMPLE_OCTETS
    for line in octets.split(b"\n"):
        if not line.isascii():
            taken.append(line[: min(4096, room)])
            room -= len(taken[-1]) + 1
            if room <= 0:
                break
    return b"\n".join(taken)


def readings(octets: bytes, literal: str | None = None) -> list[Reading]:
    """Every table's reading, best first. `literal` is the label's own reading (default: windows-1252)."""
    literal_words = words(western_text(octets) if literal is None else literal)
    found = []
    for name in CANDIDATES:
        text = decode(name, octets, is_lenient=True)
        found.append((Reading(name, score(text, literal_words)), text))
    found.sort(key=lambda pair: -pair[0].score.total)
    return _without_twins(_one_of_tcvn(found))


def _one_of_tcvn(found: list[tuple[Reading, str]]) -> list[tuple[Reading, str]]:
    """TCVN3 and VN1 differ in capitals and quotation marks alone: keep the one with fewer odd words, else TCVN3."""
    by_name = {reading.encoding: (reading.score, text) for reading, text in found}
    (font, text), (standard, _) = by_name["tcvn3"], by_name["tcvn5712-vn1"]
    against_font = font.words_against + font.odd_count - standard.words_against - standard.odd_count
    against_font += len(_SIGN_IN_CAPITALS.findall(text))
    loser = "tcvn3" if against_font > 0 and standard.total > font.total else "tcvn5712-vn1"
    return [pair for pair in found if pair[0].encoding != loser]


def _without_twins(found: list[tuple[Reading, str]]) -> list[Reading]:
    """Leave out a reading that gives the same text as one before it: between these there is nothing to decide."""
    seen: set[str] = set()
    kept = []
    for reading, text in found:
        if text not in seen:
            seen.add(text)
            kept.append(reading)
    return kept


def best(found: list[Reading], bar: float = SURE) -> Reading | None:
    """The reading that is sure (or over a lower `bar`) and clear of the others, or None."""
    if not found or not found[0].passes(bar):
        return None
    if len(found) > 1 and found[1].score.total > found[0].score.total - _CLEAR_BY:
        return None
    return found[0]


def old_set(octets: bytes, literal: str | None = None) -> str | None:
    """The old Vietnamese set that `octets` are in, or None when that is not certain."""
    reading = best(readings(sample(octets), literal))
    return reading.encoding if reading else None


def is_decodable(name: str, octets: bytes) -> bool:
    """Whether every code of `octets` is in the set."""
    try:
        decode(name, octets)
    except Undecodable:
        return False
    return True
