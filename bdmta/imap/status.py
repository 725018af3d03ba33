"""STATUS and the STATUS return option of LIST (RFC 3501 §6.3.10, RFC 5819, RFC 7162 §3.1.7)."""

from __future__ import annotations

from bdmta.imap.response import folder_name, folder_octets
from bdmta.imap.session import Session
from bdmta.imap.syntax import BadSyntax, Cursor
from storage.box_types import Status

_ITEMS = {"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "HIGHESTMODSEQ"}


async def status(session: Session, cursor: Cursor) -> bytes:
    """A folder's figures without selecting it."""
    name = folder_name(cursor.astring(), utf8=session.utf8)
    cursor.space()
    items = parse_status_items(session, cursor)
    cursor.end()
    figures = await session.run(session.owner().status, name)
    session.send(status_line(session, name, figures, items))
    return b"OK Status"


def parse_status_items(session: Session, cursor: Cursor) -> tuple[str, ...]:
    """The parenthesised items, each once."""
    items = tuple(dict.fromkeys(cursor.words()))
    if not items or set(items) - _ITEMS:
        raise BadSyntax("unknown status item")
    if "HIGHESTMODSEQ" in items:
        if not session.offers("CONDSTORE"):
            raise BadSyntax("unknown status item")
        session.start_condstore()
    return items


def status_line(session: Session, name: str, figures: Status, items: tuple[str, ...]) -> bytes:
    """`* STATUS name (...)`."""
    counts = figures.counts
    values = {
        "MESSAGES": counts.messages, "RECENT": counts.recent, "UNSEEN": counts.unseen, "UIDNEXT": figures.uidnext,
        "UIDVALIDITY": figures.uidvalidity, "HIGHESTMODSEQ": figures.highestmodseq,
    }  # fmt: skip
    told = " ".join(f"{item} {values[item]}" for item in items).encode()
    return b"* STATUS %b (%b)\r\n" % (folder_octets(name, utf8=session.utf8), told)
