"""BODY and BODYSTRUCTURE (RFC 3501 §7.4.2) of a scanned letter.

The depth is bounded by the scan (20), so recursion is.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from bdmta.message.parameters import Field
from bdmta.message.part import Part
from bdmta.render.envelope import envelope
from bdmta.render.string import nstring, string, unfolded

_VALUE_OCTETS = 8192
_SECTION = re.compile(r"([^*]+)\*([0-9]{1,4})(\*?)")
_US_ASCII = b'("charset" "us-ascii")'
_NO_PART = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0'


def body_structure(part: Part, *, extended: bool) -> bytes:
    """Return BODYSTRUCTURE, or BODY without the extension data."""
    if part.is_multipart:
        return _multipart(part, extended)
    main, _, sub = part.media_type.partition("/")
    field = _type_field(part)
    head = b"%b %b %b %b %b %b %d" % (
        string(main.encode("utf-8", "replace")),
        string(sub.encode("utf-8", "replace")),
        _parameters(field) or (_US_ASCII if main == "text" else b"NIL"),
        _value(part, "content-id"),
        _value(part, "content-description"),
        string(part.transfer_encoding.encode("utf-8", "replace") or b"7bit"),
        part.size_octets,
    )
    if part.letter is not None and part.children:
        root = part.children[0]
        head += b" %b %b %d" % (envelope(root.headers), body_structure(root, extended=extended), part.line_count())
    elif main == "text":
        head += b" %d" % part.line_count()
    if not extended:
        return b"(%b)" % head
    return b"(%b %b %b)" % (head, _value(part, "content-md5"), _extension(part))


def _multipart(part: Part, extended: bool) -> bytes:
    children = b"".join(body_structure(child, extended=extended) for child in part.children)
    if not children:  # a multipart must have one; an empty text stands in, as with Dovecot
        children = _NO_PART + (b" NIL NIL NIL NIL)" if extended else b")")
    sub = string(part.media_type.partition("/")[2].encode("utf-8", "replace"))
    if not extended:
        return b"(%b %b)" % (children, sub)
    return b"(%b %b %b %b)" % (children, sub, _parameters(_type_field(part)) or b"NIL", _extension(part))


def _extension(part: Part) -> bytes:
    """Disposition, language, location."""
    return b"%b %b %b" % (_disposition(part), _language(part), _value(part, "content-location"))


def _type_field(part: Part) -> Field | None:
    return next((field for field in part.types if field.token == part.media_type), None)


def _parameters(field: Field | None) -> bytes:
    """Return the list of names and values as they stand, RFC 2231's sections joined; b"" for none."""
    if field is None or not field.parameters:
        return b""
    given = [
        (parameter.name, unfolded(parameter.values[0][:_VALUE_OCTETS]))
        for parameter in field.parameters
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
    return b"(%b %b)" % (string(field.token.encode("utf-8", "replace")), _parameters(field) or b"NIL")


def _language(part: Part) -> bytes:
    header = part.first("content-language") if part.headers else None
    if header is None:
        return b"NIL"
    tags = [tag.strip() for tag in unfolded(header.value[:_VALUE_OCTETS]).split(b",") if tag.strip()][:50]
    return b"(%b)" % b" ".join(map(string, tags)) if tags else b"NIL"


def _value(part: Part, name: str) -> bytes:
    header = part.first(name) if part.headers else None
    return nstring(None if header is None else unfolded(header.value[:_VALUE_OCTETS]))
