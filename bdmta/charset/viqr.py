"""VIQR (RFC 1456): Vietnamese in seven bits. It is only marked, never converted: `?` and `.` also end sentences."""

from __future__ import annotations

import re

from bdmta.charset import codec
from bdmta.charset.syllable import syllables

_WORD = re.compile(r"[A-Za-z]{0,5}(?:[aeoAEO]\^|[aA]\(|[oOuU]\+|dd|[aeiouyAEIOUY]['`~])[A-Za-z'`?~.^(+]{0,8}")
_MAX_WORDS = 400
_ENOUGH_WORDS = 5


def is_viqr(text: str) -> bool:
    """Whether ASCII `text` has words enough that only VIQR explains."""
    for_count = against_count = 0
    for index, match in enumerate(_WORD.finditer(text)):
        if index >= _MAX_WORDS:
            break
        word = codec.decode("viqr", match.group().rstrip(".?'`~(").encode("ascii"))
        known = not word.isascii() and word.lower() in syllables()
        for_count += known
        against_count += not known
    return for_count >= _ENOUGH_WORDS and for_count > against_count
