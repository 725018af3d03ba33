"""Content-Type and Content-Disposition as clients read them: every reading (RFC 2045 §5.1, RFC 2231).

A sender who hides a name counts on two readers taking it differently (CVE-2024-39929), so nothing is decided here:
`readings()` names all that a client could make of a parameter, and the worst one counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from bdmta.message.limits import Limits
from bdmta.message.words import decode, decode_words, raw_text

_MAX_READINGS = 64  # of one parameter
_KEPT_OCTETS = 100  # of a plain field whose reading is kept

_GAP = re.compile(rb"[;\s\0]*+")
_NAME = re.compile(rb"([^\s;=()\"\0]++)[\s\0]*+=[\s\0]*+")
_FIRST = re.compile(rb"[^\s;()=\"\0]++")
_JUNK = re.compile(rb"[^\s;(\0]++|.", re.DOTALL)
_QUOTED = re.compile(rb'"((?:[^"\\]++|\\.|\\\Z)*+)"?', re.DOTALL)
_REST = re.compile(rb"[^;]*+")
_TOKEN = re.compile(rb"[^\s;]*+")
_PARENTHESES = re.compile(rb"[()\\]")
_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_COMMENT = re.compile(rb"\([^()]*\)")
_FOLD = re.compile(rb"(?:\r\n|\r|\n)[ \t]?")
_FOLD_WITH_BLANKS = re.compile(rb"(?:\r\n|\r|\n)[ \t]*+")
_PLAIN = re.compile(
    rb"[ \t]*+([A-Za-z0-9.+_-]++(?:/[A-Za-z0-9.+_-]++)?)[ \t]*+(?:;[ \t]*+(charset)=\"?([A-Za-z0-9_-]++)\"?[ \t]*+)?"
)
_SECTION = re.compile(r"([^*]++)(?:\*(\d{1,6}))?(\*?).*", re.DOTALL)
_EXTENDED = re.compile(rb"([A-Za-z0-9_.:+-]{0,60})'[^']{0,60}'")


class RawParameter(NamedTuple):
    """One `name=value` as it stood: `values` are the octets each kind of reader takes, the likeliest first."""

    name: str
    values: tuple[bytes, ...]


class Field(NamedTuple):
    """A structured field: its first token in lower case ("" where there is none), its parameters, its defects."""

    token: str
    parameters: tuple[RawParameter, ...]
    defects: tuple[str, ...]


def read_field(value: bytes, limits: Limits) -> Field:
    """Take a field's value apart; linear, never raises.

    Defects: `parameters` (over the bound), `parameter-junk` (something that is no parameter), `open-quote`.
    """
    if len(value) <= _KEPT_OCTETS:
        plain = _plain_field(value)
        if plain is not None:
            return plain
    at = _skip(value, 0)
    token = b""
    if _NAME.match(value, at) is None and (found := _FIRST.match(value, at)) is not None:
        token = found[0]
        at = found.end()
    parameters, defects = _parameters(value, at, limits)
    return Field(token.decode("latin-1").lower(), tuple(parameters), tuple(defects))


@lru_cache(maxsize=256)
def _plain_field(value: bytes) -> Field | None:
    """The usual form, a token and perhaps a charset; None for any other."""
    plain = _PLAIN.fullmatch(value)
    if plain is None:
        return None
    given = (RawParameter("charset", (plain[3],)),) if plain[2] else ()
    return Field(plain[1].decode("ascii").lower(), given, ())


def _parameters(value: bytes, at: int, limits: Limits) -> tuple[list[RawParameter], list[str]]:
    found: list[RawParameter] = []
    defects: list[str] = []
    junk_count = 0
    whole_until = 0  # how far whole values were taken already: a reading to the next `;` is made once for each octet
    while (at := _skip(value, at)) < len(value):
        name = _NAME.match(value, at)
        if name is None:
            junk = _JUNK.match(value, at)
            at = junk.end() if junk is not None else at + 1
            junk_count += 1
            if junk_count == 1:
                defects.append("parameter-junk")
        if len(found) >= limits.parameters or junk_count > limits.parameters:
            defects.append("parameters")
            break
        if name is None:
            continue
        values, after, is_open = _values(value, name.end(), whole_until)
        whole_until = max(whole_until, after[1])
        if is_open:
            defects.append("open-quote")
        found.append(RawParameter(name[1].decode("latin-1").lower(), values))
        at = after[0]
    return found, defects


def _skip(value: bytes, at: int) -> int:
    """Past separators, blanks and comments. An open comment reaches to the end."""
    while True:
        gap = _GAP.match(value, at)
        at = gap.end() if gap is not None else at
        if value[at : at + 1] != b"(":
            return at
        at = _comment_end(value, at)


def _comment_end(value: bytes, at: int) -> int:
    depth = 0
    while (match := _PARENTHESES.search(value, at)) is not None:
        at = match.end()
        if match[0] == b"\\":
            at += 1
        else:
            depth += 1 if match[0] == b"(" else -1
            if depth <= 0:
                return at
    return len(value)


def _values(value: bytes, at: int, whole_until: int) -> tuple[tuple[bytes, ...], tuple[int, int], bool]:
    """What readers take for the value at `at`; where to go on and where the text to the next `;` ends; open quote."""
    readings: list[bytes] = []
    quoted = _QUOTED.match(value, at)
    is_open = False
    if quoted is not None:
        inner = quoted[1]
        is_open = not (quoted.end() - quoted.start() >= 2 and quoted.end() - quoted.end(1) == 1)
        readings.append(_PAIR.sub(rb"\1", inner) if b"\\" in inner else inner)
        readings.append(inner)
        after = quoted.end()
        rest = _REST.match(value, after)
        until = rest.end() if rest is not None else after
        tail = value[after:until].strip() if after >= whole_until else b""
        if tail:
            readings.append(readings[0] + tail)
    else:
        token = _TOKEN.match(value, at)
        after = token.end() if token is not None else at
        rest = _REST.match(value, at)
        until = rest.end() if rest is not None else after
        if at >= whole_until:
            readings.append(value[at:until].strip())
        readings.append(value[at:after])
    for reading in tuple(readings):
        if b"(" in reading:
            readings.append(_COMMENT.sub(b"", reading).strip())
        if len(reading) > 2 and reading[:1] == reading[-1:] == b"'":
            readings.append(reading[1:-1])
    return _distinct(readings), (after, until), is_open


def _distinct(values: Iterable[bytes]) -> tuple[bytes, ...]:
    out: dict[bytes, None] = {}
    for value in values:
        if b"\n" in value or b"\r" in value:
            out.setdefault(_FOLD.sub(lambda fold: fold[0].strip(b"\r\n"), value))
            out.setdefault(_FOLD_WITH_BLANKS.sub(b"", value))
        else:
            out.setdefault(value)
    return tuple(out)


def readings(parameters: Iterable[RawParameter], base: str) -> tuple[str, ...]:
    """Every text that a client could read as the parameter `base`, the likeliest first; never raises.

    `base*` and `base*0*` (RFC 2231), the plain form with RFC 2047 words decoded and not, with its backslashes and
    without, to the next `;` and to the next blank. Control and direction characters are kept.
    """
    plain: list[str] = []
    extended: list[str] = []
    sections: list[tuple[int, bool, bytes]] = []
    for name, values in parameters:
        if not name.startswith(base):
            continue
        match = _SECTION.match(name)
        if match is None or match[1] != base:
            continue
        if match[2] is not None and values:
            sections.append((int(match[2]), bool(match[3]), values[0]))
        elif match[3]:
            for value in values:
                extended += _extended(value)
        else:
            for value in values:
                plain += _plain(value)
    out = dict.fromkeys([*extended, *_joined(sections), *plain])
    return tuple(out)[:_MAX_READINGS]


def _plain(value: bytes) -> list[str]:
    text = raw_text(value)
    out = []
    if b"=?" in value:
        out += [decode_words(text), decode_words(text, also_cut=True)]
    if b"'" in value and b"%" in value:
        out += _extended(value)
    out.append(text)
    return out


def _extended(value: bytes) -> list[str]:
    """`charset'language'percent-encoded`; with the charset missing, the octets as they are."""
    match = _EXTENDED.match(value)
    charset = match[1].decode("ascii") if match is not None else ""
    octets = unquote_to_bytes(value[match.end() :] if match is not None else value)
    text = decode(octets, charset) if charset else raw_text(octets)
    out = [text]
    if "=?" in text:
        out.append(decode_words(text, also_cut=True))
    return out


def _joined(sections: list[tuple[int, bool, bytes]]) -> list[str]:
    if not sections:
        return []
    ordered = sorted(sections, key=lambda section: section[0])
    unbroken: list[tuple[int, bool, bytes]] = []
    for number, is_extended, value in ordered:
        if number == len(unbroken):  # a second *0 or a gap: some stop there
            unbroken.append((number, is_extended, value))
    out: list[str] = []
    for run in (unbroken, ordered, sections):
        if run:
            out += _run(run)
    return out


def _run(run: list[tuple[int, bool, bytes]]) -> list[str]:
    octets = bytearray()
    charset = ""
    for position, (_, is_extended, value) in enumerate(run):
        piece = value
        if position == 0 and (match := _EXTENDED.match(value)) is not None and (is_extended or b"%" in value):
            charset = match[1].decode("ascii")
            piece = value[match.end() :]
        octets += unquote_to_bytes(piece) if is_extended else piece
    joined = bytes(octets)
    text = decode(joined, charset) if charset else raw_text(joined)
    out = [text]
    if "=?" in text:
        out.append(decode_words(text, also_cut=True))
    if "%" in text:
        out.append(raw_text(unquote_to_bytes(joined)))
    return out
