import pytest
from hypothesis import given
from hypothesis import strategies as st

from bdmta.reply import Reply, reply, unaccented


def test_enhanced_class_comes_from_the_code():
    assert reply(450, "2.2", "full").encode() == b"450 4.2.2 full\r\n"
    assert reply(550, "7.1", "a", "b").encode() == b"550-5.7.1 a\r\n550 5.7.1 b\r\n"


def test_vietnamese_loses_its_marks_and_nothing_else():
    assert unaccented("Hộp thư đã đầy, xin gửi lại “sau”") == 'Hop thu da day, xin gui lai "sau"'
    assert reply(552, "3.4", "Thư vượt quá").encode() == b"552 5.3.4 Thu vuot qua\r\n"


@pytest.mark.parametrize("code", [199, 600, 0])
def test_impossible_codes_cannot_be_built(code):
    with pytest.raises(ValueError):
        reply(code, None, "x")


def test_intermediate_replies_have_no_enhanced_code():
    with pytest.raises(ValueError):
        reply(354, "0.0", "x")


@given(st.integers(200, 599), st.lists(st.text(max_size=1500), max_size=4))
def test_no_text_can_break_the_line_structure(code, lines):
    octets = Reply(code, None, tuple(lines)).encode()
    rows = octets.split(b"\r\n")
    assert rows.pop() == b""
    for number, row in enumerate(rows):
        assert row[:3] == b"%d" % code
        assert row[3:4] == (b" " if number == len(rows) - 1 else b"-")
        assert len(row) <= 510
        assert b"\n" not in row and b"\r" not in row and row.isascii()
