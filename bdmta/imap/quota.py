"""GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 2087): one root for all of a mailbox's folders."""

from __future__ import annotations

from bdmta.imap.errors import No
from bdmta.imap.response import folder_name, folder_octets
from bdmta.imap.session import Session
from bdmta.imap.syntax import Cursor

_ROOT = "Mailbox"


async def getquota(session: Session, cursor: Cursor) -> bytes:
    """The figures of the root."""
    root = cursor.text()
    cursor.end()
    if root != _ROOT:
        raise No("[NONEXISTENT] There is no such quota root")
    await _send_quota(session)
    return b"OK Quota"


async def getquotaroot(session: Session, cursor: Cursor) -> bytes:
    """Every folder lies under the one root."""
    name = folder_name(cursor.astring(), utf8=session.utf8)
    cursor.end()
    if not await session.run(session.owner().exists, name):
        raise No("[NONEXISTENT] There is no such folder")
    session.send(b'* QUOTAROOT %b "%b"\r\n' % (folder_octets(name, utf8=session.utf8), _ROOT.encode()))
    await _send_quota(session)
    return b"OK Quota"


async def setquota(session: Session, cursor: Cursor) -> bytes:
    """The Center sets it, not the holder (Điều 18.1)."""
    raise No("[NOPERM] The quota is set by the operators")


async def _send_quota(session: Session) -> None:
    room = await session.run(session.server.mail.room, session.account)
    resources = []
    if room.limit_octets:
        resources.append(f"STORAGE {-(-room.used_octets // 1024)} {room.limit_octets // 1024}")
    if room.limit_letters:
        resources.append(f"MESSAGE {room.used_letters} {room.limit_letters}")
    session.send(b'* QUOTA "%b" (%b)\r\n' % (_ROOT.encode(), " ".join(resources).encode()))
