"""What some octets of a letter really are, under whatever label: the decision for one header or body.

Order of trust: valid UTF-8 is UTF-8 (then it may still be mojibake: old octets once read as Latin-1 and stored as
UTF-8); then the label of an old Vietnamese set, if its reading is Vietnamese; then the detector; then the label.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from enum import StrEnum

from bdmta.charset import codec, markup
from bdmta.charset.detect import LIKELY, SURE, SUSPECT, Reading, best, readings, sample
from bdmta.charset.score import UNICODE_VIETNAMESE, reads_as_vietnamese, reads_rightly, score
from bdmta.charset.viqr import is_viqr
from bdmta.message.words import codec_of

_UTF8 = frozenset({"utf-8", "utf8", "unicode-1-1-utf-8", "utf-8-sig", "x-utf-8", "utf_8", "unicode"})
_SEVEN_BITS = frozenset(
    {"", "us-ascii", "ascii", "ansi_x3.4-1968", "iso646-us", "x-unknown", "unknown-8bit", "unknown"}
)
_WIDE = re.compile(
    r"utf-?_?(?:16|32|7)|iso-?2022|hz|gb|big5|euc|shift|sjis|ks_c|ksc|korean|cp9[345]\d|ms_kanji|johab|uhc"
)
_UTF8_LETTER = re.compile(rb"\xe1[\xba\xbb][\x80-\xbf]|\xc6[\xa1\xaf\xb0]|\xc4[\x82\x83\x90\x91]")
_UTF8_SEQUENCE = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}")
_OVERLONG = re.compile(
    rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0[\x80-\x8f][\x80-\xbf]{2}|\xed[\xa0-\xbf][\x80-\xbf]"
)
_HIGH_WORD = re.compile(rb"[A-Za-z\x80-\xff]+")
_NOT_WESTERN = re.compile(rb"[\x80-\xbf\xd7\xf7]|[\x80-\xff]{3}|^[\x80-\xff]{2,}$")
_SIGNS = b"\x85\x91\x92\x93\x94\x96\x97\xa0\xa1\xa7\xa9\xab\xae\xb0\xbb\xbf"
_WESTERN_SIGNS = bytes.maketrans(_SIGNS, b" " * len(_SIGNS))
_MOJIBAKE_BITS = re.compile("\u00e1[\u00ba\u00bb][\u0080-\u00bf\u0152-\u2122]|\u00c6\u00b0|\u00c4[\u0091\u2018]")
_UNMAPPED = re.compile(  # beyond ISO 8859-1 and windows-1252
    "[^\u0000-\u00ff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013\u2014\u2018-\u201a"
    "\u201c-\u201e\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]+"
)
_MAX_LINES = 200
_LOOK_OCTETS = 64 * 1024


class Kind(StrEnum):
    """What is to be done about some text."""

    RIGHT = "right"  # as its label says, or in another language: left alone
    RELABEL = "relabel"  # UTF-8 under another label, or none
    CONVERT = "convert"
    SUSPECT = "suspect"  # perhaps an old set, not certain
    UNDECODABLE = "undecodable"
    OVERLONG = "overlong-utf-8"
    MIXED = "mixed-encodings"


@dataclass(frozen=True, slots=True)
class Text:
    """Octets of one header word or body with its transfer encoding undone, and what is said of them."""

    octets: bytes
    label: str = ""
    is_html: bool = False


@dataclass(frozen=True, slots=True)
class Truth:
    """The decision. `encoding` names what it really is (`tcvn3`, `mojibake:utf-8`, `utf-8` …).

    `warnings` are codes such as `not-nfc`. `is_vietnamese`: it certainly is, in whatever encoding.
    """

    kind: Kind
    encoding: str = ""
    is_vietnamese: bool = False
    warnings: tuple[str, ...] = ()


def find_truth(text: Text, hint: str | None = None, *, bar: float = SURE) -> Truth:
    """The truth of `text`. `hint` is the encoding the letter's other texts are in: little evidence then suffices."""
    wide = _WIDE.match(text.label) is not None
    if wide:
        return _of_wide(text, hint, bar)
    if text.octets.isascii():
        return _of_ascii(text, hint, bar)
    try:
        unicode = text.octets.decode("utf-8")
    except UnicodeDecodeError:
        return _of_octets(text, hint, bar)
    return _of_unicode(text, unicode, hint, bar)


def unicode_text(text: Text, truth: Truth) -> str:
    """`text` in Unicode, NFC, by a decision that `find_truth` took on it (CONVERT or RELABEL)."""
    if text.is_html:
        return markup.corrected(_converted(text, truth))
    return _converted(text, truth)


def base_encoding(encoding: str) -> str:
    """`tcvn3` of `mojibake:tcvn3`: what a short text beside may be in as well."""
    return encoding.rpartition(":")[2]


def _converted(text: Text, truth: Truth) -> str:
    if truth.kind is Kind.RELABEL:
        return text.octets.decode("utf-8")
    if truth.encoding.startswith("mojibake:"):
        name, times = base_encoding(truth.encoding), truth.encoding.count("mojibake:")
        letters = text.octets.decode("utf-8")
        for _ in range(times):
            letters = (
                markup.convert(letters, lambda run: repaired(run, name)) if text.is_html else repaired(letters, name)
            )
        return unicodedata.normalize("NFC", letters)
    if truth.encoding in codec.TABLES:
        return unicodedata.normalize("NFC", codec.decode(truth.encoding, text.octets, is_lenient=True))
    return unicodedata.normalize("NFC", text.octets.decode(codec_of(truth.encoding) or "utf-8", "replace"))


def repaired(letters: str, name: str) -> str:
    """Mojibake of the set `name` undone; runs of letters that no octet could have shown stay as they are."""
    out: list[str] = []
    at = 0
    for gap in _UNMAPPED.finditer(letters):
        out += (_repaired_run(letters[at : gap.start()], name), gap.group())
        at = gap.end()
    out.append(_repaired_run(letters[at:], name))
    return "".join(out)


def _repaired_run(run: str, name: str) -> str:
    octets = codec.sloppy_octets(run)
    if octets is None:
        return run
    if name == "utf-8":
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError:
            return run
    return codec.decode(name, octets, is_lenient=True)


def _of_ascii(text: Text, hint: str | None, bar: float) -> Truth:
    letters = text.octets.decode("ascii")
    if text.is_html and "&" in letters and markup.has_references(letters):
        return _of_unicode(text, letters, hint, bar)
    if "^" in letters and letters.count("^") >= 2 and is_viqr(markup.visible(letters) if text.is_html else letters):
        return Truth(Kind.RIGHT, "viqr", True, ("viqr",))
    return Truth(Kind.RIGHT, "us-ascii")


def _of_wide(text: Text, hint: str | None, bar: float) -> Truth:
    """Labels of sets with several octets a letter: UTF-16, UTF-7, and those of East Asia."""
    name = codec_of(text.label)
    try:
        letters = text.octets.decode(name) if name else None
    except (UnicodeError, LookupError):
        letters = None
    if letters is not None:
        shown = markup.visible(letters) if text.is_html else letters
        if not shown.isascii() and reads_as_vietnamese(shown[:50_000]):
            return Truth(Kind.CONVERT, text.label, True)
        return Truth(Kind.RIGHT, text.label)
    if text.label.startswith(("utf-16", "utf-32", "utf16", "utf32")):
        return Truth(Kind.UNDECODABLE, text.label)
    try:
        return _of_unicode(text, text.octets.decode("utf-8"), hint, bar)
    except UnicodeDecodeError:
        reading = best(_readings(text), bar)
        return _old_set(text, reading) if reading else Truth(Kind.RIGHT, text.label, warnings=("undecodable-foreign",))


def _of_unicode(text: Text, letters: str, hint: str | None, bar: float) -> Truth:
    """Octets that are valid UTF-8: right, unless they are old octets that somebody read as Latin-1."""
    is_labelled = text.label in _UTF8 or text.octets.isascii()
    shown = markup.visible(letters[:200_000]) if text.is_html else letters[:200_000]
    warnings = () if unicodedata.is_normalized("NFC", letters) else ("not-nfc",)
    if UNICODE_VIETNAMESE.search(shown) is not None:
        if _MOJIBAKE_BITS.search(shown) is not None:
            warnings = (*warnings, "mojibake-in-part")
        is_vietnamese = is_labelled or reads_as_vietnamese(shown)
        kind = Kind.RIGHT if is_labelled or not is_vietnamese else Kind.RELABEL
        return Truth(kind, "utf-8", is_vietnamese, warnings)
    found = _of_mojibake(shown, hint, bar)
    if found is not None:
        return replace(found, warnings=warnings)
    if is_labelled or text.octets.isascii():
        return Truth(Kind.RIGHT, "utf-8", warnings=warnings)
    plain = score(unicodedata.normalize("NFC", shown))
    is_vietnamese = plain.total >= (LIKELY if hint else SURE) and plain.words_for > plain.words_against
    return Truth(Kind.RELABEL if is_vietnamese else Kind.RIGHT, "utf-8", is_vietnamese, warnings)


def _of_mojibake(shown: str, hint: str | None, bar: float) -> Truth | None:
    mapped = _UNMAPPED.sub(" ", shown)
    octets = codec.sloppy_octets(mapped)
    if octets is None or octets.isascii():
        return None
    repaired_text, depth = _utf8_mojibake(octets)
    if depth:
        if reads_as_vietnamese(repaired_text) or _is_likely(repaired_text):
            return Truth(Kind.CONVERT, "mojibake:" * depth + "utf-8", True)
        return None
    if reads_rightly(shown):
        return None
    found = readings(sample(octets), mapped if len(octets) < 40_000 else None)
    reading = best(found, bar) or _hinted(found, hint)
    if reading is not None:
        if len(_UNMAPPED.findall(shown)) > 3 + len(shown) // 100:
            return Truth(Kind.SUSPECT, f"mojibake:{reading.encoding}", True)
        return Truth(Kind.CONVERT, f"mojibake:{reading.encoding}", True)
    return _suspect(found, "mojibake:")


def _utf8_mojibake(octets: bytes) -> tuple[str, int]:
    """What valid UTF-8 in the octets says, and how many times it had been misread (at most 3)."""
    text, depth = "", 0
    current: bytes | None = octets
    while current is not None and depth < 3 and not current.isascii():
        try:
            text = current.decode("utf-8")
        except UnicodeDecodeError:
            break
        depth += 1
        current = codec.sloppy_octets(text)
    return text, depth


def _is_likely(text: str) -> bool:
    found = score(unicodedata.normalize("NFC", text))
    return found.total >= LIKELY and found.words_for > 2 * found.words_against


def _shown(text: Text) -> str:
    """What the label's own reading shows; "" where the label says UTF-8, which it is not."""
    if text.label in _UTF8:
        return ""
    literal = _literal(sample(text.octets), text.label)
    return markup.visible(literal, reads_references=False) if text.is_html else literal


def _readings(text: Text) -> list[Reading]:
    octets = sample(text.octets)
    literal = _literal(octets, text.label)
    if text.is_html:
        octets = markup.visible(octets.decode("latin-1"), reads_references=False).encode("latin-1")
        literal = markup.visible(literal, reads_references=False)
    return readings(octets, literal)


def _literal(octets: bytes, label: str) -> str:
    name = codec_of(label) if label not in _SEVEN_BITS and label not in _UTF8 else None
    if name is None or codec.legacy_name(label) is not None:
        return codec.western_text(octets)
    try:
        return octets.decode(name, "replace")
    except (LookupError, UnicodeError, ValueError):
        return codec.western_text(octets)


def _of_octets(text: Text, hint: str | None, bar: float) -> Truth:
    """Octets that are not UTF-8."""
    named = codec.legacy_name(text.label)
    found = _readings(text)
    if named is not None and named != "viqr":
        truth = _as_named(text, named, found)
        if truth is not None:
            return truth
    if text.is_html and hint is None:
        hint = markup.font_encoding(text.octets[:100_000].decode("latin-1"))
    if hint is None and reads_rightly(_shown(text)):
        return Truth(Kind.RIGHT, text.label)
    reading = best(found, bar) or _hinted(found, hint)
    if reading is not None:
        return _old_set(text, reading)
    return _unknown(text, found)


def _as_named(text: Text, named: str, found: list[Reading]) -> Truth | None:
    """The label of an old set believed, when its reading is Vietnamese and no other reads much better."""
    octets = sample(text.octets)
    letters = codec.decode(named, octets, is_lenient=True)
    own = score(markup.visible(letters, reads_references=False) if text.is_html else letters)
    others = [reading for reading in found if reading.encoding != named]
    beaten = others and others[0].passes() and others[0].score.total > own.total + SURE
    if beaten or own.words_for == 0 or own.total <= 0 or own.words_for < own.words_against:
        return None
    return _old_set(text, Reading(named, own))


def _hinted(found: list[Reading], hint: str | None) -> Reading | None:
    """The reading by the letter's own encoding, if anything speaks for it and nothing against."""
    for reading in found:
        if hint is not None and _are_twins(reading.encoding, hint):
            own = reading.score
            return reading if own.words_for > 2 * own.words_against and own.evidence > 0 and own.total > -1 else None
    return None


def _old_set(text: Text, reading: Reading) -> Truth:
    """An old set it is; refused when part of the text is in something else, or has codes that the set lacks."""
    if _is_mixed(text, reading.encoding):
        return Truth(Kind.MIXED, reading.encoding, True)
    try:
        codec.decode(reading.encoding, text.octets)
    except codec.Undecodable:
        return Truth(Kind.UNDECODABLE, reading.encoding, True)
    return Truth(Kind.CONVERT, reading.encoding, True)


def _is_mixed(text: Text, name: str) -> bool:
    """Whether lines that read badly in the set `name` read well as UTF-8 or in another set."""
    if _UTF8_LETTER.search(text.octets) is not None:
        return True
    odd = [line for line in _high_lines(text.octets) if _reads_better_elsewhere(line, name)]
    if not odd:
        return False
    reading = best(readings(b"\n".join(odd)))
    return reading is not None and not _are_twins(reading.encoding, name)


def _reads_better_elsewhere(line: bytes, name: str) -> bool:
    own = score(codec.decode(name, line, is_lenient=True))
    if own.words_against + own.odd_count == 0:
        return False
    return any(reading.score.total > own.total + LIKELY and reading.encoding != name for reading in readings(line, ""))


def _are_twins(one: str, other: str) -> bool:
    return one == other or {one, other} == {"tcvn3", "tcvn5712-vn1"}


def _high_lines(octets: bytes) -> list[bytes]:
    return [line for line in sample(octets).split(b"\n") if not line.isascii()][:_MAX_LINES]


def _unknown(text: Text, found: list[Reading]) -> Truth:
    """No set for the whole: several for its lines, broken UTF-8, another language, or nothing sure."""
    octets = text.octets
    most = max(found, key=lambda reading: reading.score.words_for).score
    looks_closer = most.words_for >= 4 and most.words_for * 6 >= most.words_against
    lines = _high_lines(octets) if looks_closer else []
    by_lines = {reading.encoding for line in lines if (reading := best(readings(line))) is not None}
    if len(by_lines - {"tcvn5712-vn1"}) > 1 or (by_lines and _UTF8_LETTER.search(octets) is not None):
        return Truth(Kind.MIXED, "", True)
    if text.label in _UTF8 or text.label in _SEVEN_BITS:
        if _OVERLONG.search(octets) is not None and _is_utf8(_OVERLONG.sub(b" ", octets)):
            return Truth(Kind.OVERLONG)
        if _is_broken_utf8(octets) or (text.label in _UTF8 and not _is_western(octets)):
            return Truth(Kind.UNDECODABLE, text.label)
    if by_lines:
        return Truth(Kind.SUSPECT, by_lines.pop(), True)
    warnings = ("unlabelled-8bit",) if text.label in _UTF8 or text.label in _SEVEN_BITS else ()
    return _suspect(found, "") or Truth(Kind.RIGHT, text.label, warnings=warnings)


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_broken_utf8(octets: bytes) -> bool:
    """Whether two words or more are Vietnamese in UTF-8: then the rest is damage, not another language."""
    words = [word for word in octets[:_LOOK_OCTETS].split() if _UTF8_SEQUENCE.search(word) and _is_utf8(word)]
    found = score(unicodedata.normalize("NFC", b" ".join(words).decode("utf-8")))
    return found.words_for >= 2 and found.words_for > found.words_against


def _suspect(found: list[Reading], before: str) -> Truth | None:
    """Something speaks for an old set, yet not enough: to be weighed with the rest of the letter."""
    if found and found[0].passes(SUSPECT):
        return Truth(Kind.SUSPECT, before + found[0].encoding)
    return None


def _is_western(octets: bytes) -> bool:
    """Whether the octets beyond ASCII are letters in words of ASCII, as in French or German."""
    words = [word for word in _HIGH_WORD.findall(octets.translate(_WESTERN_SIGNS)) if not word.isascii()]
    return sum(_NOT_WESTERN.search(word) is not None for word in words) * 20 <= len(words)
