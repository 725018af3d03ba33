"""What the server says to an SMTP client, as a value. Only the session's loop writes it to the socket.

A reply stores subject and detail of its enhanced code (RFC 3463); the class digit is taken from the basic code, so
that `450 5.x.x` cannot be spelled. Texts are English, then Vietnamese without diacritics, as SMTP replies are
ASCII (RFC 5321 §4.2); the accented text goes by mail.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

MAX_LINE_OCTETS = 500  # RFC 5321 §4.5.3.1.5 allows 512 with the CRLF


def unaccented(text: str) -> str:
    """`text` in ASCII: Vietnamese letters lose their marks, đ becomes d, what is left over becomes `?`."""
    if text.isascii() and text.isprintable():
        return text
    decomposed = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    for fancy, plain in (("“", '"'), ("”", '"'), ("‘", "'"), ("’", "'"), ("–", "-"), ("—", "-"), ("…", "...")):
        bare = bare.replace(fancy, plain)
    return "".join(c if " " <= c <= "~" else " " if c.isspace() else "?" for c in bare)


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMTP reply.

    `code` is the basic code, `enhanced` subject and detail (`"7.1"`) or None where RFC 2034 §4 wants none (greeting,
    EHLO, 354, 334). `lines` are the texts. `closes` tells the loop to hang up after writing.
    """

    code: int
    enhanced: str | None
    lines: tuple[str, ...]
    closes: bool = False

    def __post_init__(self) -> None:
        if not 200 <= self.code <= 599:
            raise ValueError(f"no SMTP reply has the code {self.code}")
        if self.enhanced is not None and self.code // 100 == 3:
            raise ValueError("a 3yz reply has no enhanced code (RFC 2034 §4)")

    @property
    def is_positive(self) -> bool:
        """The command was carried out (2yz) or goes on (3yz)."""
        return self.code < 400

    def encode(self) -> bytes:
        """The reply's octets, a line for each text, each ended by CRLF and no longer than the RFC allows."""
        return _encode(self)

    def _encode(self) -> bytes:
        status = "" if self.enhanced is None else f"{self.code // 100}.{self.enhanced} "
        lines = [piece for line in self.lines for piece in _fold(unaccented(line), MAX_LINE_OCTETS - 16)] or [""]
        last = len(lines) - 1
        return "".join(
            f"{self.code}{' ' if i == last else '-'}{status}{line}\r\n" for i, line in enumerate(lines)
        ).encode("ascii")

    def __str__(self) -> str:
        """The reply on one line, for logs, `policy try` and the ledger."""
        status = "" if self.enhanced is None else f"{self.code // 100}.{self.enhanced} "
        return f"{self.code} {status}{' / '.join(self.lines)}"


@lru_cache(maxsize=512)  # most replies are the same few
def _encode(reply: Reply) -> bytes:
    return reply._encode()


def _fold(line: str, width: int) -> list[str]:
    """`line` cut at blanks into pieces of at most `width` characters."""
    pieces = []
    while len(line) > width:
        cut = line.rfind(" ", width // 2, width)
        cut = cut if cut > 0 else width
        pieces.append(line[:cut])
        line = line[cut:].lstrip(" ")
    pieces.append(line)
    return pieces


def reply(code: int, enhanced: str | None, *lines: str, closes: bool = False) -> Reply:
    """A Reply from its texts."""
    return Reply(code, enhanced, lines, closes)
