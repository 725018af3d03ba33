"""What plain text hides."""

from __future__ import annotations

import pytest

from bdmta.examine.signatures import detect
from bdmta.examine.text import bare_base64, decode_base64, hidden_files, is_active_html, looks_like_text
from tests.corpus.attachments.files import DOCUMENTS, EXECUTABLES, EXTENDED, MZ
from tests.corpus.attachments.letters import b64, uuencoded, yencoded


@pytest.mark.parametrize("octets", [MZ, b"x", bytes(range(256)) * 3, b"", b"a" * 45])
def test_uuencode_and_yenc_give_back_the_file(octets: bytes) -> None:
    for encode in (uuencoded, yencoded):
        if not octets and encode is uuencoded:
            continue
        (found,) = hidden_files(b"Xem:\r\n" + encode("mo.exe", octets) + b"het\r\n")
        assert (found.name, found.octets) == ("mo.exe", octets)


def test_several_files_in_one_text() -> None:
    text = b"a\r\n" + uuencoded("a.txt", b"1") + b"b\r\n" + uuencoded("b.exe", b"2") + yencoded("c.com", b"3")
    assert [file.name for file in hidden_files(text)] == ["a.txt", "b.exe", "c.com"]


@pytest.mark.parametrize(
    "text", [b"begin 644 people\r\nat once\r\n", b"begin here", b"=ybegin", b"begin 99 x\r\nM\r\n"]
)
def test_prose_is_no_file(text: bytes) -> None:
    assert [file.octets for file in hidden_files(text)] in ([], [b""])


def test_base64_is_read_over_junk_and_padding() -> None:
    coded = b64(MZ)
    assert decode_base64(b"*" + coded.replace(b"A", b"A!\n", 5) + b"$") == MZ
    assert list(bare_base64(b"x\r\n" + coded)) == [MZ]


@pytest.mark.parametrize(
    "html", [b"<script>", b"<SCRIPT src=x>", b"< script >", b"<a href='javascript:x'>", b"<body onload=x>",
             b"<svg:script/>", b"<iframe src=x>", b"<img src=x onerror = y>",
             "<script>".encode("utf-16"), b"<meta http-equiv=refresh content=0>"],
)  # fmt: skip
def test_active_html(html: bytes) -> None:
    assert is_active_html(b"<html>" + html if not html.startswith(b"\xff") else html)


@pytest.mark.parametrize(
    "html", [b"<p>script</p>", b"the description of onload", b"<a href=https://a.example>", b"a < b"]
)
def test_quiet_html(html: bytes) -> None:
    assert not is_active_html(html)


def test_text_of_the_old_code_tables_is_text() -> None:
    assert looks_like_text("Công văn".encode("cp1258", "replace"))
    assert looks_like_text(b"vi\x02t \x05 \x06 \x14 \x19 \x1e nam" * 20)
    assert not looks_like_text(bytes(range(256)))


_KINDS = {
    "congvan.txt": "text", "danhsach.csv": "text", "baocao.rtf": "rtf", "giaymoi.pdf": "pdf", "congvan.doc": "ole",
    "bangluong.xls": "ole", "trinhbay.ppt": "ole", "anh.jpg": "jpeg", "anh.gif": "gif", "anh.bmp": "bmp",
    "quet.png": "png", "quet.tif": "tiff", "anh.webp": "webp", "anh.heic": "heic", "congvan.docx": "zip",
}  # fmt: skip


@pytest.mark.parametrize("name", _KINDS)
def test_detects_documents(name: str) -> None:
    assert detect({**DOCUMENTS, **EXTENDED}[name]) == _KINDS[name]


@pytest.mark.parametrize("kind", EXECUTABLES)
def test_an_executable_is_never_taken_for_a_document(kind: str) -> None:
    assert detect(EXECUTABLES[kind]) not in ("", "text", "pdf", "zip", "jpeg", "html")


@pytest.mark.parametrize(
    "text", ["MZ là hai chữ cái", "BZh và CWS", "BM, PK, ELF", "#!important css", "FWS 2026: hội nghị"]
)
def test_prose_that_begins_like_a_magic_is_text(text: str) -> None:
    assert detect(text.encode()) == "text"
