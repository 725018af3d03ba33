"""The words of a PDF, by pdfminer.six: each glyph through its font's ToUnicode map, put in order by where it stands.

The order of a page's content is not that of its lines: LibreOffice writes the letters that a font lacks, the Vietnamese
ones above all, in runs of their own, and a stamp's letters may stand one by one. Runs in a worker only.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import math
import pkgutil
import signal
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from bdmta.examine.bounds import Purse
from bdmta.examine.errors import OverBound, Unreadable

_MAX_PAGES = 300
_SECONDS = 3.0  # of processor time for one document; a letter's own bound comes after
_SAME_LINE = 0.4  # of the letters' height: how far apart the baselines of one line may be
_SPACE = 0.18  # likewise: a gap that separates words
_COLUMN = 1.5  # likewise: a gap that separates columns
_TWICE = 0.15  # likewise: how far apart the same letter is when it is drawn twice
_MAX_NOTES = 200


class Glyph(NamedTuple):
    """One letter on a page, in the page's units: its direction in degrees, how far across and along it stands."""

    degrees: int
    across: float
    along: float
    end: float
    height: float
    text: str


@cache
def load() -> Any:
    """The library with all its modules, imported once; None where it is not installed.

    It imports some only when a document needs them, which a confined worker cannot.
    """
    try:
        library = importlib.import_module("pdfminer")
    except ImportError:
        return None
    for module in pkgutil.walk_packages(library.__path__, "pdfminer."):
        with contextlib.suppress(ImportError):  # some are for pictures, and need more than text does
            importlib.import_module(module.name)
    logging.getLogger("pdfminer").setLevel(logging.CRITICAL)
    return library


def words(octets: bytes, max_characters: int, purse: Purse) -> str:
    """The text of its pages, line by line; of a slow one, those read in time. Raises Unreadable, OverBound."""
    if load() is None:
        raise Unreadable("pdf: no library")
    out: list[str] = []
    try:
        with _stopwatch(_SECONDS):
            _read(octets, max_characters, purse, out)
    except OverBound:
        if not out:
            raise
    except Exception as error:  # the library raises whatever its input leads it to
        if not out:
            raise Unreadable(f"pdf: {type(error).__name__}") from error
    return "\n".join(out)


def _read(octets: bytes, max_characters: int, purse: Purse, out: list[str]) -> None:
    from pdfminer.pdfdocument import PDFDocument
    from pdfminer.pdfinterp import PDFPageInterpreter, PDFResourceManager
    from pdfminer.pdfpage import PDFPage
    from pdfminer.pdfparser import PDFParser

    if b"startxref" not in octets[-4096:]:
        octets += b"\nstartxref\n0\n%%EOF\n"  # cut short: readers rebuild the table, and so does the library when told
    document = PDFDocument(PDFParser(io.BytesIO(octets)))
    resources = PDFResourceManager()
    device = _device(resources)
    interpreter = PDFPageInterpreter(resources, device)
    room = max_characters
    for number, page in enumerate(PDFPage.create_pages(document)):
        purse.check_time()
        if number >= _MAX_PAGES or room <= 0:
            break
        device.glyphs, notes = [], []
        try:
            interpreter.process_page(page)
            notes = _annotations(page, interpreter)
        finally:  # what was read of a page that then breaks is read all the same
            out.append("\n".join([*lines(device.glyphs), *notes])[:room])
        room -= len(out[-1])


def _device(resources: Any) -> Any:
    """What the interpreter draws on: it keeps each letter and where it stands, and no picture."""
    from pdfminer.pdfdevice import PDFTextDevice
    from pdfminer.pdffont import PDFUnicodeNotDefined

    class Letters(PDFTextDevice):
        glyphs: list[Glyph]

        def render_char(
            self, matrix: Any, font: Any, fontsize: float, scaling: float, rise: float, cid: int, *unused: Any
        ) -> float:
            a, b, c, d, x, y = matrix
            width = float(font.char_width(cid) * fontsize * scaling)
            with contextlib.suppress(PDFUnicodeNotDefined):
                angle = math.atan2(b, a)
                along = x * math.cos(angle) + y * math.sin(angle)
                self.glyphs.append(
                    Glyph(
                        round(math.degrees(angle)), y * math.cos(angle) - x * math.sin(angle), along,
                        along + width * math.hypot(a, b), abs(fontsize) * math.hypot(c, d) or 1.0, font.to_unichr(cid),
                    )
                )  # fmt: skip
            return width

    return Letters(resources)


def _annotations(page: Any, interpreter: Any) -> list[str]:
    """What is written on notes and stamps: their text, while their appearance is drawn with the page's letters."""
    from pdfminer.pdftypes import PDFStream, dict_value, list_value, resolve1
    from pdfminer.utils import decode_text

    found = []
    for reference in list_value(page.annots or [])[:_MAX_NOTES]:
        note = dict_value(reference)
        contents = resolve1(note.get("Contents"))
        if isinstance(contents, bytes):
            found.append(decode_text(contents))
        drawn = resolve1(dict_value(note.get("AP", {})).get("N"))
        if isinstance(drawn, PDFStream):
            interpreter.render_contents(dict_value(drawn.get("Resources", {})), [drawn])
    return found


def lines(glyphs: list[Glyph]) -> list[str]:
    """The lines that a reader sees: by direction, then from top to bottom, each from its start to its end.

    A wide gap ends a line, since what stands beside it is another column. A letter drawn twice (to look bold) is one.
    """
    found: list[str] = []
    for row in _rows(sorted(glyphs, key=lambda glyph: (glyph.degrees, -glyph.across))):
        row.sort(key=lambda glyph: glyph.along)
        line, last = "", None
        for glyph in row:
            if last is not None:
                if glyph.text == last.text and glyph.along - last.along < _TWICE * glyph.height:
                    continue
                gap = (glyph.along - last.end) / glyph.height
                if gap > _COLUMN:
                    found.append(line)
                    line = ""
                elif gap > _SPACE and not line.endswith(" "):
                    line += " "
            line += glyph.text
            last = glyph
        found.append(line)
    return found


def _rows(glyphs: list[Glyph]) -> Iterator[list[Glyph]]:
    """Neighbours in `glyphs` that stand on one baseline."""
    row: list[Glyph] = []
    for glyph in glyphs:
        if row and (glyph.degrees != row[-1].degrees or row[-1].across - glyph.across > _SAME_LINE * glyph.height):
            yield row
            row = []
        row.append(glyph)
    if row:
        yield row


@contextlib.contextmanager
def _stopwatch(seconds: float) -> Iterator[None]:
    """Raises OverBound within when the processor time is spent, so that a slow document does not cost the worker."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise OverBound("time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
