"""THREAD and SORT by RFC 5256, over a folder of fields."""

from __future__ import annotations

from array import array
from typing import Any

from bdmta.imap.search_match import Looked
from bdmta.imap.sort import parse_sort_keys, sorted_rows
from bdmta.imap.syntax import Cursor
from bdmta.imap.thread import ordered_subject, references, render_threads
from storage.box_types import Columns


class Fields:
    """A box that only has fields."""

    def __init__(self, letters: list[dict[str, Any]]) -> None:
        self._letters = letters

    def fields(self, columns: Columns, name: str) -> list[Any]:
        defaults = {"references": (), "is_reply": False, "sent_at": None}
        return [letter.get(name, defaults.get(name, "")) for letter in self._letters]


def looked(*letters: dict[str, Any]) -> Looked:
    count = len(letters)
    numbers = range(1, count + 1)
    columns = Columns(
        array("I", numbers),
        array("I", [0] * count),
        array("Q", [n.get("size", 1) for n in letters]),
        array("q", numbers),
        array("Q", numbers),
    )
    return Looked(Fields(list(letters)), columns, 0, 0.0, 0, str.casefold)  # type: ignore[arg-type]


def threads(algorithm: Any, *letters: dict[str, Any]) -> bytes:
    return render_threads(algorithm(looked(*letters), range(len(letters))), lambda row: row + 1)


def letter(name: str, *refs: str, subject: str = "", reply: bool = False, at: int | None = None) -> dict[str, Any]:
    return {"message_id": name, "references": refs, "base_subject": subject, "is_reply": reply, "sent_at": at}


def test_a_chain_and_a_fork() -> None:
    assert (
        threads(references, letter("a"), letter("b", "a"), letter("c", "a", "b"), letter("d", "a", "b"))
        == b"(1 2 (3)(4))"
    )


def test_parents_that_are_not_here() -> None:
    assert threads(references, letter("b", "a"), letter("c", "a")) == b"((1)(2))"
    assert threads(references, letter("b", "a")) == b"(1)"
    assert threads(references, letter("c", "a", "b"), letter("d", "x")) == b"(1)(2)"


def test_rings_are_broken() -> None:
    assert threads(references, letter("a", "b"), letter("b", "a")) in (b"(1 2)", b"(2 1)")
    assert threads(references, letter("a", "a")) == b"(1)"


def test_one_subject_comes_together() -> None:
    one, two = letter("a", subject="s"), letter("b", subject="s", reply=True)
    assert threads(references, one, two) == b"(1 2)"
    assert threads(references, letter("a", subject="s"), letter("b", subject="s")) == b"((1)(2))"
    assert threads(references, two, letter("a", subject="s")) == b"(2 1)"
    assert threads(references, *(letter(str(n), subject="s", reply=True) for n in range(3))) == b"((1)(2)(3))"


def test_doubled_message_ids_lose_no_letter() -> None:
    assert threads(references, letter("a"), letter("a"), letter("b", "a")).count(b"2") == 1


def test_by_date() -> None:
    assert threads(references, letter("a", at=9), letter("b", at=3), letter("c", "a", at=1)) == b"(2)(1 3)"


def test_ordered_subject() -> None:
    one, two, three = letter("a", subject="x", at=5), letter("b", subject="y", at=4), letter("c", subject="x", at=6)
    assert threads(ordered_subject, one, two, three) == b"(2)(1 3)"
    assert threads(ordered_subject, one, three, letter("d", subject="x", at=7)) == b"(1 (2)(3))"


def test_a_deep_chain_needs_no_recursion() -> None:
    chain = [letter(str(n), *([str(n - 1)] if n else [])) for n in range(3000)]
    assert threads(references, *chain).startswith(b"(1 2 3 4")


def test_sort_keys() -> None:
    at = looked({"base_subject": "b", "size": 2}, {"base_subject": "a", "size": 2}, {"base_subject": "c", "size": 1})
    assert sorted_rows(at, range(3), parse_sort_keys(Cursor(b"(SUBJECT)"))) == [1, 0, 2]
    assert sorted_rows(at, range(3), parse_sort_keys(Cursor(b"(REVERSE SIZE REVERSE ARRIVAL)"))) == [1, 0, 2]
    assert sorted_rows(at, range(3), parse_sort_keys(Cursor(b"(REVERSE SIZE)"))) == [0, 1, 2]
