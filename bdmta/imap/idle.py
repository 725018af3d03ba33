"""IDLE (RFC 2177): what changes is told as it happens."""

from __future__ import annotations

from bdmta.imap.session import Session
from bdmta.imap.syntax import BadSyntax, Cursor

KEEP_ALIVE_S = 290.0  # address translators forget a silent connection after some five minutes


async def idle(session: Session, cursor: Cursor) -> bytes:
    """Tell until the client says DONE. The session's idle time runs meanwhile (30 minutes)."""
    session.send(b"+ idling\r\n")
    session.push_alerts()
    session.last_letter = None
    while not session.wire.has_line():
        session.check_login()
        await session.refresh()
        session.tell_changes(expunge=True)
        await session.wire.flush()
        if session.wire.has_line():
            break
        if not await session.wire.news(session.view, KEEP_ALIVE_S):
            session.send(b"* OK Still here\r\n")
        session.push_alerts()
    if (await session.wire.line()).upper() != b"DONE":
        raise BadSyntax("DONE expected")
    return b"OK Idle ended"
