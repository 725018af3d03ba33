"""SELECT, EXAMINE, CLOSE, UNSELECT, NOOP and CHECK."""

from __future__ import annotations

from bdmta.imap.errors import No
from bdmta.imap.response import folder_flags, folder_name
from bdmta.imap.session import Session
from bdmta.imap.syntax import BadSyntax, Cursor
from storage.box import View
from storage.box_types import SEEN
from storage.errors import NotFound


async def noop(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.1.2, §6.4.1: what changed is told behind every command; here that is all."""
    return b"OK Done"


async def select(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.3.1."""
    return await _open(session, cursor, read_only=False)


async def examine(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.3.2."""
    return await _open(session, cursor, read_only=True)


async def _open(session: Session, cursor: Cursor, *, read_only: bool) -> bytes:
    name = folder_name(cursor.astring(), utf8=session.utf8)
    if not cursor.at_end():
        cursor.space()
        if cursor.words() != ["CONDSTORE"] or not session.offers("CONDSTORE"):
            raise BadSyntax("unknown SELECT parameter")
        cursor.end()
        session.condstore = True
    if session.view is not None:
        session.close_view()
        if session.offers("CONDSTORE"):
            session.send(b"* OK [CLOSED] Previous folder closed\r\n")  # RFC 7162 §3.2.11
    try:
        view = await session.run(_open_view, session, name, read_only)
    except NotFound:
        raise No("[NONEXISTENT] There is no such folder") from None
    session.view = view
    session.send(_figures(view, with_modseq=session.offers("CONDSTORE")))
    if not read_only:
        session.fact("select", folder=name)
    return b"OK [READ-ONLY] Examined" if read_only else b"OK [READ-WRITE] Selected"


def _open_view(session: Session, name: str, read_only: bool) -> View:
    return session.owner().open_view(name, read_only=read_only)


def _figures(view: View, *, with_modseq: bool) -> bytes:
    """The untagged answers of SELECT in their usual order."""
    box = view.box
    count = len(view.columns)
    unseen = box.first_unseen_row() if view.columns is box.columns else _first_unseen(view)
    lines = [
        folder_flags(view.keywords, read_only=view.read_only),
        b"* %d EXISTS\r\n* %d RECENT\r\n" % (count, view.recent_count),
    ]
    if unseen is not None:
        lines.append(b"* OK [UNSEEN %d] First unseen\r\n" % (unseen + 1))
    lines.append(b"* OK [UIDVALIDITY %d] UIDs valid\r\n* OK [UIDNEXT %d] Next UID\r\n" % (box.uidvalidity, box.uidnext))
    if with_modseq:
        lines.append(b"* OK [HIGHESTMODSEQ %d] Highest\r\n" % box.highestmodseq)
    return b"".join(lines)


def _first_unseen(view: View) -> int | None:
    return next((row for row, flags in enumerate(view.columns.flags) if not flags & SEEN), None)


async def close(session: Session, cursor: Cursor) -> bytes:
    """RFC 3501 §6.4.2: letters marked deleted go, and nobody is told."""
    view = session.selected()
    if not view.read_only:
        await session.refresh()
        view.poll()
        await session.run(view.expunge)
    session.close_view()
    return b"OK Closed"


async def unselect(session: Session, cursor: Cursor) -> bytes:
    """RFC 3691."""
    session.close_view()
    return b"OK Unselected"
