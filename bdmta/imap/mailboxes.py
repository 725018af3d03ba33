"""Folders by name: LIST with its extensions, LSUB, XLIST, CREATE, DELETE, RENAME, subscriptions, NAMESPACE."""

from __future__ import annotations

from dataclasses import dataclass, field

from bdmta.imap.errors import No
from bdmta.imap.list_pattern import levels_above, matches, matches_any
from bdmta.imap.response import folder_name, folder_octets
from bdmta.imap.session import Session
from bdmta.imap.status import parse_status_items, status_line
from bdmta.imap.syntax import BadSyntax, Cursor
from storage.box_types import FolderInfo
from storage.errors import StoreError

_SPECIAL_USES = {
    use.lower(): use for use in ("\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash", "\\All", "\\Flagged")
}
_CREATABLE_USES = {"\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"}
_XLIST_USES = {"\\Junk": "\\Junk \\Spam", "\\All": "\\AllMail", "\\Flagged": "\\Starred"}
_MAX_PATTERNS = 100


@dataclass(slots=True)
class ListRequest:
    """A LIST's arguments. `is_extended`: RFC 5258's form was used."""

    patterns: list[str] = field(default_factory=list)
    wanted: frozenset[str] = frozenset()
    returns: frozenset[str] = frozenset()
    status_items: tuple[str, ...] = ()
    is_extended: bool = False


async def namespace(session: Session, cursor: Cursor) -> bytes:
    """RFC 2342: one's own folders, nothing shared."""
    session.send(b'* NAMESPACE (("" "/")) NIL NIL\r\n')
    return b"OK Namespace"


# -- LIST


async def list_(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.3.8, RFC 5258, RFC 6154, RFC 5819."""
    request = _parse_list(session, cursor)
    if not request.is_extended and request.patterns == [""]:
        session.send(b'* LIST (\\Noselect) "/" ""\r\n')
        return b"OK Listed"
    folders = await session.run(session.owner().folders)
    subscribed = (
        frozenset(await session.run(session.owner().subscriptions))
        if "SUBSCRIBED" in request.wanted | request.returns
        else frozenset()
    )
    for folder, attributes, extra in _listed(request, folders, subscribed):
        session.send(_line(session, b"LIST", folder.name, attributes, extra))
        if request.status_items and folder.selectable:
            await _send_status(session, folder.name, request.status_items)
            await session.wire.flush()
    return b"OK Listed"


def _parse_list(session: Session, cursor: Cursor) -> ListRequest:
    request = ListRequest()
    if cursor.peek() == b"(":
        request.is_extended = True
        request.wanted = _options(cursor.words(), {"SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE"})
        if "RECURSIVEMATCH" in request.wanted and not request.wanted - {"RECURSIVEMATCH", "REMOTE"}:
            raise BadSyntax("RECURSIVEMATCH wants another option")
        cursor.space()
    reference = folder_name(cursor.astring(), utf8=session.utf8)
    cursor.space()
    if cursor.skip(b"("):
        request.is_extended = True
        while not cursor.skip(b")"):
            if request.patterns:
                cursor.space()
            request.patterns.append(_pattern(session, cursor, reference))
            if len(request.patterns) > _MAX_PATTERNS:
                raise BadSyntax("too many patterns")
    else:
        request.patterns.append(_pattern(session, cursor, reference))
    if not cursor.at_end():
        cursor.space()
        if cursor.word() != "RETURN":
            raise BadSyntax("RETURN expected")
        cursor.space()
        request.is_extended = True
        _parse_returns(session, cursor, request)
    cursor.end()
    if request.is_extended and not session.offers("LIST-EXTENDED"):
        raise BadSyntax("unknown LIST form")
    return request


def _pattern(session: Session, cursor: Cursor, reference: str) -> str:
    pattern = folder_name(cursor.list_pattern(), utf8=session.utf8)
    return reference + pattern if pattern else ""


def _options(words: list[str], known: set[str]) -> frozenset[str]:
    if set(words) - known:
        raise BadSyntax("unknown LIST option")
    return frozenset(words)


def _parse_returns(session: Session, cursor: Cursor, request: ListRequest) -> None:
    cursor.expect(b"(")
    words: list[str] = []
    while not cursor.skip(b")"):
        if words:
            cursor.space()
        words.append(cursor.word())
        if words[-1] == "STATUS" and session.offers("LIST-STATUS"):
            cursor.space()
            request.status_items = parse_status_items(session, cursor)
        if len(words) > 10:
            raise BadSyntax("too many options")
    request.returns = _options(words, {"SUBSCRIBED", "CHILDREN", "SPECIAL-USE", "STATUS"})


def _listed(
    request: ListRequest, folders: list[FolderInfo], subscribed: frozenset[str]
) -> list[tuple[FolderInfo, list[str], bytes]]:
    """Each folder to tell with its attributes and CHILDINFO."""
    is_subscribed = "SUBSCRIBED" in request.wanted
    everything = list(folders)
    if is_subscribed:  # subscribed names need not exist, nor the levels above them
        known = {folder.name for folder in folders}
        missing = {name for full in subscribed for name in (full, *levels_above(full))} - known
        everything += [
            FolderInfo(name, False, any(other.startswith(name + "/") for other in known | missing), False)
            for name in sorted(missing)
        ]

    def taken(folder: FolderInfo) -> bool:
        return (not is_subscribed or folder.name in subscribed) and (
            "SPECIAL-USE" not in request.wanted or bool(folder.special_use)
        )

    hidden_children = _parents_of_hidden(request, [folder.name for folder in everything if taken(folder)])
    out = []
    for folder in everything:
        if not matches_any(request.patterns, folder.name):
            continue
        child_info = folder.name in hidden_children
        if taken(folder) or child_info:
            extra = b' ("CHILDINFO" ("SUBSCRIBED"))' if child_info and is_subscribed else b""
            out.append((folder, _attributes(folder, request, subscribed), extra))
    return out


def _parents_of_hidden(request: ListRequest, taken: list[str]) -> frozenset[str]:
    """RECURSIVEMATCH: folders with a taken descendant that the pattern itself does not show (RFC 5258 §3.5)."""
    if "RECURSIVEMATCH" not in request.wanted:
        return frozenset()
    return frozenset(above for name in taken if not matches_any(request.patterns, name) for above in levels_above(name))


def _attributes(folder: FolderInfo, request: ListRequest, subscribed: frozenset[str]) -> list[str]:
    attributes = []
    if not folder.selectable:
        attributes.append("\\NonExistent" if request.is_extended else "\\Noselect")
    attributes.append("\\HasChildren" if folder.has_children else "\\HasNoChildren")
    if folder.name in subscribed:
        attributes.append("\\Subscribed")
    if folder.special_use:
        attributes.append(folder.special_use)
    return attributes


def _line(session: Session, verb: bytes, name: str, attributes: list[str], extra: bytes = b"") -> bytes:
    return b'* %b (%b) "/" %b%b\r\n' % (
        verb,
        " ".join(attributes).encode(),
        folder_octets(name, utf8=session.utf8),
        extra,
    )


async def _send_status(session: Session, name: str, items: tuple[str, ...]) -> None:
    try:
        figures = await session.run(session.owner().status, name)
    except StoreError:
        return  # RFC 5819 §2: a folder that cannot be looked at has no STATUS line
    session.send(status_line(session, name, figures, items))


async def xlist(session: Session, cursor: Cursor) -> bytes:
    r"""Outlook 2013 and 2016's forerunner of SPECIAL-USE: LIST with \Inbox and \Spam."""
    reference = folder_name(cursor.astring(), utf8=session.utf8)
    cursor.space()
    request = ListRequest([_pattern(session, cursor, reference)])
    cursor.end()
    for folder, attributes, _ in _listed(request, await session.run(session.owner().folders), frozenset()):
        told = [_XLIST_USES.get(attribute, attribute) for attribute in attributes]
        session.send(_line(session, b"XLIST", folder.name, [*told, *(["\\Inbox"] if folder.name == "INBOX" else [])]))
    return b"OK Listed"


async def lsub(session: Session, cursor: Cursor) -> bytes:
    r"""RFC 3501 §6.3.9: subscribed names; with `%` also, as \Noselect, levels above hidden ones."""
    reference = folder_name(cursor.astring(), utf8=session.utf8)
    cursor.space()
    pattern = _pattern(session, cursor, reference)
    cursor.end()
    names = await session.run(session.owner().subscriptions)
    told = {name: [] for name in names if matches(pattern, name)}  # type: dict[str, list[str]]
    if pattern.endswith("%"):
        for name in names:
            for above in levels_above(name):
                if matches(pattern, above):
                    told.setdefault(above, ["\\Noselect"])
    for name, attributes in sorted(told.items()):
        session.send(_line(session, b"LSUB", name, attributes))
    return b"OK Listed"


# -- changing


def _name(session: Session, cursor: Cursor) -> str:
    return folder_name(cursor.astring(), utf8=session.utf8)


async def create(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.3.3, USE of RFC 6154 §3."""
    name = _name(session, cursor).removesuffix("/")
    use = ""
    if not cursor.at_end():
        cursor.space()
        use = _parse_use(cursor)
        cursor.end()
    if name == "INBOX":
        raise No("[ALREADYEXISTS] INBOX is always there")
    await session.run(session.owner().create, name, use)
    return b"OK Created"


def _parse_use(cursor: Cursor) -> str:
    cursor.expect(b"(")
    if cursor.word() != "USE":
        raise BadSyntax("USE expected")
    cursor.space()
    cursor.expect(b"(")
    uses: list[str] = []
    while not cursor.skip(b")"):
        if uses:
            cursor.space()
        uses.append(cursor.flag().decode("ascii", "replace"))
        if len(uses) > 10:
            raise BadSyntax("too many uses")
    cursor.expect(b")")
    known = [_SPECIAL_USES.get(use.lower(), "") for use in uses]
    if len(known) > 1 or not set(known) <= _CREATABLE_USES:
        raise No("[USEATTR] That use cannot be had")
    return known[0] if known else ""


async def delete(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.3.4."""
    name = _name(session, cursor)
    cursor.end()
    if name == "INBOX":
        raise No("[CANNOT] INBOX cannot be deleted")
    if session.view is not None and session.view.box.name == name:
        session.close_view()
    await session.run(session.owner().delete, name)
    return b"OK Deleted"


async def rename(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.3.5; INBOX's letters move and it stays."""
    old = _name(session, cursor)
    cursor.space()
    new = _name(session, cursor).removesuffix("/")
    cursor.end()
    await session.run(session.owner().rename, old, new)
    return b"OK Renamed"


async def subscribe(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.3.6."""
    name = _name(session, cursor)
    cursor.end()
    await session.run(session.owner().subscribe, name)
    return b"OK Subscribed"


async def unsubscribe(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.3.7."""
    name = _name(session, cursor)
    cursor.end()
    await session.run(session.owner().unsubscribe, name)
    return b"OK Unsubscribed"
