"""Renders the answers of a FETCH for a slice of letters: a column of octets an item, one join (`render_lines`).

Blocks on the disk when `Plan.needs_disk`: run it in the executor then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bdmta.imap.fetch_items import FetchItem
from bdmta.imap.render_flags import column, flag_texts, modseq_texts
from bdmta.imap.render_lines import Column, ascending_numbers, lines, numbers
from bdmta.imap.response import date_time, literal
from bdmta.imap.section import Letter, Span, picked_fields
from storage.box import View
from storage.box_types import RENDERED
from storage.errors import NotFound

BIG_OCTETS = 1_048_576


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for, sorted by where it comes from; `sections` are told last."""

    plain: tuple[FetchItem, ...]
    sections: tuple[FetchItem, ...]
    rendered: tuple[str, ...]
    needs_octets: bool
    needs_disk: bool
    slice_count: int
    offset_s: int


def plan_of(items: Sequence[FetchItem], offset_s: int) -> Plan:
    """Sort the items out."""
    sections = tuple(item for item in items if item.section is not None)
    plain = tuple(item for item in items if item.section is None)
    rendered = tuple(item.name.lower() for item in plain if item.name.lower() in RENDERED)
    needs_octets = any(item.section is not None and not item.section.needs_header_only for item in sections)
    needs_disk = bool(sections or rendered)
    return Plan(plain, sections, rendered, needs_octets, needs_disk, 500 if sections else 2000, offset_s)


def render_rows(view: View, plan: Plan, rows: Sequence[int]) -> tuple[bytes, int]:
    """The answers for those rows, and how many letters were gone."""
    uids = column(view.columns.uid, rows)
    asked = len(rows)
    ready = view.box.rendered(uids, *plan.rendered) if plan.rendered else None
    texts = _texts(view, plan, uids)
    if (ready is not None and None in ready) or (texts is not None and None in texts):
        kept = [
            i
            for i in range(asked)
            if (ready is None or ready[i] is not None) and (texts is None or texts[i] is not None)
        ]
        rows = [rows[i] for i in kept]
        ready = ready and [ready[i] for i in kept]
        texts = texts and [texts[i] for i in kept]
        if not kept:
            return b"", asked
    columns = _columns(view, plan, rows, ready)
    if texts is not None:
        columns += _text_columns(plan, texts)
    return lines(rows, columns), asked - len(rows)


def _columns(
    view: View, plan: Plan, rows: Sequence[int], ready: list[tuple[bytes, ...]] | list[Any] | None
) -> list[Column]:
    """Everything but the sections."""
    told = view.columns
    ready_columns = iter(zip(*ready, strict=True)) if ready else iter(())
    columns: list[Column] = []
    gap = b""
    for item in plan.plain:
        label, values = gap + item.label + b" ", None
        if item.name == "UID":
            values = ascending_numbers(column(told.uid, rows))
        elif item.name == "FLAGS":
            label, values = gap, flag_texts(view, rows)
        elif item.name == "RFC822.SIZE":
            values = numbers(column(told.size, rows))
        elif item.name == "MODSEQ":
            label, values = gap, modseq_texts(column(told.modseq, rows))
        elif item.name == "INTERNALDATE":
            values = [date_time(at_s, plan.offset_s) for at_s in column(told.internaldate, rows)]
        columns.append((label, next(ready_columns) if values is None else values))
        gap = b" "
    return columns


def _texts(view: View, plan: Plan, uids: Sequence[int]) -> list[list[bytes | None] | None] | None:
    """For each letter the octets of its sections (None: NIL); None for a letter that is gone."""
    if not plan.sections:
        return None
    if not plan.needs_octets:
        return [
            header if header is None else [_header_text(header, item) for item in plan.sections]
            for header in view.box.headers_of(uids)
        ]
    out: list[list[bytes | None] | None] = []
    is_whole = len(plan.sections) == 1 and plan.sections[0].section is not None and plan.sections[0].partial is None
    is_whole = is_whole and not plan.sections[0].section.path and not plan.sections[0].section.what  # type: ignore[union-attr]
    for octets in view.box.octets_of(uids):
        if octets is None:
            out.append(None)
        elif is_whole:
            out.append([octets if isinstance(octets, bytes) else octets[:]])
        else:
            letter = Letter(octets)
            out.append([_read(span) for span in spans_of(letter, plan)])
    return out


def _header_text(header: bytes, item: FetchItem) -> bytes:
    assert item.section is not None
    text = header if item.section.what == "HEADER" else picked_fields(header, item.section)
    return text if item.partial is None else text[item.partial[0] : item.partial[0] + item.partial[1]]


def _read(span: Span | None) -> bytes | None:
    return None if span is None else span.read()


def spans_of(letter: Letter, plan: Plan) -> list[Span | None]:
    """Where the sections lie, `<first.count>` applied."""
    spans = []
    for item in plan.sections:
        assert item.section is not None
        span = letter.span(item.section)
        spans.append(span if span is None else span.cut(item.partial))
    return spans


def _text_columns(plan: Plan, texts: list[Any]) -> list[Column]:
    """The sections; a text that is there for every letter is not copied before the join."""
    columns: list[Column] = []
    gap = b" " if plan.plain else b""
    for place, item in enumerate(plan.sections):
        column_texts = [text[place] for text in texts]
        if None in column_texts:
            told = [b"NIL" if octets is None else literal(octets) for octets in column_texts]
            columns.append((gap + item.label + b" ", told))
        else:
            columns.append((gap + item.label + b" {", numbers(list(map(len, column_texts)))))
            columns.append((b"}\r\n", column_texts))
        gap = b" "
    return columns


def render_streamed(view: View, plan: Plan, row: int, known: Letter | None) -> tuple[Letter, list[bytes | Span]] | None:
    """The answer for one large letter: octets, and spans to be read piece by piece. None when it is gone.

    `known`: the letter as an earlier call returned it; clients ask for large ones a part at a time.
    """
    rows = range(row, row + 1)
    uids = column(view.columns.uid, rows)
    ready = view.box.rendered(uids, *plan.rendered) if plan.rendered else None
    try:
        letter = known or Letter(view.box.octets(uids[0]))
    except NotFound:
        return None
    if ready is not None and ready[0] is None:
        return None
    pieces: list[bytes | Span] = [lines(rows, _columns(view, plan, rows, ready)).removesuffix(b")\r\n")]
    gap = b" " if plan.plain else b""
    for item, span in zip(plan.sections, spans_of(letter, plan), strict=True):
        if span is None:
            pieces.append(gap + item.label + b" NIL")
        else:
            pieces += [gap + item.label + b" {%d}\r\n" % len(span), span]
        gap = b" "
    pieces.append(b")\r\n")
    return letter, pieces
