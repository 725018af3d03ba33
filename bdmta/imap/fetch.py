"""FETCH (RFC 3501 §6.4.5, CHANGEDSINCE of RFC 7162 §3.1.4): which letters, in which slices (`fetch_rows`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bdmta.imap.fetch_items import FetchItem, parse_fetch_items, parse_fetch_modifiers, plain_item
from bdmta.imap.fetch_rows import BIG_OCTETS, Plan, plan_of, render_rows, render_streamed
from bdmta.imap.render_flags import flag_lines
from bdmta.imap.sequence import SequenceSet, parse_sequence_set
from bdmta.imap.session import Session
from bdmta.imap.syntax import BadSyntax, Cursor
from storage.box import View
from storage.box_read import AHEAD_COUNT
from storage.box_types import SEEN

_FLUSH_OCTETS = 262_144
_JOINED_OCTETS = 196_608  # of texts, in one piece: from 256 KiB on malloc would map and clear each anew (decision 0031)


async def fetch(session: Session, cursor: Cursor) -> bytes:
    """By sequence number."""
    return await _fetch(session, cursor, by_uid=False)


async def uid_fetch(session: Session, cursor: Cursor) -> bytes:
    """By UID; answers name the UID."""
    return await _fetch(session, cursor, by_uid=True)


@dataclass(frozen=True, slots=True)
class _Request:
    wanted: SequenceSet
    items: tuple[FetchItem, ...]
    changed_since: int | None


def _parse(session: Session, cursor: Cursor, *, by_uid: bool) -> _Request:
    wanted = parse_sequence_set(cursor)
    cursor.space()
    items = parse_fetch_items(cursor)
    changed_since = parse_fetch_modifiers(cursor)
    names = {item.name for item in items}
    if (changed_since is not None or "MODSEQ" in names) and not session.offers("CONDSTORE"):
        raise BadSyntax("unknown item MODSEQ")
    if by_uid and "UID" not in names:
        items = (plain_item("UID"), *items)
    if changed_since is not None and "MODSEQ" not in names:
        items = (*items, plain_item("MODSEQ"))
    if changed_since is not None or "MODSEQ" in names:
        session.start_condstore()
    elif session.condstore and "FLAGS" in names:  # RFC 7162 §3.1: every FETCH that tells flags tells their modseq
        items = (*items, plain_item("MODSEQ"))
    return _Request(wanted, items, changed_since)


async def _fetch(session: Session, cursor: Cursor, *, by_uid: bool) -> bytes:
    view = session.selected()
    request = _parse(session, cursor, by_uid=by_uid)
    rows = request.wanted.rows(view.columns.uid, by_uid=by_uid)
    if request.changed_since is not None:
        modseq = view.columns.modseq
        rows = [row for row in rows if modseq[row] > request.changed_since]
    now_seen = await _mark_seen(session, view, rows, request.items)
    session.tell_keywords()
    plan = plan_of(request.items, session.server.settings.offset_s)
    missing_count = await _send_rows(session, view, plan, rows)
    if now_seen and not any(item.name == "FLAGS" for item in request.items):
        session.send(flag_lines(view, now_seen, with_uid=by_uid or session.condstore, with_modseq=session.condstore))
    if missing_count and not by_uid:
        return b"OK [EXPUNGEISSUED] Some are gone"  # RFC 5530 §3; a NO would be shown to people as a failure
    return b"OK Fetched"


async def _mark_seen(session: Session, view: View, rows: Sequence[int], items: Sequence[FetchItem]) -> Sequence[int]:
    r"""Set \Seen where a text is asked for without PEEK; the rows that had it not."""
    if view.read_only or all(item.is_peek for item in items):
        return ()
    flags = view.columns.flags
    unseen = [row for row in rows if not flags[row] & SEEN]
    if not unseen:
        return ()
    changed = await session.run(view.store, unseen, "+", SEEN)
    session.note_read(view, len(unseen))
    return changed.rows


async def _send_rows(session: Session, view: View, plan: Plan, rows: Sequence[int]) -> int:
    """Send the answers slice by slice, no faster than the peer takes them; how many letters were gone."""
    missing_count = 0
    for start in range(0, len(rows), AHEAD_COUNT):
        chunk = rows[start : start + AHEAD_COUNT]
        if plan.rendered and len(chunk) > plan.slice_count:
            await session.run(view.box.read_ahead, view.uids_of(chunk))
        for slice_rows in _slices(view, plan, chunk, BIG_OCTETS):
            missing_count += await _send_slice(session, view, plan, slice_rows)
    return missing_count


async def _send_slice(session: Session, view: View, plan: Plan, rows: Sequence[int]) -> int:
    if plan.needs_octets and len(rows) == 1 and view.columns.size[rows[0]] > BIG_OCTETS:
        return await _stream(session, view, plan, rows[0])
    if plan.needs_disk:
        rendered = await session.run(_rendered, view, plan, rows)
    else:
        rendered = _rendered(view, plan, rows)
    for octets, _ in rendered:
        session.send(octets)
        await session.wire.flush()
    return sum(missing_count for _, missing_count in rendered)


def _rendered(view: View, plan: Plan, rows: Sequence[int]) -> list[tuple[bytes, int]]:
    """The answers in pieces, and how many letters were gone in each. Blocks when `plan.needs_disk`."""
    return [render_rows(view, plan, some) for some in _slices(view, plan, rows, _JOINED_OCTETS)]


def _slices(view: View, plan: Plan, rows: Sequence[int], limit_octets: int) -> Iterator[Sequence[int]]:
    """So many letters at a time that neither memory nor the loop suffers; texts of `limit_octets` or one letter's."""
    if not plan.needs_octets:
        for start in range(0, len(rows), plan.slice_count):
            yield rows[start : start + plan.slice_count]
        return
    sizes = view.columns.size
    start = octets = 0
    for place, row in enumerate(rows):
        size = sizes[row]
        if place > start and (octets + size > limit_octets or place - start >= plan.slice_count):
            yield rows[start:place]
            start, octets = place, 0
        octets += size
    if start < len(rows):
        yield rows[start:]


async def _stream(session: Session, view: View, plan: Plan, row: int) -> int:
    """One large letter, in pieces; 1 when it is gone."""
    uid = view.columns.uid[row]
    known = session.last_letter[1] if session.last_letter is not None and session.last_letter[0] == uid else None
    rendered = await session.run(render_streamed, view, plan, row, known)
    if rendered is None:
        return 1
    letter, pieces = rendered
    session.last_letter = (uid, letter)
    for piece in pieces:
        if isinstance(piece, bytes):
            session.send(piece)
            continue
        for start in range(0, len(piece), _FLUSH_OCTETS):
            session.send(await session.run(piece.cut((start, _FLUSH_OCTETS)).read))
            await session.wire.flush()
    await session.wire.flush()
    return 0
