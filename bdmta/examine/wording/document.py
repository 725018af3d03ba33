"""Which reader gives the words of which kind of document."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from bdmta.charset.reading import readings_of
from bdmta.examine.bounds import Bounds, Purse
from bdmta.examine.errors import OverBound, Unreadable
from bdmta.examine.readers.compound import Compound
from bdmta.examine.signatures import detect
from bdmta.examine.wording import office, pdf, powerpoint, rtf, sheet, word


def extract_text(name: str, octets: bytes, max_characters: int = 400_000) -> str:
    """The words of one document, by its content (`name` serves content that shows nothing); never raises.

    .txt .csv .html .rtf .doc .docx .xls .xlsx .ppt .pptx .odt .ods .odp .pdf; "" for anything else or damaged. Lines
    are as they are shown, table cells lines of their own.
    """
    kind = detect(octets)
    if kind not in DOCUMENTS:
        is_html = kind == "html" or name.lower().endswith((".htm", ".html"))
        return next(readings_of(octets, is_html=is_html), "")[:max_characters]
    try:
        return words_of(kind, octets, max_characters, Purse(Bounds()))
    except (Unreadable, OverBound):
        return ""


def words_of(kind: str, octets: bytes, max_characters: int, purse: Purse) -> str:
    """The words of a document of `kind` (a key of DOCUMENTS), in NFC. Raises Unreadable, OverBound."""
    return unicodedata.normalize("NFC", DOCUMENTS[kind](octets, max_characters, purse)[:max_characters])


def _compound(octets: bytes, max_characters: int, purse: Purse) -> str:
    compound = Compound(octets, purse)
    for reader in (word.words, sheet.words, powerpoint.words):
        text = reader(compound, max_characters)
        if text:
            return text
    return ""


DOCUMENTS: dict[str, Callable[[bytes, int, Purse], str]] = {
    "zip": office.words,  # `detect` tells a zip; what is in it tells the document
    "ole": _compound,
    "rtf": rtf.words,
    "pdf": pdf.words,
}
"""Readers by the key of `signatures.detect`."""
