"""A letter, part by part: which are its text, which its files, and what hides between them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from bdmta.examine.bounds import Bounds, Purse
from bdmta.examine.content import Look, label
from bdmta.examine.errors import NeedsWorker, OverBound
from bdmta.examine.executables import EXTENSIONS
from bdmta.examine.inventory import Inventory, Item
from bdmta.examine.names import extensions, kept, kept_extensions, name_problems
from bdmta.examine.signatures import FAMILIES, detect
from bdmta.examine.text import bare_base64, decode_base64, hidden_files
from bdmta.message import Message, Part, scan
from bdmta.message.octets import find

_BODY_TYPES = frozenset({"text/plain", "text/html", "text/enriched", "text/richtext", "text/x-amp-html",
                         "text/watch-html", "text/x-markdown", "text/markdown"})  # fmt: skip
_STRUCTURE_TYPES = frozenset({
    "application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature",
    "application/pgp-encrypted", "application/pgp-keys", "application/pkcs7-mime", "application/x-pkcs7-mime",
    "application/ms-tnef", "application/vnd.ms-tnef", "application/applefile", "message/delivery-status",
    "message/global-delivery-status", "message/disposition-notification", "message/global-disposition-notification",
    "message/feedback-report", "message/tracking-status", "text/rfc822-headers", "message/global-headers",
    "text/calendar", "application/ics", "text/vcard", "text/x-vcard", "text/directory", "application/vcard",
})  # fmt: skip
_PROBLEMS_OF_DEFECTS = {
    "depth": "mime-bound", "parts": "mime-bound", "headers": "mime-bound", "header-block": "mime-bound",
    "parameters": "mime-bound", "boundary-ambiguous": "ambiguous", "partial": "fragment",
    "external-body": "external-body", "attached-octets": "mime-bound",
}  # fmt: skip
_WHOLE_BASE64 = re.compile(rb"\s*[A-Za-z0-9+/]{16,}={0,2}\s")
_PART_HEADER = re.compile(rb"^content-(?:type|disposition|transfer-encoding)[ \t]*:", re.I | re.M)
_MAX_BODY_OCTETS = 8 << 20
_IDENTITY = frozenset({"7bit", "8bit", "binary"})
_HIDING = (b"begin", b"ase64", b"PK\x05\x06", b"\0")  # uuencode, yEnc, base64, an archive's end
_HEAD_OCTETS = 4096
_DEFAULT_BOUNDS = Bounds()
_EDGE_PARTS = 40
_EDGE_PARAMETERS = 120


def take_inventory(message: Message, bounds: Bounds = _DEFAULT_BOUNDS, *, is_edge: bool = False) -> Inventory:
    """Every file of the letter at every depth. Bounded by `bounds`; never raises but, with `is_edge`, NeedsWorker."""
    if is_edge and not _is_small(message):
        raise NeedsWorker
    look = Look(Purse(bounds, is_edge=is_edge), _read_attached_octets)
    try:
        _read_letter(look, message, (), 0)
    except OverBound as bound:
        look.problems.add(bound.code)
        look.is_truncated = True
    return Inventory(tuple(look.items), tuple(sorted(look.problems)), look.is_truncated)


def plain_text(message: Message, bounds: Bounds = _DEFAULT_BOUNDS) -> Inventory | None:
    """The inventory of a letter that is one plain text, however long, with nothing hidden in it; else None.

    Searches at the speed of memory instead of a copy to a worker. Raises NeedsWorker as `take_inventory` does.
    """
    root = message.root
    if root.children or root.media_type != "text/plain" or root.transfer_encoding not in _IDENTITY:
        return None
    if message.defects or root.types[1:] or root.dispositions or root.transfer_encodings[1:] or root.names:
        return None
    if any(find(message.octets, mark, root.body_start, root.end) >= 0 for mark in _HIDING):
        return None
    head = scan(bytes(message.octets[: root.body_start + _HEAD_OCTETS]))
    short = take_inventory(head, bounds, is_edge=True)
    items = tuple(replace(item, size_octets=root.size_octets) for item in short.items)
    return replace(short, items=items)


def _is_small(message: Message) -> bool:
    """Few enough parts and names that an edge may read them between two other things (contract 10: 50 ms)."""
    parameters = 0
    for count, part in enumerate(message.walk(), 1):
        parameters += sum(len(f.parameters) for f in part.types) + sum(len(f.parameters) for f in part.dispositions)
        if count > _EDGE_PARTS or parameters > _EDGE_PARAMETERS:
            return False
    return True


def _read_attached_octets(look: Look, octets: bytes, parent: tuple[str, ...], depth: int) -> None:
    look.purse.opening(depth)
    _read_letter(look, scan(octets), parent, depth)


def _read_letter(look: Look, message: Message, parent: tuple[str, ...], depth: int) -> None:
    for defect in message.defects:
        problem = _PROBLEMS_OF_DEFECTS.get(defect)
        if problem is not None:
            look.problems.add(problem)
    waiting: list[tuple[Part, Part | None, tuple[str, ...]]] = [(message.root, None, parent)]
    while waiting:
        part, above, path = waiting.pop()
        look.purse.entry()
        if part.defects:
            _note_ambiguity(look, part)
        inner = path
        if part.children:
            if part.letter is not None:
                inner = (*path, _attached_letter(look, part, path))
            else:
                _read_container(look, part, path, depth)
            waiting.extend((child, part, inner) for child in reversed(part.children))
        elif part.letter is None and not look.is_truncated:
            _read_leaf(look, part, above, path, depth)


def _note_ambiguity(look: Look, part: Part) -> None:
    """Two fields that say different things: programs choose differently."""
    if len(set(part.media_types)) > 1 or len({str(t.parameters) for t in part.types}) > 1:
        look.problems.add("ambiguous")
    if len(set(part.transfer_encodings)) > 1:
        look.problems.add("ambiguous")


def _attached_letter(look: Look, part: Part, path: tuple[str, ...]) -> str:
    names = part.names
    name = label(names) if names else "(letter)"
    look.items.append(
        Item((*path, name), kept(names), kept_extensions(names), part.media_type, "message", "text", part.size_octets,
             "letter", tuple(sorted(name_problems(names))))
    )  # fmt: skip
    return name


def _read_container(look: Look, part: Part, path: tuple[str, ...], depth: int) -> None:
    """What stands before the first and after the last delimiter, and a multipart that has a file's name."""
    if part.names and name_problems(part.names):
        look.file(b"", part.names, declared=part.media_type, parent=path, depth=depth)
    octets = part.children[0].octets
    for start, end in (part.preamble, part.epilogue):
        if end - start > 8:
            text = bytes(octets[start : min(end, start + _MAX_BODY_OCTETS)])
            _read_hidden(look, text, path, depth)
            header = _PART_HEADER.search(text)
            if header is not None and look.purse.entries_left > 0:
                _read_leaves(look, scan(text[header.start() :]), path, depth)


def _read_leaves(look: Look, message: Message, path: tuple[str, ...], depth: int) -> None:
    """A part that only some programs see."""
    for part in message.walk():
        if not part.children and (part.names or part.transfer_encoding == "base64"):
            look.purse.entry()
            data = part.decoded(look.purse.octets_left)
            look.file(data, part.names, declared=part.media_type, role="hidden", parent=path, depth=depth)


def _read_hidden(look: Look, text: bytes, path: tuple[str, ...], depth: int) -> None:
    for file in hidden_files(text):
        look.purse.entry()
        look.purse.grow(len(file.octets))
        look.file(file.octets, (file.name,) if file.name else (), role="hidden", parent=path, depth=depth)
    if b"TV" in text or b"f0VM" in text or b"UEsD" in text or b"0M8R4K" in text or b"N3q8r" in text:
        for octets in bare_base64(text):
            if FAMILIES.get(detect(octets)) in ("executable", "archive", "document"):
                look.purse.entry()
                look.purse.grow(len(octets))
                look.file(octets, (), role="hidden", parent=path, depth=depth)


def _read_leaf(look: Look, part: Part, above: Part | None, path: tuple[str, ...], depth: int) -> None:
    names = part.names
    role = _role(part, above, names)
    described = part.first("content-description") if role != "body" else None
    if described is not None:
        names += _described(described.text)
    limit = look.purse.octets_left + 1
    data = part.decoded(limit)
    if len(data) >= limit:
        raise OverBound("expanded")
    if role == "body":
        kind = detect(data)
        if FAMILIES.get(kind, "") not in ("text", "") and kind != "svg" and not _is_readable(kind):
            role = "attachment"
        elif b"begin" in data or b"ase64" in data:
            _read_hidden(look, data, path, depth)
    is_encrypted = above is not None and above.media_type == "multipart/encrypted"
    if part.media_type.endswith("pkcs7-mime") and part.parameters.get("smime-type", "").lower() == "enveloped-data":
        is_encrypted = True
    problems = ("encrypted-letter",) if is_encrypted else ()
    look.file(data, names, declared=part.media_type, types=part.media_types, role=role, parent=path, depth=depth,
              problems=problems)  # fmt: skip
    if role != "body":
        _read_otherwise(look, part, data, path, depth)


def _described(text: str) -> tuple[str, ...]:
    """A description that is the name of a program, which some clients save the part by."""
    found = extensions((text,)) & EXTENSIONS
    return (text,) if found - _WORDS_TOO else ()


_WORDS_TOO = frozenset({"com", "app", "run", "so", "one", "action", "service", "tool", "link"})


def _is_readable(kind: str) -> bool:
    return kind in ("shebang", "script", "reg", "url-shortcut", "desktop-entry", "jnlp", "settings-shortcut")


def _read_otherwise(look: Look, part: Part, data: bytes, path: tuple[str, ...], depth: int) -> None:
    """The same body by the other encodings that were named, or by base64 where none was and it looks like it."""
    others: Iterable[bytes] = ()
    if len(set(part.transfer_encodings)) > 1:
        limit = look.purse.octets_left
        others = [part.decoded(limit, e) for e in set(part.transfer_encodings) if e != part.transfer_encoding]
    elif part.transfer_encoding != "base64" and _WHOLE_BASE64.match(data[:200]):
        others = [decode_base64(data[: 16 << 20])]
    for octets in others:
        if FAMILIES.get(detect(octets)) in ("executable", "archive", "document"):
            look.purse.entry()
            look.file(octets, part.names, declared=part.media_type, role="hidden", parent=path, depth=depth)


def _role(part: Part, above: Part | None, names: tuple[str, ...]) -> str:
    kind = part.media_type
    if kind in _BODY_TYPES or (part.is_multipart and not part.children):
        is_named = bool(names) or part.disposition == "attachment"
        if not is_named or (above is not None and above.media_type == "multipart/alternative"):
            return "body"
        return "attachment"
    if kind in _STRUCTURE_TYPES:
        return "structure"
    if above is not None and above.media_type == "multipart/encrypted":
        return "structure"
    if kind.startswith("image/") and (part.disposition == "inline" or part.content_id):
        return "inline"
    if kind in ("message/rfc822", "message/global", "message/partial", "message/external-body"):
        return "letter"
    return "attachment"
