"""Lines of FETCH answers: the kept octets say what a template would."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from bdmta.imap.render_lines import ascending_numbers, lines, numbers


def plainly(rows: Sequence[int], uids: Sequence[int], texts: Sequence[bytes]) -> bytes:
    told = zip(rows, texts, uids, strict=True)
    return b"".join(b"* %d FETCH (%b UID %d)\r\n" % (row + 1, text, uid) for row, text, uid in told)


@given(st.lists(st.integers(0, 40_000), max_size=50, unique=True), st.integers(0, 40_000))
def test_rows_here_and_there(picked: list[int], above: int) -> None:
    rows = sorted(picked)
    uids = array("I", [row + above + 1 for row in rows])
    texts = [b"FLAGS (%d)" % (row % 3) for row in rows]
    assert lines(rows, [(b"", texts), (b" UID ", ascending_numbers(uids))]) == plainly(rows, uids, texts)


@given(st.integers(0, 17_000), st.integers(0, 60), st.integers(1, 17_000))
def test_a_run_of_rows(start: int, count: int, first_uid: int) -> None:
    rows = range(start, start + count)
    uids = array("I", range(first_uid, first_uid + count))
    texts = [b"FLAGS ()"] * count
    assert lines(rows, [(b"", texts), (b" UID ", ascending_numbers(uids))]) == plainly(rows, uids, texts)


@given(st.lists(st.integers(0, 20_000) | st.integers(0, 1 << 40), max_size=50))
def test_numbers_in_any_order(values: list[int]) -> None:
    assert numbers(values) == [str(value).encode() for value in values]
    assert numbers(array("Q", values)) == numbers(values)


def test_nothing_for_no_row() -> None:
    assert lines([], [(b"UID ", [])]) == b""
