"""A letter's own texts as people read them, whatever they are encoded in: for policies that look at words.

One text a line as it is shown: HTML blocks end lines, inline tags do not. Short texts in an old set, which nobody can
be sure about, are given in every reading.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator

from bdmta.charset import codec, fields
from bdmta.charset.detect import CANDIDATES
from bdmta.charset.markup import seen
from bdmta.charset.truth import Kind, Text, Truth, find_truth, unicode_text
from bdmta.message import Message, Part
from bdmta.message.words import codec_of

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]{0,15})?[^<>]*>")
_BLOCKS = frozenset(
    {"p", "div", "br", "hr", "tr", "td", "th", "li", "ul", "ol", "table", "center", "title", "pre", "blockquote"}
    | {"h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "header", "footer", "option", "dt", "dd"}
)
_BLANKS = re.compile(r"[\s\u00a0\u2000-\u200a\u202f\u3000]+")
_WIDE_GAP = re.compile(r"[ \u00a0]*\t[ \t\u00a0]*|[ \u00a0\u3000]{4,}")
_NO_WIDTH = dict.fromkeys([0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF])
_CONTROL_LETTER = re.compile(rb"[\x01-\x06\x10-\x17\x19\x1c-\x1e]")  # capitals in VISCII, VPS and VN1
_PLAIN = frozenset({"", "us-ascii", "utf-8", "iso-8859-1", "windows-1252"})
_SHORT_LINE_OCTETS = 120
_MAX_SHORT_LINES = 200
_READ_OCTETS = 2 * 1024 * 1024


def texts_of(message: Message) -> Iterator[tuple[str, str]]:
    """`("subject" | "body", text)` of the letter and of those forwarded in it, NFC, without zero-width signs."""
    for part in message.walk():
        if part is message.root or (part.depth and part.first("subject") is not None):
            for text in _subjects(part):
                yield "subject", text
        if part.media_type in ("text/plain", "text/html") and part.disposition != "attachment" and not part.names:
            octets = part.decoded(_READ_OCTETS)
            for text in readings_of(octets, part.charset, is_html=part.media_type == "text/html"):
                yield "body", text


def readings_of(octets: bytes, label: str = "", *, is_html: bool = False) -> Iterator[str]:
    """What a person may read in `octets`: the likeliest text whole; of short unsure lines, every reading."""
    if not is_html and label in _PLAIN and b"^" not in octets and _is_plain(octets):
        yield octets.decode("ascii").replace("\r\n", "\n")
        return
    text = Text(octets, label, is_html)
    truth = find_truth(text)
    whole = _whole(text, truth)
    yield clean(lines_of(whole) if is_html else whole)
    if truth.kind in (Kind.CONVERT, Kind.RELABEL) or (_is_plain(octets) and b"^" not in octets):
        return
    if not octets.isascii() and truth.is_vietnamese and truth.kind is Kind.RIGHT:
        return
    short = _short_lines(octets, whole)
    if short:
        for name in CANDIDATES:
            yield clean(codec.decode(name, short, is_lenient=True))
    if b"^" in octets:
        yield clean(codec.decode("viqr", octets[:_READ_OCTETS], is_lenient=True))


def _is_plain(octets: bytes) -> bool:
    return octets.isascii() and _CONTROL_LETTER.search(octets) is None


def clean(text: str) -> str:
    """NFC; line ends as LF, tabs and wide gaps (columns) as one tab, other blanks as one; nothing without width."""
    if any(chr(sign) in text for sign in _NO_WIDTH):
        text = text.translate(_NO_WIDTH)
    text = unicodedata.normalize("NFC", text)
    return "\n".join(_cells(line) for line in text.splitlines())


def _cells(line: str) -> str:
    line = line.strip()
    if "  " not in line and line.isprintable():  # no blank but single spaces
        return line
    if "\t" not in line and "    " not in line and "\u00a0" not in line and "\u3000" not in line:
        return _BLANKS.sub(" ", line)
    return "\t".join(_BLANKS.sub(" ", cell).strip() for cell in _WIDE_GAP.split(line))


def lines_of(markup: str) -> str:
    """The text of HTML: what ends a line on the screen ends one here, other tags vanish."""

    def replacement(match: re.Match[str]) -> str:
        return "\n" if (match.group(2) or "").lower() in _BLOCKS else ""

    flat = _BLANKS.sub(" ", seen(markup))
    return html.unescape(_TAG.sub(replacement, flat))


def _whole(text: Text, truth: Truth) -> str:
    if truth.kind in (Kind.CONVERT, Kind.RELABEL):
        return unicode_text(text, truth)
    try:
        return text.octets.decode("utf-8")
    except UnicodeDecodeError:
        name = codec_of(text.label)
        if name is not None and name not in ("utf_8", "utf8", "ascii", "us_ascii"):
            try:
                return text.octets.decode(name, "replace")
            except (LookupError, UnicodeError, ValueError):
                pass
    return codec.western_text(text.octets)


def _short_lines(octets: bytes, whole: str) -> bytes:
    """Lines short enough for a stamp that are not ASCII, as the octets somebody may have typed."""
    if len(octets) != len(whole):  # UTF-8: octets once misread as Latin-1
        lines = [codec.sloppy_octets(line) for line in whole.split("\n") if not line.isascii()]
    else:
        lines = [line for line in octets.split(b"\n") if not line.isascii() or _CONTROL_LETTER.search(line)]
    short = [line for line in lines if line is not None and len(line) <= _SHORT_LINE_OCTETS]
    return b"\n".join(short[:_MAX_SHORT_LINES])


def _subjects(part: Part) -> Iterator[str]:
    for header in part.all("subject"):
        yield clean(header.text).replace("\n", " ")
        for piece in fields.pieces("subject", header.value):
            for text in readings_of(piece.octets, piece.label):
                yield text.replace("\n", " ")
