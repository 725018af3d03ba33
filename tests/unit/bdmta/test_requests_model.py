"""Forms, rights, deadlines: what needs no database."""

from __future__ import annotations

from datetime import date

import pytest

from bdmta.config.shipped import shipped
from bdmta.errors import UsageError
from bdmta.requests import model
from bdmta.requests.form import from_csv, from_rows, from_text, request_number
from bdmta.requests.matrix import MATRIX
from bdmta.requests.ods import OdsError, read_ods
from bdmta.requests.rights import RIGHTS

ROW = {"name": "Nguyễn Văn Minh", "agency": "sotttt", "position": "Chuyên viên", "mailbox_kind": "person"}


@pytest.mark.parametrize(
    "text",
    [
        "Kính gửi Trung tâm,\n\nYêu cầu: cấp mới\nHọ và tên: Nguyễn Văn Minh\nCơ quan: sotttt\nChức vụ: Chuyên viên\n"
        "Loại hộp thư: cá nhân\nCăn cứ: QĐ 12\n\nTrân trọng.",
        "yeu cau = CAP MOI\nho va ten = Nguyễn Văn Minh\nco quan = SOTTTT\nchuc vu = Chuyên viên\n"
        "loai hop thu = ca nhan\ncan cu = QĐ 12",
        "  - Yêu cầu:  Cấp mới hộp thư\n  - Họ tên: Nguyễn Văn Minh\n  - Đơn vị: sotttt\n  - Chức vụ: Chuyên viên\n"
        "  - Loại hộp thư: Cá nhân\n  - Lý do: QĐ 12",
    ],
)
def test_key_lines_with_and_without_diacritics(text):
    (asked,) = from_text(text)
    assert (asked.kind, asked.grounds, asked.problems) == ("create", "QĐ 12", ())
    assert model.checked("create", asked.details) == ROW


def test_two_requests_in_one_letter_and_none_in_a_quoted_one():
    found = from_text("Yêu cầu: hủy bỏ\nHộp thư: <a@b.vn>\nYêu cầu: cấp lại mật khẩu\nHộp thư: c@b.vn")
    assert [(one.kind, one.details) for one in found] == [
        ("cancel", {"mailbox": "a@b.vn"}), ("reset", {"mailbox": "c@b.vn"}),
    ]  # fmt: skip
    assert from_text("> Yêu cầu: hủy bỏ\n> Hộp thư: a@b.vn") == []
    assert from_text("Kính gửi: anh Nam\nHộp thư: a@b.vn") == []


def test_what_cannot_be_read_is_named():
    (asked,) = from_text("Yêu cầu: xin tiền\nHộp thư: a@b.vn")
    assert asked.kind == "" and "xin tiền" in asked.problems[0]
    (long,) = from_text("Yêu cầu: hủy bỏ\nHộp thư: " + "a" * 400)
    assert "dài quá" in long.problems[0]


def test_the_shipped_forms_say_the_same():
    with open(shipped("templates", "yeu-cau.csv"), "rb") as file:
        by_csv = from_csv(file.read())
    with open(shipped("templates", "yeu-cau.ods"), "rb") as file:
        by_ods = from_rows(read_ods(file.read()))
    assert by_csv == by_ods
    assert model.checked("create", by_csv[0].details) == ROW


def test_a_form_with_semicolons_and_one_without_headings():
    (asked,) = from_csv("Yêu cầu;Hộp thư\r\nHủy bỏ;a@b.vn\r\n".encode())
    assert (asked.kind, asked.details) == ("cancel", {"mailbox": "a@b.vn"})
    assert "thiếu cột" in from_csv(b"a,b\n1,2\n")[0].problems[0]
    assert "quá 100 dòng" in from_csv(("Yêu cầu\n" + "Hủy bỏ\n" * 101).encode())[0].problems[0]


def test_hostile_ods_is_refused_within_bounds():
    for octets in (b"", b"PK\x03\x04junk", b"x" * 1000):
        with pytest.raises(OdsError):
            read_ods(octets)


def test_a_bomb_of_an_ods_ends():
    import io
    import zipfile

    with open(shipped("templates", "yeu-cau.ods"), "rb") as file:
        form = zipfile.ZipFile(io.BytesIO(file.read()))
    entries = {name: form.read(name) for name in ("mimetype", "META-INF/manifest.xml")}
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as made:
        for name, octets in entries.items():
            made.writestr(name, octets)
        made.writestr("content.xml", b"<a>" + b" " * (33 << 20))
    with pytest.raises(OdsError):
        read_ods(bomb.getvalue())


@pytest.mark.parametrize(
    ("received", "days", "due"),
    [
        ("2026-11-27", 5, "2026-12-04"),  # a Friday
        ("2026-11-28", 1, "2026-11-30"),  # a Saturday
        ("2026-12-31", 1, "2027-01-04"),  # 1 January is a holiday, a Friday; the weekend follows
    ],
)
def test_a_deadline_counts_working_days(received, days, due):
    holidays = {date(2027, 1, 1)}
    assert model.due_on(date.fromisoformat(received), days, holidays) == date.fromisoformat(due)


@pytest.mark.parametrize(
    ("kind", "details", "named"),
    [
        ("create", {"name": "A B"}, "agency"),
        ("change", {"mailbox": "a@b.vn"}, "new_address"),
        ("cancel", {"mailbox": "a@b.vn", "name": "x"}, "name"),
        ("create", {"name": "A B", "agency": "a", "rank": "0"}, "rank"),
        ("burn", {}, "create, change"),
    ],
)
def test_what_is_missing_or_wrong_is_named(kind, details, named):
    with pytest.raises(UsageError, match=named):
        model.checked(kind, details)


def test_every_kind_has_rights_with_articles_and_a_line_in_the_matrix():
    assert {right.kind for right in RIGHTS} == set(model.FIELDS)
    assert all(right.article.startswith("Điều 7 Bước 1") for right in RIGHTS)
    for kind in model.FIELDS:
        for of in ("agency",) if kind == "merge" else ("agency", "person"):
            assert MATRIX[kind, of, "result"] and MATRIX[kind, of, "refusal"]


def test_a_number_in_a_subject():
    assert request_number("Re: [yc-2026-000012] Trao đổi") == "YC-2026-000012"
    assert request_number("YC-2026-12") == ""
