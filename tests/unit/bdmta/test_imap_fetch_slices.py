"""FETCH in slices: the same octets however they are cut, and no text joined to what malloc would map (decision 0031)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bdmta.imap.fetch import _rendered, _slices
from bdmta.imap.fetch_items import parse_fetch_items
from bdmta.imap.fetch_rows import BIG_OCTETS, plan_of, render_rows
from bdmta.imap.syntax import Cursor
from bdmta.service.allocator import _MAPPED_FROM_OCTETS
from tests.unit.storage.box_support import World

SIZES = [4_000] * 120 + [150_000, 150_000, 600_000, 10]


@pytest.fixture
def view(tmp_path: Path) -> Iterator[Any]:
    world = World(str(tmp_path))
    for size in SIZES:
        world.deliver("x" * (size // 2))  # in the subject and in the body
    yield world.mailbox().open_view("INBOX")
    world.close()


def plan(words: bytes) -> Any:
    return plan_of(parse_fetch_items(Cursor(words)), 0)


@pytest.mark.parametrize("words", [b"BODY.PEEK[]", b"(UID BODY.PEEK[])", b"(FLAGS BODY.PEEK[TEXT])"])
def test_pieces_are_one_answer_and_none_is_mapped_unless_one_letter_is_so_large(view: Any, words: bytes) -> None:
    asked, rows = plan(words), range(len(SIZES))
    pieces = [octets for octets, _ in _rendered(view, asked, rows)]
    assert b"".join(pieces) == render_rows(view, asked, rows)[0]
    assert len(pieces) > 3
    assert [piece.count(b" FETCH (") for piece in pieces if len(piece) >= _MAPPED_FROM_OCTETS] == [1]


def test_what_is_rendered_by_one_call_stays_below_a_mebibyte(view: Any) -> None:
    sizes = view.columns.size
    cut = list(_slices(view, plan(b"BODY.PEEK[]"), range(len(SIZES)), BIG_OCTETS))
    assert [row for rows in cut for row in rows] == list(range(len(SIZES)))
    assert all(sum(sizes[row] for row in rows) <= BIG_OCTETS for rows in cut)


def test_without_texts_nothing_is_cut(view: Any) -> None:
    assert len(_rendered(view, plan(b"(UID FLAGS)"), range(len(SIZES)))) == 1
