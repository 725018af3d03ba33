"""Untagged FETCH answers that tell flags: one join for as many letters as there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bdmta.imap.response import flag_list
from storage.box import View
from storage.box_types import RECENT


def flag_texts(view: View, rows: Sequence[int]) -> list[bytes]:
    r"""The flags of those rows, \Recent included; a folder has few distinct masks, each is rendered once."""
    flags = view.columns.flags
    keywords = view.box.keywords
    first_recent = view.recent_row
    picked = (
        flags[rows.start : rows.stop] if isinstance(rows, range) and rows.step == 1 else [flags[row] for row in rows]
    )
    known = {mask: flag_list(mask, keywords) for mask in set(picked)}
    texts = [known[mask] for mask in picked]
    if rows and rows[-1] >= first_recent:
        for place, row in enumerate(rows):
            if row >= first_recent:
                texts[place] = flag_list(picked[place] | RECENT, keywords)
    return texts


def column(values: Any, rows: Sequence[int]) -> Any:
    """The values of those rows; a slice where they are one run."""
    if isinstance(rows, range) and rows.step == 1:
        return values[rows.start : rows.stop]
    return [values[row] for row in rows]


def flag_lines(view: View, rows: Sequence[int], *, with_uid: bool, with_modseq: bool, with_flags: bool = True) -> bytes:
    """`* n FETCH (...)` for each row."""
    names = [b"UID %d"] if with_uid else []
    values: list[Any] = [[row + 1 for row in rows]]
    if with_uid:
        values.append(column(view.columns.uid, rows))
    if with_flags:
        names.append(b"FLAGS (%b)")
        values.append(flag_texts(view, rows))
    if with_modseq:
        names.append(b"MODSEQ (%d)")
        values.append(column(view.columns.modseq, rows))
    template = b"* %d FETCH (" + b" ".join(names) + b")\r\n"
    return b"".join(map(template.__mod__, zip(*values, strict=True)))
