"""Vietnamese text in any encoding: found under whatever label, and turned into UTF-8 (Điều 13, TCVN 6909:2001).

Pure: no file but its own tables, no clock, no network. `review` decides on a letter, `convert` carries it out,
`old_set` names the set that some octets are in, `decode` and `encode` are the tables themselves.
"""

from bdmta.charset.codec import TABLES, Undecodable, decode, encode
from bdmta.charset.detect import old_set
from bdmta.charset.letter import Review, prepare, review
from bdmta.charset.reading import texts_of
from bdmta.charset.rewrite import convert
from bdmta.charset.truth import Kind, Text, Truth, find_truth, unicode_text

__all__ = [
    "TABLES", "Kind", "Review", "Text", "Truth", "Undecodable", "convert", "decode", "encode", "find_truth",
    "old_set", "prepare", "review", "texts_of", "unicode_text",
]  # fmt: skip
