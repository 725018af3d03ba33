"""The words of OOXML and OpenDocument files: expat over their parts, one after another; doctypes are refused."""

from __future__ import annotations

import re
from xml.parsers import expat

from bdmta.examine.bounds import Purse
from bdmta.examine.errors import Unreadable
from bdmta.examine.readers.opening import Opening
from bdmta.examine.readers.zipped import read_directory, read_entry

_PARTS = re.compile(
    r"(?:word/(?:document\d?|header\d*|footer\d*|footnotes|endnotes|comments)\.xml"
    r"|xl/(?:sharedstrings|comments\d*|worksheets/sheet\d+|drawings/drawing\d+)\.xml"
    r"|ppt/(?:slides/slide\d+|notesslides/notesslide\d+|slidemasters/slidemaster\d+|comments/\S+)\.xml"
    r"|(?:content|styles)\.xml|docprops/core\.xml|meta\.xml)",
    re.IGNORECASE,
)
_MAX_PARTS = 600
# Local names, as the formats do not share them for other things.
_SHOWN = frozenset(
    {"t", "is", "p", "h", "title", "subject", "keywords", "description", "oddHeader", "oddFooter", "text"}
)
_LINES = frozenset({"p", "h", "si", "is", "br", "cr", "line-break", "tr", "title", "subject", "oddHeader", "oddFooter"})
_TABS = frozenset({"tab"})
_FEED_OCTETS = 1 << 16
_MAX_NAMES = 1000


class _Enough(Exception):
    """The bound of characters is reached."""


class _Collector:
    """Expat's handlers: character data inside the elements that are shown. What a name asks for is found out once."""

    def __init__(self, max_characters: int, is_open_document: bool) -> None:
        self.out: list[str] = []
        self.room = max_characters
        self._shown = 0
        self._names = (
            frozenset({"p", "h", "title", "subject", "description"}) if is_open_document else _SHOWN - {"p", "h"}
        )
        self._known: dict[str, tuple[str, bool]] = {}

    def _look(self, name: str) -> tuple[str, bool]:
        """What an element puts into the text (a line, a tab, a blank), and whether its words are shown."""
        local = name.rpartition(":")[2]
        blank = "\n" if local in _LINES else "\t" if local in _TABS else " " if local == "s" else ""
        if len(self._known) < _MAX_NAMES:
            self._known[name] = blank, local in self._names
        return blank, local in self._names

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        blank, is_shown = self._known.get(name) or self._look(name)
        if blank and (blank != " " or self._shown):
            self.out.append(blank)
        if is_shown:
            self._shown += 1

    def end(self, name: str) -> None:
        """An element ends."""
        blank, is_shown = self._known.get(name) or self._look(name)
        if is_shown:
            self._shown -= 1
        if blank == "\n":
            self.out.append(blank)

    def data(self, text: str) -> None:
        """Character data."""
        if self._shown > 0:
            self.out.append(text)
            self.room -= len(text)
            if self.room <= 0:
                raise _Enough


def words(octets: bytes, max_characters: int, purse: Purse) -> str:
    """The words of a .docx, .xlsx, .pptx, .odt, .ods or .odp; "" for another zip. Raises Unreadable, OverBound."""
    opening = Opening(octets, purse, "zip")
    directory = read_directory(opening)
    names = {name.lower() for name in directory.names}
    if "[content_types].xml" not in names and "mimetype" not in names:
        return ""
    out: list[str] = []
    room = max_characters
    chosen = [entry for entry in directory.entries if any(_PARTS.fullmatch(name) for name in entry.names)]
    for entry in chosen[:_MAX_PARTS]:
        purse.check_time()
        content = read_entry(opening, directory, entry).octets
        if content:
            text = xml_words(content, room, is_open_document="mimetype" in names and "[content_types].xml" not in names)
            out.append(text)
            room -= len(text)
        if room <= 0:
            break
    return _tidy("\n".join(out))


def xml_words(content: bytes, max_characters: int, *, is_open_document: bool) -> str:
    """The shown words of one XML part, as far as it is well-formed; one with a doctype gives none."""
    collector = _Collector(max_characters, is_open_document)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = collector.start
    parser.EndElementHandler = collector.end
    parser.CharacterDataHandler = collector.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        for at in range(0, len(content), _FEED_OCTETS):
            parser.Parse(content[at : at + _FEED_OCTETS], False)
        parser.Parse(b"", True)
    except (expat.ExpatError, _Enough, Unreadable, LookupError, ValueError):  # an encoding nobody knows, too
        pass
    return "".join(collector.out)


def _refuse_doctype(*_: object) -> None:
    raise Unreadable("a doctype in an office document")


def _tidy(text: str) -> str:
    return re.sub(r"\n{2,}", "\n", text)
