"""BODY and BODYSTRUCTURE (RFC 3501 §7.4.2) of a scanned letter.

The depth is bounded by the scan (20), so recursion is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

from bdmta.message.parameters import Field, RawParameter
from bdmta.message.part import Part
from bdmta.render.envelope import envelope
from bdmta.render.string import string, unfolded

_VALUE_OCTETS = 8192
_KEPT_CHARACTERS = 64
_SECTION = re.compile(r"([^*]+)\*([0-9]{1,4})(\*?)")
_PLAIN_FIELDS = frozenset({"content-id", "content-description", "content-md5", "content-location", "content-language"})
_US_ASCII = b'("charset" "us-ascii")'
_NO_PART = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0'


def body_structures(part: Part) -> tuple[bytes, bytes]:
    """Return BODY and BODYSTRUCTURE: the same but for the extension data, made in one walk."""
    if part.is_multipart:
        return _multipart(part)
    said = _said(part)
    main, _, sub = part.media_type.partition("/")
    head = b"%b %b %b %b %b %b %d" % (
        _token(main),
        _token(sub),
        _parameters(_type_field(part)) or (_US_ASCII if main == "text" else b"NIL"),
        said.get("content-id", b"NIL"),
        said.get("content-description", b"NIL"),
        _token(part.transfer_encoding) if part.transfer_encoding else b'"7bit"',
        part.size_octets,
    )
    tail = b"%b %b" % (said.get("content-md5", b"NIL"), _extension(part, said))
    if part.letter is not None and part.children:
        root = part.children[0]
        inner, lines = envelope(root.headers), part.line_count()
        body, structure = body_structures(root)
        return b"(%b %b %b %d)" % (head, inner, body, lines), b"(%b %b %b %d %b)" % (
            head,
            inner,
            structure,
            lines,
            tail,
        )
    if main == "text":
        head += b" %d" % part.line_count()
    return b"(%b)" % head, b"(%b %b)" % (head, tail)


def _multipart(part: Part) -> tuple[bytes, bytes]:
    pairs = [body_structures(child) for child in part.children]
    if not pairs:  # a multipart must have one; an empty text stands in, as with Dovecot
        pairs = [(_NO_PART + b")", _NO_PART + b" NIL NIL NIL NIL)")]
    sub = _token(part.media_type.partition("/")[2])
    tail = b"%b %b" % (_parameters(_type_field(part)) or b"NIL", _extension(part, _said(part)))
    body = b"".join([one for one, _ in pairs])
    structure = b"".join([one for _, one in pairs])
    return b"(%b %b)" % (body, sub), b"(%b %b %b)" % (structure, sub, tail)


def _token(text: str) -> bytes:
    """Return a word of a field as a string; the usual ones are kept."""
    return _short_token(text) if len(text) <= _KEPT_CHARACTERS else string(text.encode("utf-8", "replace"))


@lru_cache(maxsize=512)
def _short_token(text: str) -> bytes:
    return string(text.encode("utf-8", "replace"))


def _said(part: Part) -> dict[str, bytes]:
    """The part's plain Content fields, the first of each name, as strings."""
    out: dict[str, bytes] = {}
    for header in part.headers:
        name = header.name
        if name[:8] == "content-" and name in _PLAIN_FIELDS and name not in out:
            out[name] = string(unfolded(header.value[:_VALUE_OCTETS]))
    return out


def _extension(part: Part, said: dict[str, bytes]) -> bytes:
    """Disposition, language, location."""
    if not part.dispositions and not said:
        return b"NIL NIL NIL"
    return b"%b %b %b" % (_disposition(part), _language(part), said.get("content-location", b"NIL"))


def _type_field(part: Part) -> Field | None:
    return next((field for field in part.types if field.token == part.media_type), None)


def _parameters(field: Field | None) -> bytes:
    """Return the list of names and values as they stand, RFC 2231's sections joined; b"" for none."""
    if field is None or not field.parameters:
        return b""
    if len(field.parameters) == 1 and len(field.parameters[0].values) == 1:  # a charset
        parameter = field.parameters[0]
        if len(parameter.values[0]) <= _KEPT_CHARACTERS:
            return _one_parameter(parameter)
    return _list(field.parameters)


@lru_cache(maxsize=256)
def _one_parameter(parameter: RawParameter) -> bytes:
    return _list((parameter,))


def _list(parameters: tuple[RawParameter, ...]) -> bytes:
    given = [
        (parameter.name, unfolded(parameter.values[0][:_VALUE_OCTETS]))
        for parameter in parameters
        if parameter.name and parameter.values
    ]
    if any("*" in name for name, _ in given):
        given = _joined(given)
    pairs = [b"%b %b" % (string(name.encode("latin-1", "replace")), string(value)) for name, value in given]
    return b"(%b)" % b" ".join(pairs) if pairs else b""


def _joined(given: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Join `name*0`, `name*1*` ... as Dovecot does: to `name`, or to `name*` when a section is percent-encoded."""
    sections: dict[str, dict[int, tuple[bool, bytes]]] = {}
    out: list[tuple[str, bytes]] = []
    for name, value in given:
        match = _SECTION.fullmatch(name)
        if match is None:
            out.append((name, value))
        else:
            sections.setdefault(match[1], {})[int(match[2])] = (bool(match[3]), value)
    for base, numbered in sections.items():
        values = [numbered[number] for number in sorted(numbered)]
        if any(is_encoded for is_encoded, _ in values):
            octets = b"".join(value if is_encoded else quote(value).encode() for is_encoded, value in values)
            out.append((base + "*", octets))
        else:
            out.append((base, b"".join(value for _, value in values)))
    return out


def _disposition(part: Part) -> bytes:
    if not part.dispositions:
        return b"NIL"
    field = part.dispositions[0]
    return b"(%b %b)" % (_token(field.token), _parameters(field) or b"NIL")


def _language(part: Part) -> bytes:
    header = part.first("content-language")
    if header is None:
        return b"NIL"
    tags = [tag.strip() for tag in unfolded(header.value[:_VALUE_OCTETS]).split(b",") if tag.strip()][:50]
    return b"(%b)" % b" ".join(map(string, tags)) if tags else b"NIL"
