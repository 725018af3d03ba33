"""The address of a person (Điều 5.3), namesakes (Điều 5.4), abbreviations (Điều 5.2), the Vietnamese order."""

from __future__ import annotations

import json
import time
import unicodedata
from pathlib import Path

import pytest

from bdmta.charset import encode
from bdmta.naming import Held, Pending, abbreviations, allocate, extension_fault, order_key, person_key, place, propose

CORPUS = Path(__file__).parents[3] / "../shared/corpus/naming"

PLAIN = """
Nguyễn Văn Minh > minhnv
Nguyễn Minh > minhn
Nguyễn Thị Minh Khai > khaintm
Lê Minh > minhl
Nguyễn Thị Thu Hà > hantt
Đặng Thùy Trâm > tramdt
Đỗ Đình Đạt > datdd
Phạm Nguyễn Lan Anh > anhpnl
Võ Nguyễn Hoàng Anh Thư > thuvnha
Trịnh Phương Nhung > nhungtp
Nghiêm Xuân Yêm > yemnx
Khuất Duy Tiến > tienkd
Quách Thị Hoà > hoaqt
Quách Thị Hòa > hoaqt
Tôn Đức Thắng > thangtd
Ông Ích Khiêm > khiemoi
Thạch Sa Rây > rayts
Ðỗ Mười > muoid
Nguyen Van Minh > minhnv
NGUYỄN  VĂN\tMINH > minhnv
Nguyễn Văn A > anv
Ưng Hoàng Phúc > phucuh
Ỷ Văn Lan > lanyv
"""
REVIEW = """
Nguyễn Thị Ánh-Tuyết > anhtuyetnt > hyphen
Nguyễn Thị-Hoa Mai > mainth > hyphen
Nguyễn Văn\u2010Minh > vanminhn > hyphen
K'Brêu > kbreu > apostrophe
H\u2019Hen Niê > hhenn > apostrophe
H'Hen Niê > hhenn > apostrophe
Y Moan Ênuôl > ymoane > minority-name
Y Ngông Niê Kđăm > yngongnk > minority-name
Ksor Phước > phuock > minority-name
Tôn Nữ Thị Ninh > ninhtnt > compound-surname
Tôn Thất Tùng > tungtt > compound-surname
Âu Dương Minh > minhad > compound-surname
Công Tằng Tôn Nữ Mai > maicttn > compound-surname
Minh Nguyễn > nguyenm > order
John Smith > smithj > foreign-name
José Müller > mullerj > foreign-name
Nguyễn V. Minh > minhnv > abbreviated
TS. Nguyễn Văn Minh > minhtnv > title
Ông Nguyễn Văn Minh > minhonv > title
Nguyễn Trần Lê Phạm Võ Thị Minh > minhntlpvt > many-words
"""
ERRORS = """
Lan > single-word
Nguyễn > single-word
O'Brien > single-word
Trần Văn 7 > digit
Nguye6n Van Minh > digit
Trần Văn \u0663 > digit
Иван Петров > script
李小龙 > script
Nguyễn Вan Minh > script
Nguyễn Văn Minh (B) > sign
Nguyễn/Văn Minh > sign
minh@x nguyen > sign
Nguyeãn Vaên Minh > legacy-encoding
NguyÔn V¨n Minh > legacy-encoding
TrÇn ThÞ Hoa > legacy-encoding
§Æng Thïy Tr©m > legacy-encoding
 > empty
\u200b - > empty
"""


def rows(text: str) -> list[list[str]]:
    return [[cell.strip(" ") for cell in line.split(" > ")] for line in text.strip("\n").split("\n")]


@pytest.mark.parametrize(("name", "expected"), rows(PLAIN))
def test_the_rule(name: str, expected: str):
    for form in ("NFC", "NFD"):
        made = propose(unicodedata.normalize(form, name))
        assert (made.local_part, made.status, made.code) == (expected, "ok", None)
        assert made.steps[-1].endswith(expected)


@pytest.mark.parametrize(("name", "expected", "code"), rows(REVIEW))
def test_what_a_person_looks_at(name: str, expected: str, code: str):
    made = propose(name)
    assert (made.local_part, made.status, made.code) == (expected, "review", code)
    assert made.reason


@pytest.mark.parametrize(("name", "code"), rows(ERRORS))
def test_what_is_no_name(name: str, code: str):
    made = propose(name)
    assert (made.local_part, made.status, made.code) == (None, "error", code)
    assert made.reason


def test_a_name_without_end():
    assert propose("Nguyễn " * 100_000).code == "too-long"
    assert propose("x" * 150 + " Lê").code == "foreign-name"
    assert propose("Lê " + "x" * 150).code == "too-long"


@pytest.mark.parametrize("name", ["Nguyễn Văn Hiệp", "Trần Thị Bích Ngọc", "Phạm Hữu Thắng", "Lê Thị Ánh Tuyết"])
@pytest.mark.parametrize("encoding", ["tcvn3", "vni-windows", "viscii", "vps"])
def test_names_in_the_old_sets(name: str, encoding: str):
    """Seen as a program shows them that takes the octets for windows-1252, or as raw octets of the command line."""
    octets = encode(encoding, name)
    assert propose(octets.decode("latin-1")).code == "legacy-encoding"
    assert propose(octets.decode("utf-8", "surrogateescape")).code == "legacy-encoding"


def test_fields_override_the_guess():
    assert propose("Nguyễn Thị Minh Khai", given="Minh Khai").local_part == "minhkhaint"
    assert propose("Nguyễn Thị Minh Khai", family="Nguyễn").local_part == "khaintm"
    made = propose(family="Tôn Nữ", middle="Thị", given="Ninh")
    assert (made.local_part, made.status) == ("ninhtnt", "ok")
    assert propose("John Smith", given="John", family="Smith").local_part == "johns"
    assert propose("Niê Y Moan", given="Moan", family="Niê", middle="Y").local_part == "moanny"
    assert propose(given="Lan").code == "single-word"
    assert propose(family="Lê").code == "fields"
    assert propose("Lê Lan", given="Lan 2").code == "digit"


def test_under_a_millisecond():
    names = ["Nguyễn Thị Minh Khai", "John Müller Smith", "NguyÔn V¨n Minh", "H'Hen Niê"]
    for name in names:
        propose(name)
    best = min(_timed(names) for _ in range(5))
    assert best / len(names) < 0.001


def _timed(names: list[str]) -> float:
    start = time.perf_counter()
    for name in names:
        propose(name)
    return time.perf_counter() - start


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared corpus is not here")
def test_the_corpus_of_names():
    for row in json.loads((CORPUS / "names.json").read_text())["names"]:
        assert propose(row["name"]).local_part == row["expect"], row
    for row in json.loads((CORPUS / "errors.json").read_text())["errors"]:
        made = propose(row["name"])
        assert (made.status, made.code) == ("error", row["error"]), row


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared corpus is not here")
def test_the_corpus_of_collisions():
    for case in json.loads((CORPUS / "collisions.json").read_text())["cases"]:
        taken = {one["local"]: Held(local_part=one["local"], rank=one["rank"]) for one in case["taken"]}
        asked = [
            Pending(proposal=propose(r["name"]), rank=r["rank"], registered=r["registered"], extension=r["extension"])
            for r in case["request"]
        ]
        made = allocate(asked, taken, set(case["agencies"]))
        if "expect" in case:
            assert [one.local_part for one in made] == case["expect"]
        else:
            assert [one.code for one in made] == [case["expect_error"]]


MINH = propose("Nguyễn Văn Minh")
WORDS = ["Nguyễn", "Văn", "Minh"]


def held(**more: object) -> dict[str, Held]:
    return {"minhnv": Held(local_part="minhnv", who="Nguyễn Văn Minh", **more)}  # type: ignore[arg-type]


def test_a_free_address_needs_no_extension():
    made = place(Pending(proposal=MINH, extension="dian"), {}.get)
    assert (made.local_part, made.status) == ("minhnv", "ok")


def test_the_example_of_the_decision():
    """Điều 5.4: minhnv.dian, though UBND Dĩ An is an agency."""
    made = place(Pending(proposal=MINH, rank=3, extension=".Dian"), held(rank=2).get, {"ubnddian", "sotttt"})
    assert (made.local_part, made.status) == ("minhnv.dian", "ok")


def test_an_address_in_use_is_never_taken_away():
    for extension in ("", "dian"):
        made = place(Pending(proposal=MINH, rank=1, extension=extension), held(rank=2).get, names=WORDS)
        assert (made.status, made.code) == ("review", "higher-rank")
        assert made.local_part is not None and made.local_part.startswith("minhnv.")
        assert len(made.choices) == 2 and "bí danh" in made.choices[1]


@pytest.mark.parametrize("rank", [2, 3, None])
def test_an_equal_or_lower_rank_needs_an_extension(rank: int | None):
    made = place(Pending(proposal=MINH, rank=rank), held(rank=2).get, names=WORDS)
    assert (made.local_part, made.status, made.code) == ("minhnv.nguyen", "review", "taken")
    assert place(Pending(proposal=MINH, rank=rank), held(rank=2).get).code == "extension-needed"


def test_what_else_holds_an_address():
    names = ["Nguyễn", "Quang", "Minh"]
    for kind, code in (("retired", "at-rest"), ("role", "reserved"), ("agency", "reserved"), ("alias", "taken")):
        made = place(Pending(proposal=MINH, rank=1), held(kind=kind).get, names=names)
        assert (made.local_part, made.status, made.code) == ("minhnv.quang", "review", code)
    both = {**held(), "minhnv.dian": Held(local_part="minhnv.dian")}
    assert place(Pending(proposal=MINH, extension="dian"), both.get).code == "extension-taken"


@pytest.mark.parametrize(
    ("extension", "code"),
    [
        ("thuanan", "extension-too-long"), ("tp2", "extension-digit"), ("dĩan", "extension-sign"),
        ("a-b", "extension-sign"), ("a.b", "extension-sign"), ("sonv", "extension-is-agency"),
    ],
)  # fmt: skip
def test_no_extension(extension: str, code: str):
    fault = extension_fault(extension, {"sonv", "ubnddian"})
    assert fault is not None and fault[0] == code and "Điều 5.4" in fault[1]
    assert place(Pending(proposal=MINH, extension=extension), {}.get, {"sonv"}).code == code


def test_pending_requests_by_rank_then_time():
    def ask(rank: int | None, registered: str, extension: str = "") -> Pending:
        return Pending(proposal=MINH, rank=rank, registered=registered, extension=extension)

    made = allocate([ask(3, "2010-01-01", "a"), ask(1, "2010-03-01", "b"), ask(None, "2009-01-01", "c")], {})
    assert [one.local_part for one in made] == ["minhnv.a", "minhnv", "minhnv.c"]
    made = allocate([ask(2, "2010-02-01", "a"), ask(2, "2010-01-01", "b")], {})
    assert [one.local_part for one in made] == ["minhnv.a", "minhnv"]
    made = allocate([ask(1, "2010-02-01", "a"), ask(2, "2010-01-01", "a")], held(rank=5))
    assert [one.code for one in made] == ["higher-rank", "extension-taken"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Sở Thông tin và Truyền thông", "sotttt"), ("Sở Nội vụ", "sonv"), ("UBND thị xã Dĩ An", "ubnddian"),
        ("Ủy ban nhân dân phường An Bình", "ubndanbinh"), ("Văn phòng UBND tỉnh Bình Dương", "vpubndbinhduong"),
        ("Phòng Giáo dục và Đào tạo", "pgddt"), ("Trung tâm Thông tin điện tử", "ttttdt"), ("UBND Phường 1", "ubnd1"),
        ("Tỉnh ủy Bình Dương", "tinhuybinhduong"),
    ],
)  # fmt: skip
def test_abbreviations(name: str, expected: str):
    assert abbreviations(name)[0] == expected
    assert abbreviations(unicodedata.normalize("NFD", name)) == abbreviations(name.upper()) == abbreviations(name)


def test_abbreviations_of_namesakes():
    assert "ubndpanbinh-thuanan" in abbreviations("UBND phường An Bình", "ubndthuanan")
    assert abbreviations("…") == () == abbreviations("")


def test_the_vietnamese_order():
    alphabet = "a ă â b ba bà bả bã bá bạ bă c d đ e ê o ô ơ u ư y"
    assert " ".join(sorted(set(alphabet.split(" ")), key=order_key)) == alphabet
    places = ["Phường 2", "Phường 10", "Phường An", "Phường Ân", "Phường Bình"]
    assert sorted(set(places), key=order_key) == places
    people = ["Trần An", "Lê Văn Ánh", "Lê Văn Bình", "Nguyễn Văn Bình", "Đỗ Dũng", "Bùi Đạo"]
    assert sorted(set(people), key=person_key) == people
    assert order_key("ĐÀO") == order_key(unicodedata.normalize("NFD", "đào"))
