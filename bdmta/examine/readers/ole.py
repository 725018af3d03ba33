"""Old Office documents, Outlook messages, installers, and objects that a document holds ([MS-DOC], [MS-XLS], …)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from bdmta.examine.errors import Unreadable
from bdmta.examine.readers.compound import Compound, Node
from bdmta.examine.readers.opening import Member, Opening

_MSI_CLASSES = (b"\x84\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0F", b"\x86\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0F",
                b"\x82\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0F")  # fmt: skip
_MACRO_STORAGES = frozenset({"macros", "_vba_project_cur", "vba", "_vba_project"})
_MAX_OBJECTS = 500


def read_ole(opening: Opening) -> Iterator[Member]:
    """What a compound file holds besides its own text: embedded files and documents; refines the kind."""
    compound = Compound(opening.data, opening.purse)
    opening.kind = kind_of(compound)
    if opening.kind == "msi":
        return
    _note_macros(compound, opening)
    _note_encryption(compound, opening)
    if opening.kind == "ole-powerpoint":
        yield from _powerpoint_objects(compound, opening)
    yield from _objects(compound, opening)


def kind_of(compound: Compound) -> str:
    """Which program's document it is, by its main stream."""
    top = {node.path[0].lower() for node in compound.nodes if len(node.path) == 1}
    if compound.root_class_id in _MSI_CLASSES:
        return "msi"
    for stream, kind in (
        ("encryptedpackage", "ole-encrypted"), ("worddocument", "ole-word"), ("powerpoint document", "ole-powerpoint"),
        ("workbook", "ole-excel"), ("book", "ole-excel"), ("__properties_version1.0", "ole-message"),
    ):  # fmt: skip
        if stream in top:
            return kind
    return "ole-other"


def _note_macros(compound: Compound, opening: Opening) -> None:
    for node in compound.nodes:
        name = node.name.lower()
        if (name in _MACRO_STORAGES and not node.is_storage and node.size) or (name == "vba" and node.is_storage):
            opening.problems.add("macro")
    for stream in ("Workbook", "Book"):
        workbook = compound.find(stream)
        if workbook is not None:
            _note_excel(compound.read(workbook), opening)


def _note_excel(workbook: bytes, opening: Opening) -> None:
    """Macro sheets of Excel 4 (BoundSheet8, [MS-XLS] §2.4.28) and FilePass (§2.4.117)."""
    at = 0
    for _ in range(200_000):
        if at + 4 > len(workbook):
            return
        kind, size = struct.unpack_from("<HH", workbook, at)
        body = workbook[at + 4 : at + 4 + size]
        if kind == 0x85 and len(body) > 5 and body[5] == 1:
            opening.problems.add("macro")
        elif kind == 0x2F:
            opening.problems.add("encrypted")
        elif kind == 0x0A:
            return
        at += 4 + size


def _note_encryption(compound: Compound, opening: Opening) -> None:
    if opening.kind == "ole-encrypted":
        opening.problems.add("encrypted")
    word = compound.find("WordDocument")
    if word is not None:
        head = compound.read(word)[:12]
        if len(head) >= 12 and struct.unpack_from("<H", head, 10)[0] & 0x0100:
            opening.problems.add("encrypted")
    if compound.find("EncryptedSummary") is not None or compound.find("EncryptionInfo") is not None:
        opening.problems.add("encrypted")
    user = compound.find("Current User")
    if user is not None and b"\xdf\xc4\xd1\xf3" in compound.read(user)[:64]:
        opening.problems.add("encrypted")


def _objects(compound: Compound, opening: Opening) -> Iterator[Member]:
    attachments: dict[tuple[str, ...], dict[str, Node]] = {}
    for node in compound.nodes:
        if node.is_storage:
            continue
        name = node.name.lower()
        if name == "\x01ole10native":
            opening.purse.check_time()
            yield from native_object(compound.read(node))
        elif name in ("package", "contents", "embeddedodf") and len(node.path) > 0 and node.size:
            opening.purse.check_time()
            yield Member((), compound.read(node), role="embedded")
        elif opening.kind == "ole-message" and name.startswith("__substg1.0_37"):
            attachments.setdefault(node.path[:-1], {})[name[12:20]] = node
    for number, nodes in enumerate(attachments.values()):
        if number < _MAX_OBJECTS:
            yield from _message_attachment(compound, nodes)


def _message_attachment(compound: Compound, nodes: dict[str, Node]) -> Iterator[Member]:
    """An attachment of an Outlook message: names 3707 (long), 3704 (short), 3703 (extension); data 3701."""
    names = []
    for tag in ("3707001f", "3704001f", "3703001f", "3707001e", "3704001e", "3703001e"):
        if tag in nodes:
            raw = compound.read(nodes[tag])
            names.append(raw.decode("utf-16-le" if tag.endswith("f") else "cp1258", "replace").rstrip("\0"))
    content = nodes.get("37010102")
    if names or content is not None:
        yield Member(tuple(names), compound.read(content) if content is not None else None, role="embedded")


def native_object(stream: bytes) -> Iterator[Member]:
    """The file in an `Ole10Native` stream: label, path, command and the octets ([MS-OLEDS] §2.3.6)."""
    if len(stream) < 8:
        return
    body = stream[4:]
    flat = struct.unpack_from("<L", stream, 0)[0]
    names, at = [], 2
    for _ in range(2):
        stop = body.find(b"\0", at, at + 1024)
        if stop < 0:
            break
        names.append(body[at:stop].decode("cp1258", "replace"))
        at = stop + 1
    content = _native_content(body, at)
    if content is None:
        content, names = body[:flat] if flat else body, []
    yield Member(tuple(n for n in names if n), content, role="embedded")


def _native_content(body: bytes, at: int) -> bytes | None:
    if at + 8 > len(body):
        return None
    temp_octets = struct.unpack_from("<L", body, at + 4)[0]
    at += 8 + temp_octets
    if temp_octets > 4096 or at + 4 > len(body):
        return None
    size = struct.unpack_from("<L", body, at)[0]
    content = body[at + 4 : at + 4 + size]
    return content if content and len(content) == size else None


def _powerpoint_objects(compound: Compound, opening: Opening) -> Iterator[Member]:
    """Embedded objects and macros of a presentation: ExOleObjStg records ([MS-PPT] §2.10.34), often deflated."""
    node = compound.find("PowerPoint Document")
    stream = compound.read(node) if node is not None else b""
    at = 0
    for _ in range(50_000):
        if at + 8 > len(stream):
            return
        version, kind, size = struct.unpack_from("<HHL", stream, at)
        body = stream[at + 8 : at + 8 + size]
        if kind == 0x1011:
            opening.purse.check_time()
            yield Member((), _stored_object(opening, body, bool(version >> 4)), role="embedded")
        elif kind == 0x0400 and len(body) >= 8 and struct.unpack_from("<L", body, 4)[0]:
            opening.problems.add("macro")  # VBAInfoAtom.fHasMacros
        at += 8 if version & 0xF == 0xF else 8 + size


def _stored_object(opening: Opening, body: bytes, is_packed: bool) -> bytes:
    if not is_packed:
        return body
    try:
        return opening.purse.unpack(body[4:], zlib.decompressobj())[0]
    except Unreadable:
        opening.problems.add("unreadable")
        return b""
