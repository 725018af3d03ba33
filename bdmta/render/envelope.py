"""ENVELOPE (RFC 3501 §7.4.2): a letter's own fields, encoded words left as they stand, since clients decode them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from bdmta.message.addresses import Group, Mailbox, addresses
from bdmta.message.headers import Header
from bdmta.render.string import nstring, string, unfolded

ADDRESSES_MAX = 1000  # Dovecot's CVE-2024-23184: a header of 100,000 addresses
_VALUE_OCTETS = 65_536
KEPT_OCTETS = 256  # of a field whose reading is kept
_SIMPLE = re.compile(rb'[ \t]*([^"<>(),;:\\@\[\]\0]*?)[ \t]*<([!#-\'*+\--9=?A-Z^-~]+)@([!#-\'*+\--9=?A-Z^-~]+)>[ \t]*')
_BARE = re.compile(rb"[ \t]*([!#-'*+\--9=?A-Z^-~]+)@([!#-'*+\--9=?A-Z^-~]+)[ \t]*")
_QUOTED_NAME = re.compile(rb'[ \t]*"([^"\\]*)"[ \t]*<([!#-\'*+\--9=?A-Z^-~]+)@([!#-\'*+\--9=?A-Z^-~]+)>[ \t]*')
_WORD_MARK = "=\x01?"  # instead of "=?": keeps encoded words from being decoded


def envelope(headers: Sequence[Header]) -> bytes:
    """Return the parenthesised list of ten."""
    first: dict[str, bytes] = {}
    more: dict[str, bytes] = {}
    for header in headers:
        name = header.name
        if name in _WANTED:
            if name not in first:
                first[name] = header.value
            elif name in _LISTS:
                more[name] = more.get(name, first[name]) + b", " + header.value
    values = first if not more else {**first, **more}
    sender = address_list(values.get("from"))
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        _text(values.get("date")),
        _text(values.get("subject")),
        sender,
        _or(address_list(values.get("sender")), sender),
        _or(address_list(values.get("reply-to")), sender),
        address_list(values.get("to")),
        address_list(values.get("cc")),
        address_list(values.get("bcc")),
        _text(values.get("in-reply-to")),
        _text(values.get("message-id")),
    )


_LISTS = frozenset({"from", "to", "cc", "bcc", "reply-to"})
_WANTED = _LISTS | {"date", "subject", "sender", "in-reply-to", "message-id"}


def _or(found: bytes, default: bytes) -> bytes:
    """Sender and Reply-To are From where they are missing (RFC 3501 §7.4.2)."""
    return default if found == b"NIL" else found


def _text(value: bytes | None) -> bytes:
    return nstring(None if value is None else unfolded(value[:_VALUE_OCTETS]))


def address_list(value: bytes | None) -> bytes:
    """Return addresses as IMAP lists them, NIL for none. Groups are marked by addresses without a host."""
    if not value:
        return b"NIL"
    return _short_list(value) if len(value) <= KEPT_OCTETS else _list(value)


def _list(value: bytes) -> bytes:
    value = unfolded(value[: 4 * _VALUE_OCTETS])
    simple = _simple(value)
    if simple is not None:
        return simple
    text = value.decode("latin-1").replace("=?", _WORD_MARK)
    out: list[bytes] = []
    for entry in addresses(text, ADDRESSES_MAX):
        if isinstance(entry, Group):
            out.append(b"(NIL NIL %b NIL)" % string(_raw(entry.name)))
            out.extend(_address(member) for member in entry.members)
            out.append(b"(NIL NIL NIL NIL)")
        else:
            out.append(_address(entry))
    return b"(%b)" % b"".join(out) if out else b"NIL"


_short_list = lru_cache(maxsize=1024)(_list)  # a mailbox's letters are to and from the same few


def _simple(value: bytes) -> bytes | None:
    """Return the usual forms, `Name <local@domain>` and `local@domain`; None when the careful reader is needed."""
    pieces = value.split(b",")
    if len(pieces) > ADDRESSES_MAX:
        return None
    out: list[bytes] = []
    for piece in pieces:
        match = _SIMPLE.fullmatch(piece) or _QUOTED_NAME.fullmatch(piece)
        if match is not None:
            name, local, domain = match.groups()
            out.append(b'(%b NIL "%b" "%b")' % (string(name) if name else b"NIL", local, domain))
            continue
        match = _BARE.fullmatch(piece)
        if match is None:
            return None
        out.append(b'(NIL NIL "%b" "%b")' % match.groups())
    return b"(%b)" % b"".join(out)


def _address(mailbox: Mailbox) -> bytes:
    name = string(_raw(mailbox.name)) if mailbox.name else b"NIL"
    host = string(_raw(mailbox.domain)) if mailbox.domain else b'"MISSING_DOMAIN"'
    route = string(_raw(mailbox.route)) if mailbox.route else b"NIL"
    return b"(%b %b %b %b)" % (name, route, string(_raw(mailbox.local) or b"MISSING_MAILBOX"), host)


def _raw(text: str) -> bytes:
    return text.replace(_WORD_MARK, "=?").encode("latin-1", "replace")
