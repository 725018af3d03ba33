"""The blocks in which a letter goes over the wire."""

from __future__ import annotations

import random

import pytest

from bdmta.queue.outgoing import BLOCK_OCTETS, prepare
from storage.letter import Letter


def expected(octets: bytes) -> bytes:
    """RFC 5321 §4.5.2, line by line."""
    lines = octets.split(b"\r\n")
    ended = lines[:-1] if lines[-1] == b"" else lines
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in ended) + b".\r\n"


@pytest.mark.parametrize("end", [b"\r\n", b"", b"\r\n."], ids=["ended", "not ended", "a dot at the end"])
@pytest.mark.parametrize("lines_count", [1, 50, 1600, 9000])
def test_dots_are_doubled_wherever_blocks_end(lines_count, end):
    dice = random.Random(lines_count)
    lines = [dice.choice([b".", b"..", b"", b"x" * dice.randrange(900), b".x"]) for _ in range(lines_count)]
    octets = b"From: a\r\n\r\n" + b"\r\n".join(lines) + end
    outgoing = prepare(Letter.from_octets([octets]), seven_bit=False).with_head(b"Delivered-To: b\r\n")
    blocks = list(outgoing.data())
    assert b"".join(blocks) == expected(b"Delivered-To: b\r\n" + octets)
    assert all(len(block) <= 2 * BLOCK_OCTETS + lines_count for block in blocks)


def test_a_small_letter_is_one_block_with_its_signature_and_the_dot():
    outgoing = prepare(Letter.from_octets([b"From: a\r\n", b"\r\nx\r\n"]), seven_bit=False)
    assert list(outgoing.with_head(b"DKIM-Signature: v=1\r\n").data()) == [
        b"DKIM-Signature: v=1\r\nFrom: a\r\n\r\nx\r\n.\r\n"
    ]
    assert list(prepare(Letter.from_octets([b""]), seven_bit=False).data()) == [b".\r\n"]
