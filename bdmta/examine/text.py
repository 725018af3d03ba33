"""What plain text can hide: uuencoded and yEnc files, base64 without a header, HTML that acts."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

_ODD = bytes(range(32)).translate(None, b"\t\n\r\x0b\x0c\x08\x1a\x1b\x02\x05\x06\x14\x19\x1e") + b"\x7f"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
MAX_FILES = 200


def looks_like_text(sample: bytes) -> bool:
    """No NUL (but in UTF-16) and few controls: VISCII, VPS and TCVN 5712 have letters among those, hence not none."""
    if sample[:2] in _UTF16_MARKS:
        return True
    if 0 in sample:
        return _looks_like_utf16(sample)
    odd = len(sample) - len(sample.translate(None, _ODD))
    return odd * 12 <= len(sample) + 8


def _looks_like_utf16(sample: bytes) -> bool:
    """Zeros at nearly every other octet, on one side only."""
    half = len(sample) // 2
    if half < 4:
        return False
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    return (odd > half * 0.4 and even * 20 <= half) or (even > half * 0.4 and odd * 20 <= half)


_TAGS = (
    "!doctype html", "html", "head", "body", "script", "iframe", "meta", "title", "style", "object", "embed", "table",
    "div", "a ", "img", "form", "link", "base", "font", "p>", "h1", "svg", "center", "frameset",
)  # fmt: skip
_COMMENT = re.compile(rb"(?:\s*<!--(?:(?!-->).){0,4000}-->)+\s*", re.S)


def starts_like_html(text: bytes, tags: tuple[str, ...] = _TAGS) -> bool:
    """The first thing in `text` is one of `tags`, as browsers sniff it (comments before it are passed over)."""
    comment = _COMMENT.match(text)
    start = (text[comment.end() :] if comment else text).lstrip()[:64].lower()
    return start.startswith(b"<") and any(start.startswith(b"<" + tag.encode()) for tag in tags)


_ACTIVE = re.compile(
    rb"<\s{0,8}(?:[a-z0-9]{1,20}:)?script[\s>/]|<\s{0,8}(?:iframe|object|embed|applet)[\s>/]"
    rb"|\bon(?:load|error|click|mouse\w{1,10}|focus|begin|toggle|animation\w{1,10}|pageshow|submit|key\w{1,5})\s{0,20}="
    rb"|(?:href|src|action|data|xlink:href)\s{0,20}=\s{0,20}[\"']?\s{0,20}(?:java|vb)script:|data:text/html"
    rb"|<meta[^>]{0,100}http-equiv\s{0,20}=\s{0,20}[\"']?refresh",
    re.I,
)


def is_active_html(text: bytes) -> bool:
    """It would run something in a reader that lets it."""
    if b"<" not in text:
        return False
    if text[:2] in _UTF16_MARKS or text[:64].count(0) > 8:
        text = text.replace(b"\0", b"")
    return bool(_ACTIVE.search(text))


@dataclass(frozen=True, slots=True)
class Hidden:
    """A file found in text. `octets` may be cut short where the text is damaged."""

    name: str
    octets: bytes
    encoding: str


_UU_BEGIN = re.compile(rb"^begin(?:-base64)? {1,8}[0-7]{3,4} {1,8}([^\r\n]{1,1000})\r?\n", re.M)
_YENC_BEGIN = re.compile(rb"^=ybegin [^\r\n]{0,500}\r?\n", re.M)
_YENC_NAME = re.compile(rb"name=([^\r\n]+)")


def hidden_files(text: bytes) -> Iterator[Hidden]:
    """Files that mail programs show as attachments although MIME does not know of them."""
    if b"begin" not in text:
        return
    for number, match in enumerate(_UU_BEGIN.finditer(text)):
        if number >= MAX_FILES:
            return
        name = _decode(match[1]).strip()
        if text.startswith(b"begin-base64", match.start()):
            yield Hidden(name, _base64_lines(text, match.end()), "uuencode")
        else:
            octets = _uudecode(text, match.end())
            if octets:
                yield Hidden(name, octets, "uuencode")
    for number, match in enumerate(_YENC_BEGIN.finditer(text)):
        if number >= MAX_FILES:
            return
        named = _YENC_NAME.search(match[0])
        yield Hidden(_decode(named[1]).strip() if named else "", _ydecode(text, match.end()), "yenc")


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1258", "replace")


def _uudecode(text: bytes, start: int) -> bytes:
    """Lines until `end`, or the first that is no uuencoded line; a wrong tail of a line is forgiven."""
    pieces: list[bytes] = []
    at = start
    while at < len(text):
        stop = text.find(b"\n", at)
        stop = len(text) if stop < 0 else stop
        line = text[at:stop].rstrip(b"\r")
        at = stop + 1
        if line == b"end" or not line:
            if pieces or line:
                break
            continue
        piece = _uuline(line)
        if piece is None:
            break
        pieces.append(piece)
    return b"".join(pieces)


def _uuline(line: bytes) -> bytes | None:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        pass
    wanted = ((line[0] - 32) & 63) * 4 // 3
    if not 0x20 <= line[0] <= 0x60:
        return None
    try:
        return binascii.a2b_uu(line[: 1 + (wanted + 3) // 4 * 4].ljust(1 + (wanted + 3) // 4 * 4, b" "))
    except binascii.Error:
        return None


def _base64_lines(text: bytes, start: int) -> bytes:
    stop = text.find(b"====", start)
    return decode_base64(text[start : stop if stop > 0 else len(text)])


def decode_base64(text: bytes) -> bytes:
    """Base64 as lenient mail programs read it: whatever is not of the alphabet is passed over, padding too."""
    clean = re.sub(rb"[^A-Za-z0-9+/]", b"", text)
    clean = clean[: len(clean) - 1] if len(clean) % 4 == 1 else clean
    return base64.b64decode(clean + b"=" * (-len(clean) % 4))


_YENC_STOP = re.compile(rb"\n=y(?:end|begin)")
_YENC_TABLE = bytes((i - 42) & 255 for i in range(256))
_YENC_ESCAPE = re.compile(rb"=(.)", re.S)


def _ydecode(text: bytes, start: int) -> bytes:
    stop = _YENC_STOP.search(text, start)
    body = text[start : stop.start() if stop else len(text)]
    if body.startswith(b"=ypart"):
        body = body[body.find(b"\n") + 1 :]
    body = body.replace(b"\r", b"").replace(b"\n", b"")
    return _YENC_ESCAPE.sub(lambda m: bytes([(m[1][0] - 64) & 255]), body).translate(_YENC_TABLE)


_BARE_BASE64 = re.compile(
    rb"(?:^|\n)[ \t]*((?:TV[opqrnlm]|f0VM|UEsD|yv66v|z/rt|0M8R4|N3q8r|UmFyI)[A-Za-z0-9+/=\r\n\t ]{60,})"
)


def bare_base64(text: bytes) -> Iterator[bytes]:
    """Blocks of base64 without a header of their own that begin as an executable or an archive does."""
    for number, match in enumerate(_BARE_BASE64.finditer(text)):
        if number >= MAX_FILES:
            return
        yield decode_base64(match[1])
