"""Untagged FETCH answers that tell flags: one join for as many letters as there are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from bdmta.imap.render_lines import Column, ascending_numbers, lines
from bdmta.imap.response import flag_list
from storage.box import View
from storage.box_types import RECENT


def flag_texts(view: View, rows: Sequence[int]) -> list[bytes]:
    r"""`FLAGS (...)` of those rows, \Recent included; a folder has few distinct masks, each is rendered once."""
    flags = view.columns.flags
    keywords = view.box.keywords
    picked = (
        flags[rows.start : rows.stop] if isinstance(rows, range) and rows.step == 1 else [flags[row] for row in rows]
    )
    texts = _flag_texts(picked, 0, keywords)
    for run in view.recent_rows:
        start, stop = bisect_left(rows, run.start), bisect_left(rows, run.stop)
        texts[start:stop] = _flag_texts(picked[start:stop], RECENT, keywords)
    return texts


def _flag_texts(masks: Sequence[int], more: int, keywords: tuple[str, ...]) -> list[bytes]:
    known = {mask: _flags(mask | more, keywords) for mask in set(masks)}
    return [known[mask] for mask in masks]


def _flags(mask: int, keywords: tuple[str, ...]) -> bytes:
    return b"FLAGS (%b)" % flag_list(mask, keywords)


def modseq_texts(modseqs: Sequence[int]) -> list[bytes]:
    """`MODSEQ (...)` of each; letters that changed together have the same."""
    known = {modseq: b"MODSEQ (%d)" % modseq for modseq in set(modseqs)}
    return [known[modseq] for modseq in modseqs]


def column(values: Any, rows: Sequence[int]) -> Any:
    """The values of those rows; a slice where they are one run."""
    if isinstance(rows, range) and rows.step == 1:
        return values[rows.start : rows.stop]
    return [values[row] for row in rows]


def flag_lines(view: View, rows: Sequence[int], *, with_uid: bool, with_modseq: bool, with_flags: bool = True) -> bytes:
    """`* n FETCH (...)` for each row."""
    columns: list[Column] = []
    if with_uid:
        columns.append((b"UID ", ascending_numbers(column(view.columns.uid, rows))))
    if with_flags:
        columns.append((b" " if columns else b"", flag_texts(view, rows)))
    if with_modseq:
        columns.append((b" " if columns else b"", modseq_texts(column(view.columns.modseq, rows))))
    return lines(rows, columns)
