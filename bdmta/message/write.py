"""The one writer of header fields and of the system's own letters (threats: CRLF injection).

Whatever the system writes into a letter goes through `field()`, which refuses CR, LF and NUL.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from urllib.parse import quote

from bdmta.message.octets import Octets
from bdmta.message.scan import Message

FOLD_COLUMNS = 78  # RFC 5322 §2.1.1
MAX_LINE_OCTETS = 998
_MAX_TOKEN_OCTETS = 900
_WORD_OCTETS = 42  # base64 of 42 octets and `=?utf-8?B??=` are 68 characters: RFC 2047 §2 allows 75

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NAME = re.compile(r"[!-9;-~]{1,76}")
_FORBIDDEN = re.compile(r"[\r\n\0]")
_TOKEN = re.compile(r"[ \t]++|[^ \t]++")
_NEEDS_WORDS = re.compile(r"[^\t -~]|=\?")
_ADDRESS_TOKEN = re.compile(r'[ \t]++|"(?:[^"\\]++|\\.)*+"|<[^>]*+>?|[,;:]|[^ \t,;:<"]++|"', re.DOTALL)
_ADDRESS_FIELDS = frozenset(
    {"from", "to", "cc", "bcc", "reply-to", "sender", "resent-from", "resent-to", "resent-cc", "resent-sender"}
    | {"disposition-notification-to"}
)
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_PLAIN_PARAMETER = re.compile(r"[A-Za-z0-9!#$&+^_.{}~-]{1,60}")
_PAIR = re.compile(r"\\(.)", re.DOTALL)


def field(name: str, value: str) -> bytes:
    """The field `name: value` with its CRLF, folded at 78 columns where there are blanks, no line over 998 octets.

    What is not plain ASCII is written as RFC 2047 words in UTF-8, so that `Header.text` gives `value` back; in address
    fields only the names (an address that is not ASCII stays as it is: SMTPUTF8). Raises ValueError for a CR, LF or
    NUL, for a name that is none, and for an address longer than a line.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"not a field name: {name!r}")
    if _FORBIDDEN.search(value) is not None:
        raise ValueError(f"CR, LF or NUL in the value of {name}")
    tokens = _tokens(name, value.strip(" \t"))
    lines = [f"{name}:"]
    for blank, word in tokens:
        if len(lines[-1]) + len(blank) + len(word) > FOLD_COLUMNS and blank and lines[-1].strip():
            lines.append(blank + word)
        else:
            lines[-1] += blank + word
    octets = "\r\n".join(lines).encode("utf-8", "replace")
    if max(map(len, octets.split(b"\r\n"))) > MAX_LINE_OCTETS:
        raise ValueError(f"a line of {name} cannot be folded to {MAX_LINE_OCTETS} octets")
    return octets + b"\r\n"


def _tokens(name: str, value: str) -> list[tuple[str, str]]:
    """`(blanks before, token)`; neighbours that need encoding are joined, the blanks between them inside the words."""
    is_address = name.lower() in _ADDRESS_FIELDS
    out: list[tuple[str, str]] = []
    blank = " "
    run = run_blank = ""
    for match in (_ADDRESS_TOKEN if is_address else _TOKEN).finditer(value):
        token = match[0]
        if token[0] in " \t":
            blank = token if len(token) < 60 else " "
            continue
        keep = is_address and token[0] in "<,;:"
        if not keep and (_NEEDS_WORDS.search(token) is not None or len(token) > _MAX_TOKEN_OCTETS):
            text = _PAIR.sub(r"\1", token[1:-1]) if is_address and len(token) > 1 and token[0] == '"' else token
            run, run_blank = (run + blank + text, run_blank) if run else (text, blank)
        else:
            out += _encoded(run_blank, run)
            run = ""
            # A blank must stand between a word and what follows it (RFC 2047 §5); a comma may touch it.
            out.append((blank or (" " if keep and token[0] == "<" and out else ""), token))
        blank = ""
    return out + _encoded(run_blank, run)


def _encoded(blank: str, text: str) -> list[tuple[str, str]]:
    """`text` in RFC 2047 words, none cutting a character in two."""
    out: list[tuple[str, str]] = []
    piece = bytearray()
    for character in text:
        octets = character.encode("utf-8", "replace")
        if len(piece) + len(octets) > _WORD_OCTETS:
            out.append((" " if out else blank or " ", _word(piece)))
            piece.clear()
        piece += octets
    if piece:
        out.append((" " if out else blank or " ", _word(piece)))
    return out


def _word(octets: bytes | bytearray) -> str:
    return f"=?utf-8?B?{binascii.b2a_base64(octets, newline=False).decode('ascii')}?="


def parameter(name: str, value: str) -> str:
    """`name=value` for a field's value, quoted or by RFC 2231. Raises ValueError as `field`."""
    if _FORBIDDEN.search(value) is not None or _FORBIDDEN.search(name) is not None:
        raise ValueError(f"CR, LF or NUL in the parameter {name!r}")
    if _PLAIN_PARAMETER.fullmatch(value):
        return f"{name}={value}"
    if len(value) <= 60 and _NEEDS_WORDS.search(value) is None and "\t" not in value and "%" not in value:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{name}="{escaped}"'
    encoded = quote(value.encode("utf-8", "replace"), safe="!#$&+^_.{}~-")
    if len(encoded) <= 60:
        return f"{name}*=utf-8''{encoded}"
    pieces: list[str] = []
    while encoded:
        size = 50
        while encoded[max(size - 2, 0) : size].find("%") >= 0 and size < len(encoded):
            size -= 1  # an escape is not cut in two
        pieces.append(encoded[:size])
        encoded = encoded[size:]
    pieces[0] = "utf-8''" + pieces[0]
    return "; ".join(f"{name}*{number}*={piece}" for number, piece in enumerate(pieces))


def date(moment: datetime) -> bytes:
    """`Mon, 23 Nov 2026 10:00:00 +0700` (RFC 5322 §3.3). Raises ValueError for a time without its zone."""
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("a time without its zone")
    minutes = round(offset / timedelta(minutes=1))
    sign = "-" if minutes < 0 else "+"
    hours, minutes = divmod(abs(minutes), 60)
    day = f"{_DAYS[moment.weekday()]}, {moment.day} {_MONTHS[moment.month - 1]} {moment.year:04d}"
    return f"{day} {moment:%H:%M:%S} {sign}{hours:02d}{minutes:02d}".encode("ascii")


def kept(message: Message, names: Iterable[str]) -> list[tuple[int, int]]:
    """The spans that remain of the letter without its fields called `names`; for copying a big one piece by piece."""
    dropped = {name.lower() for name in names}
    spans: list[tuple[int, int]] = []
    at = 0
    for header in message.headers:
        if header.name in dropped:
            if header.start > at:
                spans.append((at, header.start))
            at = header.end
    if at < len(message.octets):
        spans.append((at, len(message.octets)))
    return spans


def remove(octets: Octets, message: Message, names: Iterable[str]) -> bytes:
    """The letter without its fields called `names` (Bcc, say); its other octets as they stand."""
    return b"".join(bytes(octets[start:end]) for start, end in kept(message, names))


def prepend(octets: Octets, *fields: bytes) -> bytes:
    """The letter with `fields` (made by `field`) before it."""
    return b"".join((*fields, octets))


def compose_text(headers: Iterable[tuple[str, str]], text: str) -> bytes:
    """A letter, or a part, of text/plain in UTF-8: CRLF, 7-bit, quoted-printable or base64, whichever is shorter."""
    body = (_LINE_BREAK.sub("\r\n", text).removesuffix("\r\n") + "\r\n").encode("utf-8", "replace")
    printable = binascii.b2a_qp(body, istext=True)  # ends its soft lines as the text ends its lines: by CRLF
    encoded = _base64(body)
    name, body = ("quoted-printable", printable) if len(printable) <= len(encoded) else ("base64", encoded)
    about = [("MIME-Version", "1.0"), ("Content-Type", "text/plain; charset=utf-8")]
    return _entity([*headers, *about, ("Content-Transfer-Encoding", name)], body)


def compose_file(content_type: str, octets: bytes, filename: str) -> bytes:
    """A part with a file in it, in base64."""
    named = f"attachment; {parameter('filename', filename)}"
    about = [("Content-Type", content_type), ("Content-Transfer-Encoding", "base64"), ("Content-Disposition", named)]
    return _entity(about, _base64(octets))


def compose_part(content_type: str, octets: bytes, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """A part whose octets stand as they are: message/delivery-status, message/rfc822 …"""
    encoding = "7bit" if octets.isascii() else "8bit"
    about = [("Content-Type", content_type), ("Content-Transfer-Encoding", encoding)]
    return _entity([*headers, *about], octets)


def compose_multipart(
    headers: Iterable[tuple[str, str]],
    parts: Sequence[bytes],
    subtype: str = "mixed",
    parameters: Iterable[tuple[str, str]] = (),
) -> bytes:
    """A letter of `parts` (made by the functions above). `subtype` may be `report`, `parameters` its `report-type`.

    The boundary comes from the parts' digest and stands in none of them: the same letter is the same octets.
    """
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]
    boundary = f"=_{digest}"  # `=_` stands in no quoted-printable and no base64 (RFC 2045 §6.7)
    number = 0
    while any(boundary.encode("ascii") in part for part in parts):
        number += 1
        boundary = f"=_{number}_{digest}"
    described = [parameter(*given) for given in parameters]
    kind = "; ".join([f"multipart/{subtype}", *described, f'boundary="{boundary}"'])
    mark = f"--{boundary}".encode("ascii")
    body = b"".join(b"%b\r\n%b\r\n" % (mark, part) for part in parts) + mark + b"--\r\n"
    return _entity([*headers, ("MIME-Version", "1.0"), ("Content-Type", kind)], body)


def _entity(headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    return b"".join(field(name, value) for name, value in headers) + b"\r\n" + body


def _base64(octets: bytes) -> bytes:
    lines = (octets[at : at + 57] for at in range(0, len(octets), 57))
    return b"".join(binascii.b2a_base64(line, newline=False) + b"\r\n" for line in lines)
