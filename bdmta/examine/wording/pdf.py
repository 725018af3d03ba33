"""The words of a PDF, by pypdf: content streams through each font's ToUnicode map. Runs in a worker only."""

from __future__ import annotations

import codecs
import contextlib
import importlib
import io
import logging
import pkgutil
import signal
import threading
from collections.abc import Iterator
from functools import cache
from types import ModuleType

from bdmta.examine.bounds import Purse
from bdmta.examine.errors import OverBound, Unreadable

_MAX_PAGES = 300
_SECONDS = 3.0  # of processor time for one document; a letter's own bound comes after


@cache
def load() -> ModuleType | None:
    """The library with all its modules, imported once (0.2 s); None where it is not installed.

    It imports some only when a document needs them, which a confined worker cannot.
    """
    try:
        library = importlib.import_module("pypdf")
    except ImportError:
        return None
    for module in pkgutil.walk_packages(library.__path__, "pypdf."):
        with contextlib.suppress(ImportError):  # some are for pictures, and need more than text does
            importlib.import_module(module.name)
    for encoding in ("charmap", "utf-16-be", "utf-16-le", "latin-1", "mac-roman", "cp1252"):
        codecs.lookup(encoding)
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    return library


def words(octets: bytes, max_characters: int, purse: Purse) -> str:
    """The text of its pages; of a slow one, those read in time. Raises Unreadable, OverBound."""
    library = load()
    if library is None:
        raise Unreadable("pdf: no library")
    out: list[str] = []
    try:
        with _stopwatch(_SECONDS):
            _read(library, octets, max_characters, purse, out)
    except OverBound:
        if not out:
            raise
    except Exception as error:  # pypdf raises whatever its input leads it to
        if not out:
            raise Unreadable(f"pdf: {type(error).__name__}") from error
    return "\n".join(out)


def _read(library: ModuleType, octets: bytes, max_characters: int, purse: Purse, out: list[str]) -> None:
    if b"startxref" not in octets[-4096:]:
        octets += b"\nstartxref\n0\n%%EOF\n"  # cut short: readers rebuild the table, and so does the library when told
    reader = library.PdfReader(io.BytesIO(octets), strict=False)
    if reader.is_encrypted:
        reader.decrypt("")
    room = max_characters
    for number, page in enumerate(reader.pages):
        purse.check_time()
        if number >= _MAX_PAGES or room <= 0:
            break
        out.append(page.extract_text()[:room])
        room -= len(out[-1])


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
