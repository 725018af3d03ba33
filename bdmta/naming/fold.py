"""Letters without their diacritics: `Nguyễn Thị Ánh` and its decomposed form both become `nguyen thi anh`."""

from __future__ import annotations

import unicodedata

# Letters that Unicode does not take apart. Ð (eth) and Ɖ are what many keyboards and old converters leave for Đ.
_WHOLE = str.maketrans({
    "đ": "d", "ð": "d", "ɖ": "d", "ø": "o", "ł": "l", "æ": "ae", "œ": "oe", "ß": "ss", "þ": "th", "ı": "i", "ħ": "h",
})  # fmt: skip


def fold(text: str) -> str:
    """`text` in lower case without diacritics, đ as d; what is no Latin letter stays. The same for NFC and NFD."""
    apart = unicodedata.normalize("NFD", unicodedata.normalize("NFC", text).lower())
    bare = "".join(char for char in apart if not unicodedata.combining(char))
    return bare.translate(_WHOLE)


def is_plain(text: str) -> bool:
    """Whether `text` is made of a-z and nothing else, and not empty."""
    return text.isascii() and text.isalpha() and text.islower()
