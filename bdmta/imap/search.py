"""SEARCH, SORT and THREAD: read, look in the executor, tell (RFC 3501 §6.4.4, RFC 4731, RFC 5256, RFC 7162 §3.1.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bdmta.imap.errors import No
from bdmta.imap.search_keys import CHARSETS, BadCharset, SearchProgram, parse_charset_and_search, parse_search
from bdmta.imap.search_match import Looked, looked_at, matching_rows
from bdmta.imap.sequence import render_set
from bdmta.imap.session import Session
from bdmta.imap.sort import SortKey, parse_sort_keys, sorted_rows
from bdmta.imap.syntax import BadSyntax, Cursor
from bdmta.imap.thread import Node, ordered_subject, references, render_threads

_ALGORITHMS = {"REFERENCES": references, "ORDEREDSUBJECT": ordered_subject}


async def search(session: Session, cursor: Cursor) -> bytes:
    """By sequence number."""
    return await _search(session, cursor, by_uid=False)


async def uid_search(session: Session, cursor: Cursor) -> bytes:
    """By UID."""
    return await _search(session, cursor, by_uid=True)


async def sort(session: Session, cursor: Cursor) -> bytes:
    """By sequence number."""
    return await _sort(session, cursor, by_uid=False)


async def uid_sort(session: Session, cursor: Cursor) -> bytes:
    """By UID."""
    return await _sort(session, cursor, by_uid=True)


async def thread(session: Session, cursor: Cursor) -> bytes:
    """By sequence number."""
    return await _thread(session, cursor, by_uid=False)


async def uid_thread(session: Session, cursor: Cursor) -> bytes:
    """By UID."""
    return await _thread(session, cursor, by_uid=True)


def _looked(session: Session) -> Looked:
    view, server = session.selected(), session.server
    return looked_at(
        view.box, view.columns, view.recent_rows, server.clock.time(), server.settings.offset_s, server.fold
    )


def _program(session: Session, read: Callable[[], SearchProgram]) -> SearchProgram:
    try:
        program = read()
    except BadCharset:
        raise No(f"[BADCHARSET ({' '.join(CHARSETS)})] Unknown charset") from None
    if program.has_modseq:
        session.start_condstore()
    return program


async def _search(session: Session, cursor: Cursor, *, by_uid: bool) -> bytes:
    with_modseq, with_return = session.offers("CONDSTORE"), session.offers("ESEARCH")
    program = _program(session, lambda: parse_search(cursor, allow_modseq=with_modseq, allow_return=with_return))
    at = _looked(session)
    session.send(await session.run(_search_line, at, program, session.tag, by_uid))
    return b"OK Searched"


def _search_line(at: Looked, program: SearchProgram, tag: bytes, by_uid: bool) -> bytes:
    rows = matching_rows(at, program.key)
    if program.returns is None:
        return _numbers(b"SEARCH", at, rows, by_uid=by_uid) + _modseq(at, rows, program) + b"\r\n"
    return _esearch(tag, at, rows, program, by_uid=by_uid)


def _numbers(name: bytes, at: Looked, rows: Sequence[int], *, by_uid: bool) -> bytes:
    if not rows:
        return b"* " + name
    uids = at.columns.uid
    numbers = [uids[row] for row in rows] if by_uid else [row + 1 for row in rows]
    return b"* " + name + b" " + " ".join(map(str, numbers)).encode()


def _modseq(at: Looked, rows: Sequence[int], program: SearchProgram) -> bytes:
    if not program.has_modseq or not rows:
        return b""
    return b" (MODSEQ %d)" % max(at.columns.modseq[row] for row in rows)


def _esearch(tag: bytes, at: Looked, rows: Sequence[int], program: SearchProgram, *, by_uid: bool) -> bytes:
    """RFC 4731 §3.1; nothing of MIN, MAX, ALL when nothing was found."""
    returns = program.returns or frozenset()
    uids = at.columns.uid
    pieces = [b'* ESEARCH (TAG "%b")' % tag]
    if by_uid:
        pieces.append(b"UID")
    if rows:
        if "MIN" in returns:
            pieces.append(b"MIN %d" % (uids[rows[0]] if by_uid else rows[0] + 1))
        if "MAX" in returns:
            pieces.append(b"MAX %d" % (uids[rows[-1]] if by_uid else rows[-1] + 1))
        if "ALL" in returns:
            pieces.append(b"ALL " + render_set(uids[row] if by_uid else row + 1 for row in rows))
    if "COUNT" in returns:
        pieces.append(b"COUNT %d" % len(rows))
    if program.has_modseq and rows:
        told: Sequence[int] = rows
        if not returns & {"ALL", "COUNT"}:  # RFC 7162 §3.1.10
            told = [*([rows[0]] if "MIN" in returns else []), *([rows[-1]] if "MAX" in returns else [])]
        pieces.append(b"MODSEQ %d" % max(at.columns.modseq[row] for row in told))
    return b" ".join(pieces) + b"\r\n"


async def _sort(session: Session, cursor: Cursor, *, by_uid: bool) -> bytes:
    keys = parse_sort_keys(cursor)
    cursor.space()
    with_modseq = session.offers("CONDSTORE")
    program = _program(session, lambda: parse_charset_and_search(cursor, allow_modseq=with_modseq))
    at = _looked(session)
    session.send(await session.run(_sort_line, at, program, keys, by_uid))
    return b"OK Sorted"


def _sort_line(at: Looked, program: SearchProgram, keys: Sequence[SortKey], by_uid: bool) -> bytes:
    rows = sorted_rows(at, matching_rows(at, program.key), keys)
    return _numbers(b"SORT", at, rows, by_uid=by_uid) + _modseq(at, rows, program) + b"\r\n"


async def _thread(session: Session, cursor: Cursor, *, by_uid: bool) -> bytes:
    algorithm = cursor.word()
    if algorithm not in _ALGORITHMS or not session.offers(f"THREAD={algorithm}"):
        raise BadSyntax("unknown algorithm")
    cursor.space()
    with_modseq = session.offers("CONDSTORE")
    program = _program(session, lambda: parse_charset_and_search(cursor, allow_modseq=with_modseq))
    at = _looked(session)
    octets = await session.run(_found_and_threaded, at, program, _ALGORITHMS[algorithm], by_uid)
    session.send(b"* THREAD" + (b" " + octets if octets else b"") + b"\r\n")
    return b"OK Threaded"


def _found_and_threaded(
    at: Looked, program: SearchProgram, algorithm: Callable[[Looked, Sequence[int]], list[Node]], by_uid: bool
) -> bytes:
    uids = at.columns.uid
    top = algorithm(at, matching_rows(at, program.key))
    return render_threads(top, (lambda row: uids[row]) if by_uid else (lambda row: row + 1))
