"""APPEND (RFC 3501 §6.3.11, UTF8 of RFC 6855 §4): the letter goes to the store as it arrives, never whole in memory.

No policy looks at it (architecture, contract 7): it is its owner's draft or copy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bdmta.imap.errors import No, no_of
from bdmta.imap.frame import Announced
from bdmta.imap.response import folder_name, parse_date_time, split_flags
from bdmta.imap.server import Room
from bdmta.imap.session import Session
from bdmta.imap.syntax import BadSyntax, Cursor
from bdmta.session import Bye
from storage.errors import NotFound, StoreError

_BLOCK_OCTETS = 262_144
_MAX_DISCARDED_OCTETS = 1 << 30
_BARE_LF = re.compile(rb"(?<!\r)\n")
_ANNOUNCEMENT = re.compile(rb"~?\{\d{1,19}\+?\}\r?\n")


@dataclass(frozen=True, slots=True)
class _Head:
    name: str
    flags: int
    keywords: list[str]
    internaldate_s: float | None
    is_utf8: bool


class LineEnds:
    """Makes bare LF CRLF, block by block: letters are kept with CRLF (contract 3)."""

    def __init__(self) -> None:
        self._ends_with_cr = False

    def feed(self, block: bytes) -> bytes:
        """The block with its line ends right."""
        starts_right = self._ends_with_cr and block.startswith(b"\n")
        self._ends_with_cr = block.endswith(b"\r")
        if block.count(b"\n") == block.count(b"\r\n") + starts_right:
            return block
        if starts_right:
            return b"\n" + _BARE_LF.sub(b"\r\n", block[1:])
        return _BARE_LF.sub(b"\r\n", block)


async def append(session: Session, announced: Announced) -> bytes:
    """The tagged answer, without its tag. A letter that will not be taken is not asked for, or read past."""
    try:
        head = await _checked(session, announced)
    except (BadSyntax, No, StoreError) as error:
        answer = _answer_of(error)
        if answer is None:
            raise
        await _discard(session, announced)
        return answer
    if announced.is_sync:
        session.send(b"+ OK\r\n")
        await session.wire.flush()
    return await _take(session, announced, head)


def _answer_of(error: Exception) -> bytes | None:
    if isinstance(error, BadSyntax):
        return b"BAD " + str(error).encode("ascii", "replace")
    no = error if isinstance(error, No) else no_of(error) if isinstance(error, StoreError) else None
    return None if no is None else b"NO " + str(no).encode("ascii", "replace")


async def _checked(session: Session, announced: Announced) -> _Head:
    """The command is right and the letter would fit. Raises BadSyntax, No."""
    if session.mailbox is None:
        raise No("Log in first")
    head = _parse(session, announced)
    if announced.size > session.server.settings.max_literal_octets:
        raise No("[TOOBIG] The letter is too large")
    if announced.size == 0:
        raise No("[CANNOT] An empty letter")
    if not announced.is_sync and announced.size <= _BLOCK_OCTETS:
        return head  # it is on its way already, and looked at once when it is stored
    exists, room = await session.run(_place_for, session, head.name)
    if not exists:
        raise No("[TRYCREATE] There is no such folder")
    if room.limit_octets and room.used_octets + announced.size > room.limit_octets:
        raise No("[OVERQUOTA] The mailbox is full")
    if room.limit_letters and room.used_letters >= room.limit_letters:
        raise No("[OVERQUOTA] The mailbox is full")
    return head


def _place_for(session: Session, folder: str) -> tuple[bool, Room]:
    return session.owner().exists(folder), session.server.mail.room(session.account)


def _parse(session: Session, announced: Announced) -> _Head:
    cursor = Cursor(announced.text, utf8=session.utf8)
    session.tag = cursor.tag()
    cursor.space()
    cursor.word()
    cursor.space()
    name = folder_name(cursor.astring(), utf8=session.utf8)
    cursor.space()
    flags, keywords = 0, []  # type: int, list[str]
    if cursor.peek() == b"(":
        flags, keywords = split_flags(cursor.flags())
        cursor.space()
    internaldate_s = None
    if cursor.peek() == b'"':
        internaldate_s = float(parse_date_time(cursor.quoted()))
        cursor.space()
    is_utf8 = False
    if cursor.data[cursor.at : cursor.at + 6].upper() == b"UTF8 (":
        if not session.utf8:
            raise BadSyntax("UTF8=ACCEPT is not enabled")
        cursor.at += 6
        is_utf8 = True
    if (cursor.peek() == b"~") != is_utf8 or not _ANNOUNCEMENT.fullmatch(cursor.data, cursor.at):
        cursor.fail("literal")
    return _Head(name, flags, keywords, internaldate_s, is_utf8)


async def _discard(session: Session, announced: Announced) -> None:
    """A synchronising literal is not sent after a refusal; another one is on its way already and read past."""
    if announced.is_sync:
        return
    if session.mailbox is None or announced.size > _MAX_DISCARDED_OCTETS:
        raise Bye("Literal too large")
    left = announced.size
    while left:
        left -= len(await session.wire.block(min(left, _BLOCK_OCTETS)))
    await session.wire.line()


async def _take(session: Session, announced: Announced, head: _Head) -> bytes:
    incoming = session.server.incoming()
    try:
        full: StoreError | None = None
        ends = LineEnds()
        left = announced.size
        while left:
            block = await session.wire.block(min(left, _BLOCK_OCTETS))
            left -= len(block)
            if full is None:
                try:
                    await incoming.write(ends.feed(block))
                except StoreError as error:
                    full = error
        if await session.wire.line() != (b")" if head.is_utf8 else b""):
            return b"BAD one letter an APPEND"
        if full is not None:
            raise full
        letter = incoming.letter()
        placed = await session.run(
            session.owner().append, head.name, letter, head.flags, head.keywords, head.internaldate_s
        )
    except NotFound:
        raise No("[TRYCREATE] There is no such folder") from None
    finally:
        incoming.close()
    if session.view is not None:
        await session.refresh()
        session.tell_changes(expunge=True)
    return b"OK [APPENDUID %d %d] Appended" % (placed.uidvalidity, placed.uids[0])
