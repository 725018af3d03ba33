from __future__ import annotations

import asyncio
import base64
import io
import unicodedata
import zipfile
from typing import Any

import pytest

from bdmta.charset import TABLES, encode
from bdmta.policy import Account, Direction, Pass, Reject, Verdict
from bdmta.testing.policy import PolicyContext
from policies.secrecy import is_marked, is_marked_subject

STAMPED = [
    "MẬT", "  MẬT  ", "TỐI MẬT", "TUYỆT MẬT", "[MẬT]", "*** TUYỆT MẬT ***", "M Ậ T", "T Ố I  M Ậ T",
    "T U Y Ệ T   M Ậ T",
    "Số: 12/BC-UBND   MẬT", "MẬT\nSố: 05/KH-UBND", "Số: 15/UBND-NC (MẬT)", "Độ mật: Mật", "Độ mật: TỐI MẬT", "MậT",
    "Tối mật", "> MẬT", "M.Ậ.T", "Kính gửi anh,\n\nTUYỆT MẬT\n\nKế hoạch", "công văn MẬT số 15/UBND-NC",
    "ĐỘ MẬT: TUYỆT MẬT",
    "MẬT - KHẨN", "HỎA TỐC, TUYỆT MẬT", "TÀI LIỆU MẬT", "KHẨN/MẬT",
    "MẬT Số: 12/QĐ", "M     Ậ     T", "ỦY BAN NHÂN DÂN\tCỘNG HÒA\nMẬT\tĐộc lập - Tự do", "Mức độ mật: Tuyệt mật",
]  # fmt: skip
UNSTAMPED = [
    "QUY CHẾ BẢO MẬT THÔNG TIN", "mật khẩu", "bảo mật", "mật độ dân số", "ĐỔI MẬT KHẨU", "Mật", "Trần Văn Mật",
    "TRẦN VĂN MẬT",
    "Anh Mật\n", "Các tài liệu bí mật Nhà nước (Mật, Tối mật, Tuyệt mật) không được gửi",
    "- Tuyệt mật;\n- Tối mật;\n- Mật;",
    "- Tuyệt mật\n- Tối mật\n- Mật", "- TUYỆT MẬT\n- TỐI MẬT\n- MẬT", "Độ mật: không", "BÍ MẬT NHÀ NƯỚC", "mật ong",
    "Đồng chí Mật số 5", "Về việc đổi mật khẩu số 12/CV-STTTT", "CHÍNH SÁCH BẢO MẬT số 12/2009", "Mức độ bảo mật: cao",
    "MẬT ONG RỪNG", "Số 12/QĐ-UBND về bảo vệ bí mật", "MẬT KHẨU:", "Mật khẩu của anh là", "độ bảo mật cao hơn",
    "Số: 12/QĐ BẢO MẬT", "Trân trọng,\nMật", "MAT", "",
    "TÀI LIỆU BẢO MẬT", "TÀI LIỆU HỌP - BẢO MẬT", "Văn bản mật",
]  # fmt: skip
SUBJECTS = [
    "MẬT - Báo cáo quý", "[MẬT] Báo cáo", "Báo cáo (MẬT)", "Fwd: MẬT: abc", "TỐI MẬT", "Kế hoạch TUYỆT MẬT tháng 5",
    "[Mật] Kế hoạch", "Tối mật: kế hoạch", "M Ậ T", "Báo cáo - MẬT", "Re: [TL] MẬT", "MẬT", "KHẨN - MẬT - Báo cáo",
]  # fmt: skip
INNOCENT = [
    "Đổi mật khẩu", "BẢO MẬT THÔNG TIN", "V/v bảo mật", "Anh Mật gửi báo cáo", "Mật độ dân số", "TẬP HUẤN BẢO MẬT",
    "Gửi anh Mật", "Tuyên truyền Luật bảo vệ bí mật nhà nước", "Mật ong", "Quy chế - BẢO MẬT", "An toàn - MẬT KHẨU",
    "Chuyên đề: MẬT MÃ", "",
]  # fmt: skip


def letter(subject: bytes, body: bytes, kind: str = "text/plain; charset=utf-8", attached: bytes = b"") -> bytes:
    head = b"From: a@binhduong.gov.vn\r\nSubject: " + subject + b"\r\nMIME-Version: 1.0\r\n"
    main = b"Content-Type: " + kind.encode() + b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body
    if not attached:
        return head + main
    return (
        head + b"Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n" + main + b"\r\n--B\r\n" + attached
        + b"\r\n--B--\r\n"
    )  # fmt: skip


def file(name: str, content: bytes) -> bytes:
    return (
        f"Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename={name}\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    ).encode() + base64.encodebytes(content).replace(b"\n", b"\r\n")


def judge(octets: bytes, direction: Direction = Direction.SUBMISSION, **options: Any) -> Verdict:
    known = options.pop("known", {})
    return asyncio.run(PolicyContext("policies.secrecy", **options).data(octets, direction=direction, **known))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("text", STAMPED)
def test_stamps_in_text(text: str, form: Any) -> None:
    if form == "NFC" and "     " not in text:
        assert is_marked(text)
    verdict = judge(letter(b"Bao cao", unicodedata.normalize(form, text).encode() + b"\r\n"))
    assert isinstance(verdict, Reject)
    assert verdict.article is not None and "12" in verdict.article


@pytest.mark.parametrize("text", UNSTAMPED)
def test_no_stamps_in_text(text: str) -> None:
    assert not is_marked(text)
    assert judge(letter(b"Bao cao", text.encode())) == Pass()


@pytest.mark.parametrize("text", SUBJECTS)
def test_stamps_in_subjects(text: str) -> None:
    assert is_marked_subject(text)
    word = b"=?utf-8?B?" + base64.b64encode(text.encode()) + b"?="
    assert isinstance(judge(letter(word, b"x")), Reject)
    assert isinstance(judge(letter(text.encode(), b"x")), Reject)


@pytest.mark.parametrize("text", INNOCENT)
def test_no_stamps_in_subjects(text: str) -> None:
    assert not is_marked_subject(text)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("text", ["MẬT", "TỐI MẬT", "TUYỆT MẬT"])
def test_stamps_in_every_old_set_however_short_the_letter(name: str, text: str) -> None:
    octets = encode(name, text)
    assert isinstance(judge(letter(b"x", octets + b"\r\n", "text/plain; charset=iso-8859-1")), Reject)
    assert isinstance(judge(letter(b"x", octets.decode("latin-1").encode() + b"\r\n")), Reject)
    if name != "viqr":
        assert isinstance(judge(letter(b"=?iso-8859-1?B?" + base64.b64encode(octets) + b"?=", b"x")), Reject)


@pytest.mark.parametrize(
    "html",
    ["<p>MẬT</p>", "<table><tr><td>Số: 1</td><td><b>MẬT</b></td></tr></table>", "<div>T<b>ỐI</b> MẬT<br>abc</div>",
     "<p>M&#7852;T</p>", "<center>M Ậ T</center>", "<p>&nbsp;TUY&#7878;T&nbsp;M&#7852;T&nbsp;</p>"],
)  # fmt: skip
def test_stamps_in_html(html: str) -> None:
    assert isinstance(judge(letter(b"x", html.encode(), "text/html; charset=utf-8")), Reject)


@pytest.mark.parametrize(
    "html", ["<p>bảo <b>MẬT</b> thông tin</p>", "<style>MẬT</style><p>x</p>", "<!-- \nMẬT\n --><p>x"]
)
def test_no_stamps_in_html(html: str) -> None:
    assert judge(letter(b"x", html.encode(), "text/html; charset=utf-8")) == Pass()


def docx(text: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(
            "word/document.xml",
            '<w:document xmlns:w="w"><w:body><w:p><w:r><w:t>Kế hoạch</w:t></w:r></w:p>'
            f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>",
        )
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "Kế hoạch\r\nMẬT\r\n".encode()),
        ("a.txt", encode("tcvn3", "Kế hoạch bảo vệ\r\nTỐI MẬT\r\n")),
        ("a.docx", docx("TUYỆT MẬT")),
        ("a.rtf", b"{\\rtf1\\ansi{\\fonttbl{\\f0 .VnTime;}}K\\'d5 ho\\'b9ch\\par M\\'cbT\\par}"),
        ("a.rtf", b"{\\rtf1\\ansi B\\u225?o c\\u225?o\\par M\\u7852?T\\par}"),
    ],
)
def test_stamps_in_attached_documents(name: str, content: bytes) -> None:
    verdict = judge(letter(b"x", b"abc\r\n", attached=file(name, content)))
    assert isinstance(verdict, Reject)
    assert verdict.findings[0].file == name
    assert judge(letter(b"x", b"abc\r\n", attached=file(name, content)), in_attachments=False) == Pass()


def test_documents_without_a_stamp_pass() -> None:
    assert judge(letter(b"x", b"abc\r\n", attached=file("a.docx", docx("Quy chế bảo mật")))) == Pass()


def test_a_stamp_in_a_forwarded_letter_counts() -> None:
    inner = letter("MẬT - Kế hoạch".encode(), b"x")
    assert isinstance(judge(letter(b"x", b"y", attached=b"Content-Type: message/rfc822\r\n\r\n" + inner)), Reject)


def test_letters_from_outside_are_not_asked_about() -> None:
    assert judge(letter(b"x", "MẬT\r\n".encode()), Direction.INBOUND) == Pass()


def test_letters_made_here_are() -> None:
    assert isinstance(judge(letter(b"x", "MẬT\r\n".encode()), Direction.INTERNAL), Reject)


def test_an_agency_has_phrases_of_its_own() -> None:
    account = Account(address="a@x.vn", kind="person", agency="sotc", may_send_as=frozenset())
    options = {"agency_phrases": {"sotc": ("Dự toán ngân sách",)}, "phrases": ("kế hoạch Z",)}
    body = letter(b"x", "gửi anh DỰ TOÁN  ngân sách năm\r\n".encode())
    assert isinstance(judge(body, known={"account": account}, **options), Reject)
    assert judge(body, **options) == Pass()
    assert isinstance(judge(letter(b"x", "Kế hoạch z nhé".encode()), **options), Reject)
    assert judge(letter(b"x", "Kế hoạch zet".encode()), **options) == Pass()


def test_nothing_of_the_letter_is_in_the_refusal() -> None:
    verdict = judge(letter("MẬT - vị trí kho đạn".encode(), b"x"))
    assert isinstance(verdict, Reject)
    said = verdict.text + verdict.text_vi + verdict.how_to_vi + "".join(f.text + f.text_vi for f in verdict.findings)
    assert "kho đạn" not in said


def test_the_decision_itself_may_be_sent() -> None:
    text = (
        "Điều 9. Các tài liệu có độ Mật, Tối mật, Tuyệt mật không được gửi qua thư điện tử.\r\n"
        "Điều 12. Không sử dụng hệ thống thư điện tử để gửi tài liệu mật.\r\n"
    )
    assert judge(letter(b"x", text.encode())) == Pass()
