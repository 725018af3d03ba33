"""Read and write the old Vietnamese character sets, each from its table in `tables/`.

`decode` gives Unicode in NFC; `encode` is for tests and for telling a table from another. Nothing here guesses: that
is `detect`. TCVN 6909:2001 (Điều 13) is Unicode, so UTF-8 is what all of these are turned into.
"""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

#: The single names of the tables; `VIQR` is only ever marked, never converted.
TABLES = ("tcvn3", "vni-windows", "viscii", "vps", "windows-1258", "tcvn5712-vn1", "viqr")

_ALIASES = {
    "viscii": "viscii", "csviscii": "viscii", "viscii1.1-1": "viscii", "x-viet-viscii": "viscii",
    "vps": "vps", "x-viet-vps": "vps", "x-vps": "vps",
    "tcvn": "tcvn5712-vn1", "tcvn5712": "tcvn5712-vn1", "tcvn-5712": "tcvn5712-vn1", "tcvn5712-1": "tcvn5712-vn1",
    "x-viet-tcvn": "tcvn5712-vn1", "x-viet-tcvn5712": "tcvn5712-vn1", "tcvn5712-vn1": "tcvn5712-vn1",
    "tcvn5712-1:1993": "tcvn5712-vn1",
    "tcvn3": "tcvn3", "abc": "tcvn3", "tcvn3-abc": "tcvn3", "x-tcvn3": "tcvn3", "tcvn5712-vn3": "tcvn3",
    "vni": "vni-windows", "vni-windows": "vni-windows", "x-viet-vni": "vni-windows", "x-vni": "vni-windows",
    "vni-win": "vni-windows",
    "windows-1258": "windows-1258", "cp1258": "windows-1258", "x-cp1258": "windows-1258", "1258": "windows-1258",
    "viqr": "viqr", "csviqr": "viqr",
}  # fmt: skip


class Undecodable(ValueError):
    """These octets are no text in that character set."""


@dataclass(frozen=True, slots=True)
class Table:
    """One character set: octets to letter and back, as the samples' tables state them."""

    name: str
    decode: Mapping[bytes, str]
    encode: Mapping[str, bytes]


def legacy_name(label: str) -> str | None:
    """Our name for a MIME label of an old Vietnamese set, or None when it is the label of something else."""
    return _ALIASES.get(label.strip().lower().replace("_", "-"))


@cache
def table(name: str) -> Table:
    """The table `name`, one of TABLES."""
    text = resources.files("bdmta.charset").joinpath("tables", f"{name}.json").read_text("utf-8")
    facts = json.loads(text)
    return Table(
        name,
        {bytes.fromhex(octets): letter for octets, letter in facts["decode"].items()},
        {letter: bytes.fromhex(octets) for letter, octets in facts["encode"].items()},
    )


def decode(name: str, octets: bytes, *, is_lenient: bool = False) -> str:
    """`octets` read by the table `name`, in NFC.

    A code that the set does not have raises Undecodable, or is U+FFFD when `is_lenient`.
    """
    text = _decoder(name)(octets)
    if "\ufffd" in text and not is_lenient:
        raise Undecodable(f"not {name}")
    return text


def encode(name: str, text: str) -> bytes:
    """`text` (any normal form) written in the set `name`. Raises Undecodable at a letter without a code.

    TCVN3 has no capitals with a tone: they come out in lower case, as every keyboard driver writes them.
    """
    codes = _encoder(name)
    out = bytearray()
    for letter in unicodedata.normalize("NFC", text):
        code = codes.get(letter)
        if code is None:
            raise Undecodable(f"U+{ord(letter):04X} has no code in {name}")
        out += code
    return bytes(out)


def sloppy_octets(text: str) -> bytes | None:
    """The octets that somebody once read as windows-1252 or ISO 8859-1 to get `text`; None if no octet gives a letter.

    Both readings at once: the C1 controls and the signs that windows-1252 has in their places stand for the same code.
    """
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        try:
            return text.translate(_C1_OF_SIGN).encode("latin-1")
        except UnicodeEncodeError:
            return None


def western_text(octets: bytes) -> str:
    """`octets` as a browser reads ISO 8859-1: windows-1252, its five holes being controls. Never fails."""
    return octets.decode("latin-1").translate(_SIGN_OF_C1)


_SIGNS = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}
_SIGN_OF_C1 = {code: sign for code, sign in _SIGNS.items() if sign}
_C1_OF_SIGN = {ord(sign): chr(code) for code, sign in _SIGN_OF_C1.items()}


@cache
def _decoder(name: str) -> Callable[[bytes], str]:
    if name == "windows-1258":
        return _decode_1258
    if name == "vni-windows":
        return _decode_vni
    if name == "viqr":
        return _decode_viqr
    charmap = _charmap(name)
    if name == "tcvn3":
        return lambda octets: _join_capitals(_by_map(octets, charmap))
    if name == "tcvn5712-vn1":
        return lambda octets: unicodedata.normalize("NFC", _by_map(octets, charmap))
    return lambda octets: _by_map(octets, charmap)


def _charmap(name: str) -> str:
    """256 letters for `codecs.charmap_decode`; U+FFFE where the set has no code."""
    facts = table(name).decode
    return "".join(facts.get(bytes([code])) or _beside_table(name, code) for code in range(256))


def _beside_table(name: str, code: int) -> str:
    """What a code outside the table shows: ASCII, or in the fonts of TCVN3 and VNI the signs of windows-1252."""
    if code < 0x80:
        return chr(code)
    if name in ("tcvn3", "vni-windows") and code < 0xC0:
        return _SIGN_OF_C1.get(code) or ("\ufffe" if code < 0xA0 else chr(code))
    return "\ufffe"


def _by_map(octets: bytes, charmap: str) -> str:
    return codecs.charmap_decode(octets, "replace", charmap)[0]


def _decode_1258(octets: bytes) -> str:
    return unicodedata.normalize("NFC", octets.decode("cp1258", "replace"))


@cache
def _vni_pairs() -> tuple[re.Pattern[str], dict[str, str]]:
    """Longest match first; a mark of the other case is taken too, as converters write it (`Aù`)."""
    pairs = {octets.decode("latin-1"): letter for octets, letter in table("vni-windows").decode.items()}
    for pair, letter in list(pairs.items()):
        if len(pair) == 2:
            pairs.setdefault(pair[0] + pair[1].swapcase(), letter)
    bases = "".join(sorted({pair[0] for pair in pairs if len(pair) == 2}))
    marks = "".join(sorted({pair[1] for pair in pairs if len(pair) == 2}))
    singles = "".join(pair for pair in pairs if len(pair) == 1)
    return re.compile(f"[{bases}][{marks}]|[{singles}]"), pairs


def _decode_vni(octets: bytes) -> str:
    pattern, pairs = _vni_pairs()

    def letter(match: re.Match[str]) -> str:
        found = match.group()
        known = pairs.get(found)
        if known is not None:
            return known
        return "".join(pairs.get(each, each) for each in found)  # two codes that are no pair

    text = pattern.sub(letter, octets.decode("latin-1"))
    return text.translate(_SIGN_OF_C1)


_CAPITAL_TWICE = re.compile("([AEIOUYÂĂÊÔƠƯ])([àảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵâăêôơư])")


def _join_capitals(text: str) -> str:
    """One converter writes Á of TCVN3 as `A` and the code of á: join them if the letters are the same."""

    def join(match: re.Match[str]) -> str:
        capital, small = match.groups()
        parts = unicodedata.normalize("NFD", small)
        bases = {parts[0], unicodedata.normalize("NFC", parts[:-1])}
        return small.upper() if capital.lower() in bases else match.group()

    return _CAPITAL_TWICE.sub(join, text)


@cache
def _viqr_pattern() -> tuple[re.Pattern[str], dict[str, str]]:
    codes = {octets.decode("ascii"): letter for octets, letter in table("viqr").decode.items()}
    longest_first = sorted(codes, key=len, reverse=True)
    return re.compile("|".join([r"\\(.)", *map(re.escape, longest_first)])), codes


def _decode_viqr(octets: bytes) -> str:
    """RFC 1456 §4; only to be shown or measured, since `?` and `.` also end sentences."""
    pattern, codes = _viqr_pattern()
    text = octets.decode("ascii", "replace")  # it has seven bits
    return pattern.sub(lambda match: match.group(1) or codes[match.group()], text)


@cache
def _encoder(name: str) -> dict[str, bytes]:
    codes = {chr(code): bytes([code]) for code in range(0x80)}
    facts = table(name)
    if name in ("tcvn3", "vni-windows"):
        codes |= {sign: bytes([code]) for code, sign in _SIGN_OF_C1.items()}
        codes |= {chr(code): bytes([code]) for code in range(0xA0, 0xC0) if bytes([code]) not in facts.decode}
    codes |= {letter: octets for octets, letter in facts.decode.items()}
    return codes | dict(facts.encode)
