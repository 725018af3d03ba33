"""DATA in any blocks gives what a plain reading of the whole gives: the same letter, the same flaw, the same rest."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from bdmta.smtp.data import DataReader, Flaw

OCTETS = st.lists(
    st.sampled_from([b"\r\n", b"\r\n", b".", b"\r", b"\n", b"a", b"xyz", b"\r\n.\r\n", b"\r\n.a", b"\0", b"q" * 40]),
    max_size=30,
).map(b"".join)
MAX_LINE = 64


def plainly(octets: bytes) -> tuple[bytes, bytes]:
    """The letter with its dots undone, and what follows its end."""
    end = 0 if octets.startswith(b".\r\n") else octets.index(b"\r\n.\r\n") + 2
    return re.sub(rb"(\A|\r\n)\.", rb"\1", octets[:end]), octets[end + 3 :]


@settings(max_examples=400, deadline=None)
@given(OCTETS, st.lists(st.integers(1, 40), min_size=1), st.booleans())
def test_any_blocks_give_what_the_whole_gives(octets: bytes, sizes: list[int], normalise: bool) -> None:
    octets += b"\r\n.\r\nQUIT"
    letter, rest = plainly(octets)
    reader = DataReader(10_000, MAX_LINE, normalise=normalise)
    found, at, turn = b"", 0, 0
    while not reader.ended:
        size = sizes[turn % len(sizes)]
        found += reader.feed(octets[at : at + size])
        at, turn = at + size, turn + 1
    assert reader.rest + octets[at:] == rest
    flawless = re.sub(rb"\r(?!\n)|(?<!\r)\n", b"\r\n", letter) if normalise else letter
    has_bare = re.search(rb"\r(?!\n)|(?<!\r)\n", letter) is not None
    is_long = any(len(line) > MAX_LINE - 1 for line in flawless.split(b"\n"))
    if reader.flaw is None:
        assert found == flawless
        assert b"\0" not in letter
        assert normalise or not has_bare
        assert not any(len(line) > MAX_LINE + 1 for line in flawless.split(b"\n"))
    else:
        assert (
            (reader.flaw is Flaw.NUL and b"\0" in letter)
            or (reader.flaw in (Flaw.BARE_CR, Flaw.BARE_LF) and has_bare and not normalise)
            or (reader.flaw is Flaw.LONG_LINE and (is_long or normalise))
        )
