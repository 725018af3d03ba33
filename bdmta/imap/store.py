"""STORE (RFC 3501 §6.4.6, UNCHANGEDSINCE of RFC 7162 §3.1.3)."""

from __future__ import annotations

from collections.abc import Sequence

from bdmta.imap.errors import No
from bdmta.imap.render_flags import flag_lines
from bdmta.imap.response import split_flags
from bdmta.imap.sequence import parse_sequence_set, render_set
from bdmta.imap.session import Session
from bdmta.imap.syntax import BadSyntax, Cursor
from storage.box import View
from storage.box_types import SEEN, Changed

_CHANGES = {"FLAGS": "=", "+FLAGS": "+", "-FLAGS": "-"}


async def store(session: Session, cursor: Cursor) -> bytes:
    """By sequence number."""
    return await _store(session, cursor, by_uid=False)


async def uid_store(session: Session, cursor: Cursor) -> bytes:
    """By UID; answers name the UID."""
    return await _store(session, cursor, by_uid=True)


async def _store(session: Session, cursor: Cursor, *, by_uid: bool) -> bytes:
    view = session.selected()
    wanted = parse_sequence_set(cursor)
    cursor.space()
    unchanged_since = _modifier(session, cursor)
    item = cursor.word()
    is_silent = item.endswith(".SILENT")
    change = _CHANGES.get(item.removesuffix(".SILENT"))
    if change is None:
        raise BadSyntax("FLAGS, +FLAGS or -FLAGS expected")
    cursor.space()
    flags, keywords = split_flags(cursor.flags())
    cursor.end()
    rows = wanted.rows(view.columns.uid, by_uid=by_uid)
    if view.read_only:
        raise No("[READ-ONLY] The folder was opened with EXAMINE")
    before = view.columns.flags
    changed = await session.run(_change, view, rows, change, flags, keywords, unchanged_since)
    if change != "-" and flags & SEEN:
        session.note_read(view, sum(1 for row in changed.rows if not before[row] & SEEN))
    session.tell_keywords()
    with_modseq = session.condstore
    if changed.rows and (with_modseq or not is_silent):
        session.send(
            flag_lines(
                view, changed.rows, with_uid=by_uid or with_modseq, with_modseq=with_modseq, with_flags=not is_silent
            )
        )
    return _answer(view, changed, by_uid=by_uid)


def _modifier(session: Session, cursor: Cursor) -> int | None:
    if cursor.peek() != b"(":
        return None
    cursor.expect(b"(")
    if cursor.word() != "UNCHANGEDSINCE" or not session.offers("CONDSTORE"):
        raise BadSyntax("unknown modifier")
    cursor.space()
    since = cursor.number()
    cursor.expect(b")")
    cursor.space()
    session.start_condstore()
    return since


def _change(
    view: View, rows: Sequence[int], change: str, flags: int, keywords: list[str], unchanged_since: int | None
) -> Changed:
    return view.store(rows, change, flags, keywords, unchanged_since=unchanged_since)


def _answer(view: View, changed: Changed, *, by_uid: bool) -> bytes:
    if changed.modified:
        numbers = [view.columns.uid[row] if by_uid else row + 1 for row in changed.modified]
        return b"OK [MODIFIED %b] Some had changed" % render_set(numbers)
    if changed.missing and not by_uid:
        return b"OK [EXPUNGEISSUED] Some are gone"
    return b"OK Stored"
