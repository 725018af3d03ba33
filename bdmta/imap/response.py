"""Answers as octets: strings, flags, dates, folder names. Pure; what is asked often is kept."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from bdmta.imap.syntax import BadSyntax, as_text
from storage.box_types import ANSWERED, DELETED, DRAFT, FLAGGED, KEYWORD_COUNT, KEYWORD_SHIFT, RECENT, SEEN
from storage.errors import Invalid
from storage.mutf7 import mutf7_decode, mutf7_encode

SYSTEM_FLAGS = {
    b"\\Answered": ANSWERED, b"\\Flagged": FLAGGED, b"\\Deleted": DELETED, b"\\Seen": SEEN, b"\\Draft": DRAFT,
    b"\\Recent": RECENT,
}  # fmt: skip
_BY_FOLDED = {name.lower(): bit for name, bit in SYSTEM_FLAGS.items()}
_PLAIN = re.compile(rb'[^"\\\x00-\x1f\x7f-\xff]{0,1000}')
_PLAIN_UTF8 = re.compile(rb'[^"\\\x00-\x1f\x7f]{0,1000}')
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")


def string(octets: bytes, *, utf8: bool = False) -> bytes:
    """A quoted string where that can hold it, else a literal."""
    if (_PLAIN_UTF8 if utf8 else _PLAIN).fullmatch(octets):
        return b'"' + octets + b'"'
    return literal(octets)


def nstring(octets: bytes | None) -> bytes:
    """A string, NIL for None."""
    return b"NIL" if octets is None else string(octets)


def literal(octets: bytes) -> bytes:
    """A literal; for what may be large and must not be looked through."""
    return b"{%d}\r\n%b" % (len(octets), octets)


# -- folder names (RFC 3501 §5.1.3, RFC 6855 §3)


def folder_octets(name: str, *, utf8: bool = False) -> bytes:
    """A folder's name as the peer is told: mUTF-7, or UTF-8 once that is enabled; quoted."""
    encoded = name.encode("utf-8") if utf8 else mutf7_encode(name).encode("ascii")
    return string(encoded, utf8=utf8) if b'"' not in encoded and b"\\" not in encoded else _escaped(encoded)


def _escaped(octets: bytes) -> bytes:
    return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def folder_name(octets: bytes, *, utf8: bool = False) -> str:
    """A folder's name as the peer wrote it: NFC, INBOX in capitals. What is no mUTF-7 is taken as it stands.

    Raises BadSyntax.
    """
    text = as_text(octets)
    if not utf8 and octets.isascii() and "&" in text:
        try:
            text = mutf7_decode(text)
        except Invalid:
            pass  # "R&D" from a client that does not encode: shown as "R&-D" from then on
    text = unicodedata.normalize("NFC", text)
    if any(c < " " or c == "\x7f" for c in text):
        raise BadSyntax("control character in a folder's name")
    head, slash, rest = text.partition("/")
    return "INBOX" + slash + rest if head.upper() == "INBOX" else text


# -- flags


def split_flags(names: Iterable[bytes]) -> tuple[int, list[str]]:
    r"""System flags' bits and the keywords' names. BadSyntax: an unknown `\Flag`, or \Recent, which nobody may set."""
    bits, keywords = 0, []
    for name in names:
        if not name.startswith(b"\\"):
            keywords.append(name.decode("ascii", "replace"))
            continue
        bit = _BY_FOLDED.get(name.lower())
        if bit is None or bit == RECENT:
            raise BadSyntax("unknown flag")
        bits |= bit
    return bits, keywords


@lru_cache(maxsize=4096)
def flag_list(mask: int, keywords: tuple[str, ...]) -> bytes:
    """The flags of `mask`, without parentheses."""
    names = [name for name, bit in SYSTEM_FLAGS.items() if mask & bit]
    if mask >> KEYWORD_SHIFT:
        names += [word.encode() for place, word in enumerate(keywords) if word and mask >> (KEYWORD_SHIFT + place) & 1]
    return b" ".join(names)


def folder_flags(keywords: tuple[str, ...], *, read_only: bool) -> bytes:
    r"""The FLAGS and PERMANENTFLAGS answers; `\*` while there is room for another keyword."""
    known = [
        *(name for name, bit in SYSTEM_FLAGS.items() if bit != RECENT),
        *(word.encode() for word in keywords if word),
    ]
    permanent = [] if read_only else [*known, *([b"\\*"] if sum(map(bool, keywords)) < KEYWORD_COUNT else [])]
    return b"* FLAGS (%b)\r\n* OK [PERMANENTFLAGS (%b)] Flags\r\n" % (b" ".join(known), b" ".join(permanent))


# -- times


def date_time(at_s: int, offset_s: int) -> bytes:
    """INTERNALDATE's form, quoted, in the zone `offset_s` east of Greenwich."""
    t = time.gmtime(at_s + offset_s)
    sign, minutes = (b"-", -offset_s // 60) if offset_s < 0 else (b"+", offset_s // 60)
    return b'"%2d-%b-%04d %02d:%02d:%02d %b%02d%02d"' % (
        t.tm_mday, _MONTHS[t.tm_mon - 1], t.tm_year, t.tm_hour, t.tm_min, t.tm_sec, sign, minutes // 60, minutes % 60,
    )  # fmt: skip


_DATE_TIME = re.compile(rb"( \d|\d\d)-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")


def parse_date_time(octets: bytes) -> int:
    """Seconds since 1970 of APPEND's date-time, or BadSyntax."""
    import calendar

    match = _DATE_TIME.fullmatch(octets)
    month = match[2].title() if match else b""
    if match is None or month not in _MONTHS:
        raise BadSyntax("date-time malformed")
    day, hour, minute, second = int(match[1]), int(match[4]), int(match[5]), int(match[6])
    if not 1 <= day <= 31 or hour > 23 or minute > 59 or second > 60 or int(match[3]) < 1900:
        raise BadSyntax("date-time malformed")
    offset_s = (int(match[8]) * 60 + int(match[9])) * 60 * (-1 if match[7] == b"-" else 1)
    return calendar.timegm((int(match[3]), _MONTHS.index(month) + 1, day, hour, minute, second, 0, 0, 0)) - offset_s
