"""Vietnamese text in any encoding: found under whatever label, and turned into UTF-8 (Điều 13, TCVN 6909:2001).

Pure: no file but its own tables, no clock, no network. `review` decides on a letter, `convert` carries it out,
`detect` names the old set that some octets are in, `decode` and `encode` are the tables themselves.
"""

from bdmta.charset.codec import TABLES, Undecodable, decode, encode
from bdmta.charset.convert import convert
from bdmta.charset.detect import detect
from bdmta.charset.letter import Review, is_plainly_ascii, prepare, review
from bdmta.charset.truth import Kind, Text, Truth, find_truth, unicode_text

__all__ = [
    "TABLES", "Kind", "Review", "Text", "Truth", "Undecodable", "convert", "decode", "detect", "encode", "find_truth",
    "is_plainly_ascii", "prepare", "review", "unicode_text",
]  # fmt: skip
