"""Dot-stuffing, whole and in pieces."""

from __future__ import annotations

import pytest

from bdmta.pop3.stuffing import Stuffer, stuffed, top_of


@pytest.mark.parametrize(
    ("letter", "sent"),
    [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"a\r\n..b\r\n", b"a\r\n...b\r\n.\r\n"),
        (b"a.\r\n.", b"a.\r\n..\r\n.\r\n"),
    ],
)
def test_stuffed(letter: bytes, sent: bytes) -> None:
    assert stuffed(letter) == sent


def test_pieces_are_as_the_whole() -> None:
    letter = b".a\r\n.\r\n..\r\nb.\r\n\r\n.c"
    for first in range(len(letter) + 1):
        for second in range(first, len(letter) + 1):
            stuffer = Stuffer()
            pieces = [stuffer.feed(letter[:first]), stuffer.feed(letter[first:second]), stuffer.feed(letter[second:])]
            assert b"".join(pieces) + stuffer.end() == stuffed(letter), (first, second)


def test_top() -> None:
    letter = b"A: 1\r\nB: 2\r\n\r\none\r\ntwo\r\nthree"
    assert top_of(letter, 0) == b"A: 1\r\nB: 2\r\n\r\n"
    assert top_of(letter, 1) == b"A: 1\r\nB: 2\r\n\r\none\r\n"
    assert top_of(letter, 99) == letter
    assert top_of(b"A: 1\r\n", 5) == b"A: 1\r\n"
    assert top_of(b"\r\nbody\r\n", 0) == b"\r\n"
