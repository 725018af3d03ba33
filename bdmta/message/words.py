"""Encoded words of header fields, read as clients read them (RFC 2047), and charsets by name."""

from __future__ import annotations

import binascii
import re
from encodings.aliases import aliases
from functools import lru_cache

_MAX_WORDS = 2000

# Not charsets of letters, or quadratic in their input (punycode, idna: CVE-2022-45061), or warning at strangers' will.
_NEVER = frozenset(
    {"idna", "punycode", "undefined", "mbcs", "oem", "unicode_escape", "raw_unicode_escape", "base64_codec"}
    | {"bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"}
)
# A closed list: codecs.lookup() imports by, and remembers for ever, each unknown name that a stranger thinks up.
_KNOWN = frozenset(
    {name for pair in aliases.items() if pair[1] not in _NEVER for name in pair}
    | {"utf_8_sig", "utf_16", "utf_32", "koi8_t", "koi8_u", "cp720", "cp737", "cp856", "cp874", "cp875"}
    | {"cp1006", "iso8859_1", "ascii", "latin_1"}
)
_SEPARATORS = re.compile(r"[^0-9a-z.]+")
_FOLD = re.compile(r"\r\n?(?=[ \t])|\n(?=[ \t])")
_BREAK = re.compile(r"[\r\n]+")

# RFC 2047 §2, more tolerant than it, as clients are: blanks inside, a language (RFC 2231 §5).
_WORD = re.compile(r"=\?([^?\s=]{1,80})\?([bBqQ])\?([^?\r\n]*)\?=")
# A word whose end is missing or cut short: some clients decode it none the less.
_CUT_WORD = re.compile(r"=\?([^?\s=]{1,80})\?([bBqQ])\?([^?\r\n]*)\??=?\s*\Z")


@lru_cache(maxsize=512)
def codec_of(charset: str) -> str | None:
    """The name of Python's codec for `charset`, or None when it knows none."""
    name = _SEPARATORS.sub("_", charset[:80].partition("*")[0].strip().lower()).strip("_")
    if name in _KNOWN:
        return name
    joined = name.replace("_", "")
    return joined if joined in _KNOWN else None


def decode(octets: bytes, charset: str) -> str:
    """`octets` as text; an unknown charset reads as Latin-1, a broken sequence as U+FFFD; never raises."""
    codec = codec_of(charset)
    if codec is not None:
        try:
            return octets.decode(codec, "replace")
        except (LookupError, ValueError, UnicodeError):
            pass
    return octets.decode("latin-1")


def raw_text(octets: bytes) -> str:
    """Octets without a charset as text: UTF-8 where they are that, else Latin-1 (one character an octet)."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def unfolded(text: str) -> str:
    """`text` on one line: folds undone, any other CR or LF a blank."""
    if "\n" in text or "\r" in text:
        return _BREAK.sub(" ", _FOLD.sub("", text))
    return text


def header_text(value: bytes) -> str:
    """A field's value for people: unfolded, words decoded; never raises.

    No CR or LF is left, not even one that an encoded word brought along: whoever copies the text into a field, a log
    or a reply must not be made to write a line of the sender's.
    """
    return unfolded(decode_words(unfolded(raw_text(value))))


def decode_words(text: str, *, also_cut: bool = False) -> str:
    """`text` with its encoded words decoded; blanks between words fall away (RFC 2047 §6.2).

    Octets of neighbouring words in one charset are joined before they are decoded, since senders cut characters in
    two. What is no word stays as it stands. `also_cut`: a last word without its `?=` is decoded too.
    """
    if "=?" not in text:
        return text
    out: list[str] = []
    pending = bytearray()
    pending_charset = ""
    at = 0
    matches = list(_bounded_words(text))
    if also_cut and (last := _CUT_WORD.search(text, matches[-1].end() if matches else 0)) is not None:
        matches.append(last)
    for word in matches:
        between = text[at : word.start()]
        charset = word[1].lower()
        if (between and not (at and between.isspace())) or charset != pending_charset:
            out.append(decode(bytes(pending), pending_charset) if pending else "")
            pending.clear()
            if not (at and between.isspace()):
                out.append(between)
        pending_charset = charset
        pending += _word_octets(word[2], word[3])
        at = word.end()
    if pending:
        out.append(decode(bytes(pending), pending_charset))
    out.append(text[at:])
    return "".join(out)


def _bounded_words(text: str) -> list[re.Match[str]]:
    found: list[re.Match[str]] = []
    for match in _WORD.finditer(text):
        found.append(match)
        if len(found) >= _MAX_WORDS:
            break
    return found


def _word_octets(encoding: str, body: str) -> bytes:
    octets = body.encode("utf-8", "surrogatepass")
    if encoding in "qQ":
        return binascii.a2b_qp(octets, header=True)
    return base64_word(octets)


_BASE64_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(octet for octet in range(256) if octet not in _BASE64_ALPHABET)


def base64_word(octets: bytes) -> bytes:
    """Base64 of one word, as far as it goes: junk skipped, padding not needed."""
    clean = octets.translate(None, _NOT_BASE64)
    clean = clean[: len(clean) - 1] if len(clean) % 4 == 1 else clean
    return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))
