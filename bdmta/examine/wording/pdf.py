"""The words of a PDF, by pypdf: content streams through each font's ToUnicode map. Runs in a worker only."""

from __future__ import annotations

import io
import logging

from bdmta.examine.bounds import Purse
from bdmta.examine.errors import OverBound, Unreadable

_MAX_PAGES = 300


def words(octets: bytes, max_characters: int, purse: Purse) -> str:
    """The text of its pages, and of form fields and notes on them. Raises Unreadable, OverBound."""
    import pypdf  # heavy: only a worker that meets a PDF pays for it

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    out: list[str] = []
    room = max_characters
    try:
        reader = pypdf.PdfReader(io.BytesIO(octets), strict=False)
        if reader.is_encrypted:
            reader.decrypt("")
        for number, page in enumerate(reader.pages):
            purse.check_time()
            if number >= _MAX_PAGES or room <= 0:
                break
            out.append(page.extract_text()[:room])
            room -= len(out[-1])
    except (OverBound, MemoryError):
        raise
    except Exception as error:  # pypdf raises whatever its input leads it to
        if not out:
            raise Unreadable(f"pdf: {type(error).__name__}") from error
    return "\n".join(out)
