"""EXPUNGE and UID EXPUNGE (RFC 3501 §6.4.3, RFC 4315 §2.1)."""

from __future__ import annotations

from collections.abc import Sequence

from bdmta.imap.errors import No
from bdmta.imap.sequence import parse_sequence_set
from bdmta.imap.session import Session
from bdmta.imap.syntax import Cursor


async def expunge(session: Session, cursor: Cursor) -> bytes:
    r"""All letters marked \Deleted."""
    return await _expunge(session, None)


async def uid_expunge(session: Session, cursor: Cursor) -> bytes:
    r"""Of these UIDs, those marked \Deleted."""
    wanted = parse_sequence_set(cursor)
    cursor.end()
    return await _expunge(session, wanted.rows(session.selected().columns.uid, by_uid=True))


async def _expunge(session: Session, rows: Sequence[int] | None) -> bytes:
    view = session.selected()
    if view.read_only:
        raise No("[READ-ONLY] The folder was opened with EXAMINE")
    session.tell(await session.run(view.expunge, rows))
    if session.condstore:  # RFC 7162 §3.1.2.1
        return b"OK [HIGHESTMODSEQ %d] Expunged" % view.box.highestmodseq
    return b"OK Expunged"
