"""dovecot-keywords and the flags in file names."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.box_info import arrival_order, flags_of, info_with, is_letter_name, sizes_in, split_name
from storage.box_types import DELETED, FLAGGED, SEEN, keyword_bit
from storage.errors import Invalid
from storage.keywords import Keywords


def test_keywords_are_shared_and_match_without_case(tmp_path: Path) -> None:
    one, two = Keywords(str(tmp_path)), Keywords(str(tmp_path))
    assert one.positions(["$Forwarded", "NonJunk"], create=True) == [0, 1]
    assert two.positions(["nonjunk", "Third"], create=True) == [1, 2]
    assert one.refresh()
    assert one.names == ("$Forwarded", "NonJunk", "Third")
    assert (tmp_path / "dovecot-keywords").read_text() == "0 $Forwarded\n1 NonJunk\n2 Third\n"
    assert one.positions(["unknown"], create=False) == []


def test_the_27th_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    keywords = Keywords(str(tmp_path))
    keywords.positions([f"k{n}" for n in range(26)], create=True)
    with pytest.raises(Invalid, match="26 keywords already"):
        keywords.positions(["one-more"], create=True)
    assert len(keywords.names) == 26
    assert keywords.positions(["k25"], create=True) == [25]


def test_holes_are_filled_and_junk_passed_over(tmp_path: Path) -> None:
    (tmp_path / "dovecot-keywords").write_bytes(b"0 a\n2 c\nx y\n99 z\n3\n\n")
    keywords = Keywords(str(tmp_path))
    keywords.refresh()
    assert keywords.names == ("a", "", "c")
    assert keywords.positions(["b"], create=True) == [1]


@pytest.mark.parametrize("name", ["", "a b", "\\Seen", "a\nb", "(", "ă", "x" * 251, "a]"])
def test_names_that_are_no_atoms(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid):
        Keywords(str(tmp_path)).positions([name], create=True)
    assert not (tmp_path / "dovecot-keywords").exists()


def test_flags_in_names() -> None:
    assert flags_of(":2,FSTab") == FLAGGED | SEEN | DELETED | keyword_bit(0) | keyword_bit(1)
    assert flags_of("") == flags_of(":1,S") == 0
    assert info_with("", SEEN) == ":2,S"
    assert info_with(":2,PSz", FLAGGED | keyword_bit(25)) == ":2,FPz"
    assert info_with(":2,S,extra", 0) == ":2,,extra"
    for flags in (0, 1, 2, 4, 8, 16, 31, 31 | keyword_bit(13)):
        assert flags_of(info_with(":2,", flags)) == flags


def test_what_names_say() -> None:
    assert split_name("1.M2P3.host,S=5,W=6:2,S") == ("1.M2P3.host,S=5,W=6", ":2,S")
    assert sizes_in("1.M2P3.host,S=5,W=6") == (5, 6)
    assert sizes_in("x") == (None, None)
    assert not is_letter_name(".hidden") and not is_letter_name("a\nb") and is_letter_name("1.a")
    assert sorted(["9.M1P1.x", "10.M5P1.x", "10.M40P1.x", "zz"], key=arrival_order) == [
        "zz",
        "9.M1P1.x",
        "10.M5P1.x",
        "10.M40P1.x",
    ]
