r"""The words of RTF: letters in octets by the font's character set, in Unicode by `\u`; destinations left out."""

from __future__ import annotations

import re

from bdmta.examine.bounds import Purse

_TOKEN = re.compile(
    rb"\\([A-Za-z]{1,32})(-?\d{1,10})? ?|\\'([0-9A-Fa-f]{2})|\\([^A-Za-z'])|([{}])|[\r\n]+|([^\\{}\r\n]+)", re.DOTALL
)
_LEFT_OUT = frozenset(
    {b"colortbl", b"stylesheet", b"info", b"pict", b"themedata", b"datastore", b"filetbl", b"listtable", b"sp"}
    | {b"listoverridetable", b"rsidtbl", b"generator", b"xmlnstbl", b"latentstyles", b"object", b"objdata", b"fldinst"}
)
_KEPT_STARRED = frozenset({b"shpinst", b"shptxt", b"footnote", b"nesttableprops"})
_LINES = frozenset({b"par", b"line", b"cell", b"row", b"sect", b"page", b"nestcell", b"nestrow"})
_SIGNS = {b"tab": "\t", b"emdash": "—", b"endash": "–", b"lquote": "‘", b"rquote": "’", b"ldblquote": "“",
          b"rdblquote": "”", b"bullet": "•"}  # fmt: skip
_CODEPAGES = {
    0: "cp1252",
    1: "cp1252",
    128: "cp932",
    129: "cp949",
    134: "gbk",
    136: "big5",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
}
_MAX_DEPTH = 2000
_CHECK_EVERY = 50_000


class _Reader:
    """One pass over the tokens with a stack of groups."""

    def __init__(self, max_characters: int) -> None:
        self.out: list[str] = []
        self.room = max_characters
        self._octets = bytearray()
        self._stack: list[tuple[bool, int, str]] = []
        self._is_hidden = False
        self._unicode_skip = 1
        self._skip_left = 0
        self._codepage = self._default = "cp1252"
        self._fonts: dict[int, str] = {}
        self._in_fonts = 0
        self._font = 0
        self._is_starred = False

    def text(self) -> str:
        """What was read."""
        self._flush()
        return "".join(self.out)

    def group(self, brace: bytes) -> None:
        """`{` or `}`."""
        self._flush()
        if brace == b"{":
            if len(self._stack) < _MAX_DEPTH:
                self._stack.append((self._is_hidden, self._unicode_skip, self._codepage))
        elif self._stack:
            self._is_hidden, self._unicode_skip, self._codepage = self._stack.pop()
            if len(self._stack) < self._in_fonts:
                self._in_fonts = 0
        self._skip_left = 0
        self._is_starred = False

    def symbol(self, sign: bytes) -> None:
        r"""`\*`, `\~`, an escaped brace …"""
        if sign == b"*":
            self._is_starred = True
        elif sign == b"~":
            self.letters(" ")
        elif sign in b"{}\\":
            self.octets(sign)
        elif sign in b"\r\n":
            self.letters("\n")

    def word(self, name: bytes, number: int | None) -> None:
        """A control word."""
        if self._is_starred:
            self._is_starred = False
            if name not in _KEPT_STARRED:
                self._is_hidden = True
                return
        if name in _LEFT_OUT:
            self._is_hidden = True
        elif name == b"fonttbl":
            self._is_hidden, self._in_fonts = True, len(self._stack)
        elif name == b"ansicpg" and number is not None:
            self._default = self._codepage = f"cp{number}" if f"cp{number}" in _CODEPAGES.values() else "cp1252"
        elif name == b"f" and number is not None:
            self._flush()
            self._font = number
            self._codepage = self._fonts.get(number, self._default)
        elif name == b"fcharset" and self._in_fonts and number is not None and len(self._fonts) < 10_000:
            self._fonts[self._font] = self._default if number in (0, 1, 2) else _CODEPAGES.get(number, self._default)
        elif name == b"uc" and number is not None:
            self._unicode_skip = max(0, min(number, 16))
        elif name == b"u" and number is not None:
            self.letters(chr(number & 0xFFFF))
            self._skip_left = self._unicode_skip
        elif name in _LINES:
            self.letters("\n")
        elif name in _SIGNS:
            self.letters(_SIGNS[name])

    def octets(self, octets: bytes) -> None:
        r"""Text in octets; what stands in for a `\u` is skipped."""
        if self._skip_left:
            skipped = min(self._skip_left, len(octets))
            self._skip_left -= skipped
            octets = octets[skipped:]
        if not self._is_hidden:
            self._octets += octets

    def letters(self, text: str) -> None:
        """Text in Unicode."""
        self._flush()
        if not self._is_hidden:
            self.out.append(text)
            self.room -= len(text)

    def _flush(self) -> None:
        if self._octets:
            self.out.append(bytes(self._octets).decode(self._codepage, "replace"))
            self.room -= len(self._octets)
            self._octets.clear()


def words(octets: bytes, max_characters: int, purse: Purse) -> str:
    """The text, a paragraph or cell a line. Raises OverBound."""
    reader = _Reader(max_characters)
    for count, match in enumerate(_TOKEN.finditer(octets)):
        if count % _CHECK_EVERY == 0:
            purse.check_time()
        name, number, code, sign, brace, plain = match.groups()
        if plain:
            reader.octets(plain)
        elif name:
            reader.word(name, int(number) if number else None)
        elif code:
            reader.octets(bytes.fromhex(code.decode("ascii")))
        elif brace:
            reader.group(brace)
        elif sign:
            reader.symbol(sign)
        if reader.room <= 0:
            break
    return _joined_surrogates(reader.text())


def _joined_surrogates(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
