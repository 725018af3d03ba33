"""HTML for the detector: what a reader sees of it, its declared charset and fonts; and putting those right again.

Regular expressions over bounded text, linear: nothing is rendered, scripts are not read, tags and attributes stay.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

_TAG = re.compile(r"<[^<>]*>")
_UNSEEN = re.compile(r"<(style|script)\b|<!--", re.IGNORECASE)
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_META_BYTES = re.compile(rb"<meta\b[^<>]{0,500}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:\-]{1,40})", re.IGNORECASE)
_META = re.compile(r"(<meta\b[^<>]{0,500}?charset\s*=\s*[\"']?\s*)([A-Za-z0-9_.:\-]{1,40})", re.IGNORECASE)
_XML = re.compile(r"(<\?xml\b[^<>]{0,200}?encoding\s*=\s*[\"'])([A-Za-z0-9_.:\-]{1,40})", re.IGNORECASE)
_FONT_NAME = re.compile(r"(?:^|[\"'=:,;\s])(\.Vn[A-Z]\w*|VNI-\w+|VNI \w+|VPS \w+)", re.MULTILINE)
_FONT_TAG = re.compile(r"<font\b[^<>]*?\bface\s*=\s*[\"']?\s*(?:\.Vn|VNI-)[^<>]*>", re.IGNORECASE)
_FONT_STYLE = re.compile(
    r"font-family\s*:\s*(?:\"[^\"<>;{}=]{0,80}\"|'[^'<>;{}=]{0,80}'|&quot;|[^;{}\"'<>&]){0,40}", re.IGNORECASE
)
_LEGACY_IN_STYLE = re.compile(r"\.Vn[A-Z]|VNI-")
_CAPITAL_FONT = re.compile(r"\.Vn\w*H\b")
_PLAIN_FONT = "font-family:Times New Roman,serif"


def visible(markup: str, *, reads_references: bool = True) -> str:
    """The text between the tags; character references become their letters, or blanks when they are not to be read."""
    text = _TAG.sub(" ", seen(markup)) if "<" in markup else markup
    if "&" not in text:
        return text
    return html.unescape(text) if reads_references else _REFERENCE.sub(" ", text)


def seen(markup: str) -> str:
    """`markup` without styles, scripts and comments; one that does not end hides the rest. Linear."""
    match = _UNSEEN.search(markup)
    if match is None:
        return markup
    low = markup.lower() if len(markup.lower()) == len(markup) else markup
    out: list[str] = []
    at = 0
    while match is not None:
        out.append(markup[at : match.start()])
        closing = f"</{match.group(1).lower()}" if match.group(1) else "-->"
        end = low.find(closing, match.end())
        if end < 0:
            return " ".join(out)
        at = end + (3 if closing == "-->" else 0)
        match = _UNSEEN.search(markup, at)
    return " ".join([*out, markup[at:]])


def has_references(markup: str) -> bool:
    """Whether some letter beyond ASCII is written as a character reference."""
    return any(not html.unescape(match.group()).isascii() for match in _REFERENCE.finditer(markup))


def meta_charset(octets: bytes) -> str:
    """The charset that the document says of itself, in lower case; "" where it says none."""
    found = _META_BYTES.search(octets[:16384])
    return found.group(1).decode("ascii").lower() if found else ""


def font_encoding(markup: str) -> str | None:
    """The set that the fonts named are made for: `.VnTime` shows TCVN3, `VNI-Times` shows VNI."""
    found = _FONT_NAME.search(markup)
    if found is None:
        return None
    name = found.group(1)
    return "tcvn3" if name.startswith(".Vn") else "vps" if name.startswith("VPS") else "vni-windows"


def convert(markup: str, letters: Callable[[str], str]) -> str:
    """`markup` with `letters` done to all that is shown; letters given by reference are put in as themselves first."""
    out: list[str] = []
    at = 0
    for tag in _TAG.finditer(markup):
        out += (_converted_text(markup[at : tag.start()], letters), _converted_tag(tag.group(), letters))
        at = tag.end()
    out.append(_converted_text(markup[at:], letters))
    return "".join(out)


def _converted_text(text: str, letters: Callable[[str], str]) -> str:
    text = _REFERENCE.sub(_letter_of, text) if "&" in text else text
    return text if text.isascii() else letters(text)


def _converted_tag(tag: str, letters: Callable[[str], str]) -> str:
    return tag if tag.isascii() else letters(tag)


def _letter_of(match: re.Match[str]) -> str:
    reference = match.group()
    letter = html.unescape(reference)
    keeps = letter.isascii() or letter == "\xa0" or letter == reference
    return reference if keeps else letter


def corrected(markup: str) -> str:
    """`markup` that says UTF-8 of itself, and whose old fonts no longer garble Unicode.

    The tags and attributes stay; a later declaration overrules the font (`.VnTimeH` showed capitals).
    """
    markup = _XML.sub(r"\1utf-8", _META.sub(r"\1utf-8", markup))
    if _LEGACY_IN_STYLE.search(markup) is None:
        return markup
    return _FONT_TAG.sub(_overrule_tag, _FONT_STYLE.sub(_overrule_style, markup))


def _overrule_style(match: re.Match[str]) -> str:
    declaration = match.group()
    if _LEGACY_IN_STYLE.search(declaration) is None:
        return declaration
    return f"{declaration.rstrip()};{_plain_font(declaration)}"


def _overrule_tag(match: re.Match[str]) -> str:
    tag = match.group()
    if re.search(r"\bstyle\s*=", tag, re.IGNORECASE):
        return tag
    end = -2 if tag.endswith("/>") else -1
    return f'{tag[:end]} style="{_plain_font(tag)}"{tag[end:]}'


def _plain_font(named: str) -> str:
    return _PLAIN_FONT + (";text-transform:uppercase" if _CAPITAL_FONT.search(named) else "")
