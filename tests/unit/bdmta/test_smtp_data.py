"""DataReader: the end of the data and nothing else, whatever the blocks' borders."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bdmta.smtp.data import DataReader, Flaw


def read(
    octets: bytes, cuts: list[int] | None = None, normalise: bool = False, **limits: int
) -> tuple[bytes, DataReader]:
    reader = DataReader(limits.get("max_octets", 1 << 20), limits.get("max_line_octets", 65536), normalise=normalise)
    out, start = b"", 0
    for cut in [*sorted(set(cuts or [])), len(octets)]:
        if cut > start and not reader.ended:
            out += reader.feed(octets[start:cut])
            start = cut
    reader.rest += octets[start:] if reader.ended else b""
    return out, reader


def test_plain_letter_ends_at_crlf_dot_crlf():
    out, reader = read(b"Subject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n")
    assert (out, reader.ended, reader.flaw, reader.rest) == (b"Subject: x\r\n\r\nhello\r\n", True, None, b"QUIT\r\n")


def test_empty_letter():
    out, reader = read(b".\r\n")
    assert (out, reader.ended) == (b"", True)


# The ends that other servers have taken (CVE-2023-51764, -51765, -51766, CVE-2024-27305).
SMUGGLES = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r\r\n.\n", b"\r\n\0.\r\n",
    b"\r\n.\0\r\n", b"\n\r\n.\n", b"\r\n..\r\n", b"\r\n. \r\n", b"\r\n.\t\r\n", b"\r\n.\r\r\n", b"\x0b.\x0b",
    b"\x85.\x85", b"\xe2\x80\xa8.\xe2\x80\xa8", b"\r\n .\r\n", b"\r\n.\\r\\n",
]  # fmt: skip


@pytest.mark.parametrize("smuggle", SMUGGLES)
@pytest.mark.parametrize("normalise", [False, True])
def test_smuggling_sequences_do_not_end_the_data(smuggle, normalise):
    inner = b"MAIL FROM:<admin@binhduong.gov.vn>\r\nRCPT TO:<x@y.vn>\r\nDATA\r\n"
    sent = b"Subject: a\r\n\r\nb" + smuggle + inner + b"c\r\n.\r\nQUIT\r\n"
    for cut in range(len(sent)):
        out, reader = read(sent, [cut], normalise)
        assert reader.ended
        assert reader.rest == b"QUIT\r\n", cut
        assert inner in out or reader.flaw is not None


def test_bare_lf_is_refused_on_receipt_and_normalised_on_submission():
    assert read(b"a\nb\r\n.\r\n")[1].flaw is Flaw.BARE_LF
    assert read(b"a\rb\r\n.\r\n")[1].flaw is Flaw.BARE_CR
    out, reader = read(b"a\nb\rc\r\n.\r\n", normalise=True)
    assert (out, reader.flaw) == (b"a\r\nb\r\nc\r\n", None)


@pytest.mark.parametrize("normalise", [False, True])
def test_nul_is_refused_everywhere(normalise):
    assert read(b"a\0b\r\n.\r\n", normalise=normalise)[1].flaw is Flaw.NUL


def test_bounds_are_said_and_the_end_is_still_found():
    out, reader = read(b"x" * 200 + b"\r\n.\r\nNOOP\r\n", max_line_octets=100)
    assert (out, reader.flaw, reader.ended, reader.rest) == (b"", Flaw.LONG_LINE, True, b"NOOP\r\n")
    reader = DataReader(1 << 20, 100, normalise=False)
    for _ in range(50):
        reader.feed(b"x" * 64)
        assert len(reader._tail) <= 200
    reader.feed(b"\r\n.\r\nNOOP\r\n")
    assert (reader.flaw, reader.rest) == (Flaw.LONG_LINE, b"NOOP\r\n")
    _, reader = read(b"abc\r\n" * 100 + b".\r\n", max_octets=100)
    assert (reader.flaw, reader.ended) == (Flaw.TOO_BIG, True)


LINES = st.lists(st.text(alphabet="ab.\r\n ", max_size=8).map(lambda s: s.encode()), max_size=8)


@given(LINES, st.lists(st.integers(0, 80), max_size=6))
def test_any_cut_gives_the_same_letter(lines, cuts):
    letter = b"".join(line.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n" for line in lines)
    stuffed = b"".join((b"." + line if line.startswith(b".") else line) for line in letter.splitlines(True))
    out, reader = read(stuffed + b".\r\nREST", cuts)
    assert (out, reader.ended, reader.flaw, reader.rest) == (letter, True, None, b"REST")


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_hostile_octets_never_raise_and_never_pass_a_bare_line_end(octets, cuts):
    out, reader = read(octets, cuts)
    if reader.flaw is None:
        bare = out.replace(b"\r\n", b"")
        assert b"\r" not in bare and b"\n" not in bare and b"\0" not in out


def test_every_cut_of_every_short_sequence_agrees():
    for sequence in itertools.product((b"\r", b"\n", b".", b"a"), repeat=6):
        octets = b"x" + b"".join(sequence) + b"\r\n.\r\n"
        whole = read(octets, normalise=True)
        for cut in range(1, len(octets)):
            cut_out = read(octets, [cut], normalise=True)
            assert (cut_out[0], cut_out[1].rest) == (whole[0], whole[1].rest), (octets, cut)


@given(
    st.lists(st.sampled_from([b"a", b"bcdefgh" * 4, b".", b"\r\n", b"\r", b"\n", b"\r\n.", b".\r\n"]), max_size=30),
    st.lists(st.integers(0, 200), max_size=12),
    st.booleans(),
)
def test_the_end_is_seen_at_one_place_whatever_is_wrong_with_the_letter(pieces, cuts, normalise):
    """Also behind a line that is too long: else what follows a false end would be run as commands (smuggling)."""
    sent = b"".join(pieces) + b"\r\n.\r\nQUIT\r\n"
    end = (b"\r\n" + sent).find(b"\r\n.\r\n")
    _, reader = read(sent, cuts, normalise, max_line_octets=8, max_octets=60)
    assert reader.ended
    assert reader.rest == sent[end + 3 :]


def test_a_dot_that_ends_a_long_line_ends_no_letter():
    sent = b"x" * 30 + b".\r\n.MAIL FROM:<admin@binhduong.gov.vn>\r\n.\r\nQUIT\r\n"
    for cut in range(len(sent)):
        for other in range(cut, len(sent)):
            _, reader = read(sent, [cut, other], max_line_octets=8)
            assert (reader.rest, reader.flaw) == (b"QUIT\r\n", Flaw.LONG_LINE), (cut, other)


@pytest.mark.parametrize("line_break", [b"\n", b"\r"])
def test_a_letter_without_any_crlf_is_mended_before_its_lines_are_measured(line_break):
    line = b"x" * 70
    letter = b"Subject: x" + line_break * 2 + (line + line_break) * 3000  # 213,000 octets in what SMTP calls one line
    for step in (1000, 65_536, 1 << 20):
        sent = letter + b"\r\n.\r\nNOOP\r\n"
        out, reader = read(sent, list(range(step, len(sent), step)), normalise=True)
        assert (reader.flaw, reader.ended, reader.rest) == (None, True, b"NOOP\r\n")
        assert out == b"Subject: x\r\n\r\n" + (line + b"\r\n") * 3000 + b"\r\n"
        assert read(sent, list(range(step, len(sent), step)))[1].flaw is not None
    long = b"y" * 70_000
    assert (
        read(b"a" + line_break + long + line_break + b"b\r\n.\r\n", [20, 66_000], normalise=True)[1].flaw
        is Flaw.LONG_LINE
    )


@pytest.mark.parametrize("smuggle", SMUGGLES)
def test_smuggling_sequences_in_endless_lines_do_not_end_the_data(smuggle):
    inner = b"MAIL FROM:<a@b>\r\nDATA\r\n"
    sent = b"abc\ndefghijk\nb" + smuggle + inner + b"c\r\n.\r\nQUIT\r\n"
    for cut in range(len(sent)):
        _, reader = read(sent, [cut], normalise=True, max_line_octets=6)
        assert reader.ended
        assert reader.rest == b"QUIT\r\n", cut


@given(
    st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"\n.\n", b"x", b"yz", b".", b"wxyz"]), max_size=60),
    st.lists(st.integers(0, 200), max_size=8),
)
def test_mending_does_not_depend_on_blocks(pieces, cuts):
    letter = b"".join(pieces)
    sent = letter + b"\r\n.\r\nNOOP\r\n"
    at_once, whole = read(sent, normalise=True)
    out, reader = read(sent, cuts, normalise=True, max_line_octets=12)
    assert reader.ended
    assert reader.rest == whole.rest
    if reader.flaw is None:
        assert out == at_once
    else:
        assert reader.flaw is Flaw.LONG_LINE
        assert max(map(len, at_once.split(b"\n"))) > 12 - len(b"\r\n.\r\n")  # which may wait with the line
