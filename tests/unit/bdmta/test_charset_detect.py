from __future__ import annotations

from pathlib import Path

import pytest

from bdmta.charset import Kind, Text, find_truth, old_set
from bdmta.charset.codec import decode, encode, sloppy_octets
from bdmta.charset.detect import CANDIDATES
from bdmta.charset.syllable import common_syllables, is_syllable, syllables
from bdmta.charset.truth import unicode_text
from bdmta.charset.viqr import is_viqr

CORPUS = Path(__file__).parents[2] / "corpus/encodings"
PARAGRAPHS = (CORPUS / "vietnamese.txt").read_text("utf-8").splitlines()
OTHERS = [line.split("\t") for line in (CORPUS / "other-languages.txt").read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    "word",
    [
        "nghiêng",
        "Nguyễn",
        "quốc",
        "quý",
        "gì",
        "giếng",
        "giết",
        "khuỷu",
        "thuở",
        "hòa",
        "hoà",
        "thúy",
        "thuý",
        "ngoằn",
        "Huỳnh",
        "yêu",
        "ỷ",
        "kỹ",
        "lý",
    ],
)
def test_syllables(word: str) -> None:
    assert is_syllable(word)


@pytest.mark.parametrize("word", ["café", "für", "garçon", "więc", "ngê", "kă", "cát'", "việtt", "bạc̣", "ghà", "cé"])
def test_no_syllables(word: str) -> None:
    assert not is_syllable(word)


def test_common_syllables_are_syllables() -> None:
    assert common_syllables() <= syllables()


@pytest.mark.parametrize("name", CANDIDATES)
def test_real_paragraphs_are_found_in_every_set(name: str) -> None:
    found = 0
    for paragraph in PARAGRAPHS:
        octets = encode(name, paragraph.replace("…", "...").replace("“", '"').replace("”", '"').replace("–", "-"))
        detected = old_set(octets)
        found += detected is not None and decode(detected, octets) == decode(name, octets)
    assert found >= 0.97 * len(PARAGRAPHS)


@pytest.mark.parametrize(("language", "charset", "text"), OTHERS, ids=[f"{row[0]}-{row[1]}" for row in OTHERS])
def test_other_languages_are_left_alone(language: str, charset: str, text: str) -> None:
    for label, octets in ((charset, text.encode(charset)), ("utf-8", text.encode()), ("", text.encode(charset))):
        truth = find_truth(Text(octets, label))
        assert truth.kind is Kind.RIGHT, (label, truth)
    if charset == "iso-8859-1":
        assert find_truth(Text(text.encode(charset), "us-ascii")).kind is Kind.RIGHT
        assert find_truth(Text(text.encode(charset), "utf-8")).kind is Kind.RIGHT


@pytest.mark.parametrize("paragraph", PARAGRAPHS[:20])
def test_modern_vietnamese_is_left_alone(paragraph: str) -> None:
    assert find_truth(Text(paragraph.encode(), "utf-8")).kind is Kind.RIGHT


NAMES = [
    "Ngô Anh Lâm",
    "Hoàng Anh Bình",
    "Lê Minh Lâm",
    "Hoàng Xuân Hùng",
    "LÊ HOÀNG BÌNH",
    "Hồ Hoàng",
    "hoàn toàn",
    "Lâm",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("label", ["utf-8", "iso-8859-1", "windows-1252"])
def test_a_short_text_that_reads_rightly_is_left_alone_though_an_old_set_reads_as_well(name: str, label: str) -> None:
    """Found by synthetic traffic: Ngô Anh Lâm became Ngụ Anh Lõm, Hoàng became Hồng."""
    try:
        octets = name.encode(label)
    except UnicodeEncodeError:
        pytest.skip("not in this set")
    assert find_truth(Text(octets, label)).kind is Kind.RIGHT
    if label == "utf-8":  # also beside a body that is in an old set: who types the name is another program
        assert find_truth(Text(octets, label), "tcvn3").kind is Kind.RIGHT
        assert find_truth(Text(octets, label), "vni-windows").kind is Kind.RIGHT


@pytest.mark.parametrize(
    "text", ["Thông báo về việc họp", "Báo cáo tháng mười", "Kế hoạch số 12", "Nguyễn Thị Minh Khai"]
)
@pytest.mark.parametrize("name", ["tcvn3", "vni-windows", "vps", "viscii"])
def test_short_texts_in_an_old_set_are_still_found(name: str, text: str) -> None:
    octets = encode(name, text)
    for label, given in (("iso-8859-1", octets), ("utf-8", octets.decode("latin-1").encode())):
        truth = find_truth(Text(given, label), name)
        assert truth.kind is Kind.CONVERT
        assert unicode_text(Text(given, label), truth) == text


@pytest.mark.parametrize("name", ["utf-8", *CANDIDATES])
@pytest.mark.parametrize("times", [1, 2])
def test_mojibake_is_undone(name: str, times: int) -> None:
    text = PARAGRAPHS[3].replace("–", "-").replace("…", "...").replace("“", '"').replace("”", '"')
    octets = text.encode() if name == "utf-8" else encode(name, text)
    if times == 2 and name != "utf-8":
        return
    for _ in range(times):
        octets = octets.decode("latin-1").encode()
    truth = find_truth(Text(octets, "utf-8"))
    assert truth.kind is Kind.CONVERT
    assert unicode_text(Text(octets, "utf-8"), truth).casefold() == text.casefold()


@pytest.mark.parametrize(
    ("octets", "label", "kind"),
    [
        ("Kính gửi".encode() + b" \xff\xfe", "utf-8", Kind.UNDECODABLE),
        (b"a \xc0\xaf b", "utf-8", Kind.OVERLONG),
        ("Kính gửi anh Minh, mời họp\n".encode() + encode("tcvn3", PARAGRAPHS[0]), "utf-8", Kind.MIXED),
        (encode("vni-windows", PARAGRAPHS[0]) + b"\n" + encode("tcvn3", PARAGRAPHS[1]), "iso-8859-1", Kind.MIXED),
        (b"\x00\xd8a\x00", "utf-16-le", Kind.UNDECODABLE),
        (b"J\xfcrgen", "utf-8", Kind.RIGHT),
        ("Chào anh Minh, đề nghị họp".encode("utf-16"), "utf-16", Kind.CONVERT),
        ("Chào anh Minh, đề nghị họp".encode("utf-7"), "utf-7", Kind.CONVERT),
    ],
)
def test_kinds(octets: bytes, label: str, kind: Kind) -> None:
    assert find_truth(Text(octets, label)).kind is kind


def test_viqr_is_told_from_ascii() -> None:
    text = encode("viqr", PARAGRAPHS[0].replace("“", "").replace("”", "").replace("–", "-")).decode()
    assert is_viqr(text)
    assert not is_viqr("x^2 + y^2 = z^2; a^b, e^(-i), o^o: (a+b)^2 isn't it? o'clock add ladder e^x a^n")


def test_text_in_latin_1_letters_alone_is_no_proof() -> None:
    octets = sloppy_octets("à la carte")
    assert octets is not None
    assert old_set(octets) is None
