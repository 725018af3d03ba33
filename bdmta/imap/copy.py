"""COPY and MOVE with COPYUID (RFC 3501 §6.4.7, RFC 6851, RFC 4315 §3)."""

from __future__ import annotations

from bdmta.imap.errors import No
from bdmta.imap.response import folder_name
from bdmta.imap.sequence import parse_sequence_set, render_set
from bdmta.imap.session import Session
from bdmta.imap.syntax import Cursor
from storage.box_types import Placed
from storage.errors import NotFound


async def copy(session: Session, cursor: Cursor) -> bytes:
    """By sequence number."""
    return await _place(session, cursor, by_uid=False, is_move=False)


async def uid_copy(session: Session, cursor: Cursor) -> bytes:
    """By UID."""
    return await _place(session, cursor, by_uid=True, is_move=False)


async def move(session: Session, cursor: Cursor) -> bytes:
    """By sequence number."""
    return await _place(session, cursor, by_uid=False, is_move=True)


async def uid_move(session: Session, cursor: Cursor) -> bytes:
    """By UID."""
    return await _place(session, cursor, by_uid=True, is_move=True)


async def _place(session: Session, cursor: Cursor, *, by_uid: bool, is_move: bool) -> bytes:
    view = session.selected()
    wanted = parse_sequence_set(cursor)
    cursor.space()
    name = folder_name(cursor.astring(), utf8=session.utf8)
    cursor.end()
    rows = wanted.rows(view.columns.uid, by_uid=by_uid)
    done = b"Moved" if is_move else b"Copied"
    if is_move and view.read_only:
        raise No("[READ-ONLY] The folder was opened with EXAMINE")
    if not rows:
        return b"OK Nothing to do"
    try:
        placed = await session.run(view.move if is_move else view.copy, rows, name)
    except NotFound:
        raise No("[TRYCREATE] There is no such folder") from None
    if not placed.uids:
        return b"NO [EXPUNGEISSUED] They are gone" if not by_uid else b"OK Nothing to do"
    if not is_move:
        return b"OK %b %b" % (_copyuid(placed), done)
    session.send(b"* OK %b Moved\r\n" % _copyuid(placed))  # RFC 6851 §4.3: before the expunges
    session.tell_changes(expunge=True)
    return b"OK " + done


def _copyuid(placed: Placed) -> bytes:
    return b"[COPYUID %d %b %b]" % (placed.uidvalidity, render_set(placed.source), render_set(placed.uids))
