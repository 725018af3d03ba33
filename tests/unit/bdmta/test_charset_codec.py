from __future__ import annotations

import unicodedata

import pytest

from bdmta.charset.codec import TABLES, Undecodable, decode, encode, legacy_name, sloppy_octets, table, western_text

TEXT = "Kính thưa đồng chí Giám đốc, ỦY BAN NHÂN DÂN: Ẳ Ẵ Ẫ Ỷ Ỹ Ỵ Õ Ữ Ạ Ặ"


@pytest.mark.parametrize("name", TABLES)
def test_every_letter_of_the_table_comes_back(name: str) -> None:
    for octets, letter in table(name).decode.items():
        text = decode(name, octets)
        if unicodedata.combining(letter):
            assert unicodedata.normalize("NFC", "e" + letter) == decode(name, b"e" + octets)
        elif not (name == "tcvn3" and letter.isupper()):
            assert text == unicodedata.normalize("NFC", letter)
    for letter, octets in table(name).encode.items():
        assert decode(name, octets).casefold() == letter.casefold()


@pytest.mark.parametrize("name", TABLES)
def test_text_comes_back(name: str) -> None:
    text = TEXT.replace("ỦY", "UY") if name == "viqr" else TEXT
    back = decode(name, encode(name, unicodedata.normalize("NFD", text)))
    assert back.casefold() == text.casefold()
    if name != "tcvn3":
        assert back == text


def test_tcvn3_has_no_capitals_with_a_tone() -> None:
    assert encode("tcvn3", "Ủy") == encode("tcvn3", "ủy")


@pytest.mark.parametrize(("octets", "text"), [(b"A\xb8", "Á"), (b"A\xca", "Ấ"), (b"O\xb8", "Oá")])
def test_tcvn3_written_as_capital_and_small_letter(octets: bytes, text: str) -> None:
    assert decode("tcvn3", octets) == text


def test_vni_takes_a_mark_of_either_case() -> None:
    assert decode("vni-windows", b"A\xd9 A\xf9 a\xf9") == "Á Á á"


def test_windows_1258_precomposed_and_combining() -> None:
    assert decode("windows-1258", b"ti\xea\xecng Vi\xea\xf2t \xe0 \xe1") == "tiếng Việt à á"


@pytest.mark.parametrize(("name", "octets"), [("tcvn3", b"\xc5"), ("windows-1258", b"\x8a"), ("tcvn3", b"\x81")])
def test_codes_that_the_set_lacks(name: str, octets: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(name, octets)
    assert decode(name, octets, is_lenient=True) == "\ufffd"


def test_letters_that_the_set_lacks() -> None:
    with pytest.raises(Undecodable):
        encode("viscii", "日")


@pytest.mark.parametrize(
    ("label", "name"),
    [("VISCII", "viscii"), ("x-viet-tcvn", "tcvn5712-vn1"), ("CP1258", "windows-1258"), ("x-viet-vps", "vps"),
     ("x_viet_vni", "vni-windows"), ("iso-8859-1", None), ("utf-8", None), ("", None)],
)  # fmt: skip
def test_labels(label: str, name: str | None) -> None:
    assert legacy_name(label) == name


def test_misread_octets_are_found_again_whichever_way_they_were_read() -> None:
    octets = bytes(range(0x80, 0x100))
    assert sloppy_octets(western_text(octets)) == octets
    assert sloppy_octets(octets.decode("latin-1")) == octets
    assert sloppy_octets("Hà Nội") is None
