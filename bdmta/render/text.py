"""Text for SEARCH, SORT and THREAD: decoded, folded by i;unicode-casemap (RFC 5051), on request without Vietnamese
diacritics.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

from bdmta.message import transfer
from bdmta.message.addresses import mailboxes
from bdmta.message.headers import Header
from bdmta.message.octets import cut
from bdmta.message.part import Part
from bdmta.message.scan import Message
from bdmta.message.words import decode, header_text, raw_text
from bdmta.render.envelope import KEPT_OCTETS

Fold = Callable[[str], str]
TEXT_OCTETS_MAX = 1 << 20  # decoded text of a letter that SEARCH BODY looks at
SUBJECT_CHARACTERS_MAX = 4096
_FIELD_CHARACTERS_MAX = 16_384
_NOT_ASCII_BASED = (
    b"utf-7",
    b"utf7",
    b"utf-16",
    b"utf-32",
    b"utf16",
    b"utf32",
    b"iso-2022",
    b"iso2022",
    b"hz",
    b"cp037",
    b"cp500",
    b"cp1026",
    b"cp1140",
    b"ebcdic",
)
_ENTITIES = re.compile(rb"&(?:#|[A-Za-z]{1,2}(?:grave|acute|circ|tilde|uml|horn|breve);)")
_BROKEN_ADDRESS = re.compile(rb"\s@|@\s|[\w-]\s*\.\s+[\w-]+\s*@")
_MAILBOXES_MAX = 200
_STRIP = {ord("đ"): "d", ord("ð"): "d"}


def fold(text: str) -> str:
    """Return the text for comparison: compatibility forms and case folded, composed (i;unicode-casemap finds the
    same).
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return folded if unicodedata.is_normalized("NFC", folded) else unicodedata.normalize("NFC", folded)


def fold_without_marks(text: str) -> str:
    """The same without diacritics, and đ as d: `cong van` finds `Công văn`."""
    if text.isascii():
        return text.lower()
    parted = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in parted if not unicodedata.combining(c)).casefold().translate(_STRIP)


def field_text(headers: Sequence[Header], name: str, folded: Fold) -> str:
    """Return the decoded and folded value of an address field; several of one name are joined.

    Addresses that comments or blanks break apart stand behind it as they are: SEARCH looks for those (RFC 3501
    §6.4.4, the envelope's FROM field).
    """
    found = [header.value for header in headers if header.name == name]
    if not found:
        return ""
    value = found[0] if len(found) == 1 else b", ".join(found)
    return _short_text(value, folded) if len(value) <= KEPT_OCTETS else _text(value[:_FIELD_CHARACTERS_MAX], folded)


def _text(value: bytes, folded: Fold) -> str:
    text = folded(header_text(value).strip())
    if b"(" in value or _BROKEN_ADDRESS.search(value) is not None:
        whole = [folded(mailbox.address) for mailbox in mailboxes(value, _MAILBOXES_MAX)]
        text = ", ".join([text, *(address for address in whole if address not in text)])
    return text


_short_text = lru_cache(maxsize=1024)(_text)


def header_for_search(message: Message, folded: Fold) -> str | None:
    """Return the folded header for SEARCH TEXT; None when its plain octets will do."""
    block = cut(message.octets, 0, message.body_start)
    if block.isascii() and b"=?" not in block:
        return None
    lines = [f"{header.name}: {header.text}" for header in message.headers]
    return folded("\n".join(lines)[: 4 * _FIELD_CHARACTERS_MAX])


def text_for_search(message: Message, folded: Fold) -> tuple[str | None, tuple[int, ...]]:
    """Return (folded text of parts that need decoding, or None; spans of the plain ASCII ones), for SEARCH BODY."""
    texts: list[str] = []
    spans: list[int] = []
    left_octets = TEXT_OCTETS_MAX
    for part in message.walk():
        if left_octets <= 0:
            break
        if part.letter is not None:  # people look for a forwarded letter by its subject
            left_octets -= _add_header(message, part.letter, folded, texts, spans)
            continue
        if part.children or not part.media_type.startswith("text/"):
            continue
        end = min(part.end, part.body_start + left_octets)
        if part.octets is message.octets and _is_plain(part, end):
            spans += (part.body_start, end)
            left_octets -= end - part.body_start
        else:
            text = _decoded(part, left_octets)
            left_octets -= len(text)
            texts.append(folded(text))
    return ("\n".join(texts) if texts else None), tuple(spans)


def _add_header(message: Message, letter: Message, folded: Fold, texts: list[str], spans: list[int]) -> int:
    """Add an attached letter's header to what SEARCH BODY looks at; its octets."""
    if letter.octets is message.octets:
        block = cut(letter.octets, letter.root.start, letter.body_start)
        if block.isascii() and b"=?" not in block:
            spans += (letter.root.start, letter.body_start)
            return len(block)
    text = folded("\n".join(f"{header.name}: {header.text}" for header in letter.headers))
    texts.append(text)
    return len(text)


def _is_plain(part: Part, end: int) -> bool:
    """Whether the part's octets, in lower case, are its folded text."""
    if part.transfer_encoding not in transfer.IDENTITY or _is_of_other_octets(part):
        return False
    octets = cut(part.octets, part.body_start, end)
    return octets.isascii() and not (part.media_type == "text/html" and _ENTITIES.search(octets) is not None)


def _is_of_other_octets(part: Part) -> bool:
    """Whether some reading of the charset writes ASCII's octets for other letters (UTF-7, ISO-2022, EBCDIC)."""
    return any(
        value.strip(b'" \t').lower().startswith(_NOT_ASCII_BASED)
        for field in part.types
        for parameter in field.parameters
        if parameter.name.startswith("charset")
        for value in parameter.values
    )


def _decoded(part: Part, max_octets: int) -> str:
    octets = part.decoded(max_octets)
    text = decode(octets, part.charset) if part.charset else raw_text(octets)
    if part.media_type == "text/html" and "&" in text:
        text = html.unescape(text)
    return text
