from __future__ import annotations

import asyncio
import base64
import io
import json
import struct
import zipfile

import pytest

from bdmta.examine.bounds import Bounds
from bdmta.examine.pool import ExaminerPool
from bdmta.examine.walk import take_inventory
from bdmta.examine.wording import extract_text, texts, texts_task
from bdmta.examine.wording.office import xml_words
from bdmta.message import scan
from tests.corpus.attachments.letters import attached


def archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()


def compound(streams: dict[str, bytes]) -> bytes:
    """A compound file of 512-octet sectors with all streams long enough for the big table."""
    sectors: list[bytes] = []
    chains: list[tuple[int, int]] = []
    table: list[int] = []
    for content in streams.values():
        content = content.ljust(4096, b"\0")
        first = len(sectors)
        count = (len(content) + 511) // 512
        sectors += [content[at * 512 : at * 512 + 512].ljust(512, b"\0") for at in range(count)]
        table += [first + at + 1 for at in range(count - 1)] + [0xFFFFFFFE]
        chains.append((first, len(content)))

    def entry(name: str, kind: int, child: int, right: int, start: int, size: int) -> bytes:
        wide = name.encode("utf-16-le") + b"\0\0"
        return (
            wide.ljust(64, b"\0") + struct.pack("<HBB3L", len(wide), kind, 1, 0xFFFFFFFF, right, child)
            + bytes(36) + struct.pack("<LQ", start, size)
        )  # fmt: skip

    entries = [entry("Root Entry", 5, 1, 0xFFFFFFFF, 0xFFFFFFFE, 0)]
    for number, (name, (start, size)) in enumerate(zip(streams, chains, strict=True), 1):
        entries.append(entry(name, 2, 0xFFFFFFFF, number + 1 if number < len(streams) else 0xFFFFFFFF, start, size))
    directory = b"".join(entries).ljust(512 * ((len(entries) + 3) // 4), b"\0")
    directory_at = len(sectors)
    count = len(directory) // 512
    sectors += [directory[at * 512 : at * 512 + 512] for at in range(count)]
    table += [directory_at + at + 1 for at in range(count - 1)] + [0xFFFFFFFE]
    fat_at = len(sectors)
    table.append(0xFFFFFFFD)
    assert len(table) <= 128
    fat = struct.pack(f"<{len(table)}L", *table).ljust(512, b"\xff")
    header = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
        + struct.pack("<9L", 0, 1, directory_at, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0) + struct.pack("<L", fat_at)
    )  # fmt: skip
    return header.ljust(512, b"\xff") + b"".join(sectors) + fat


def word_document(text: str, *, is_wide: bool) -> bytes:
    body = text.encode("utf-16-le") if is_wide else text.encode("cp1252")
    fib = bytearray(1024)
    struct.pack_into("<HH", fib, 0, 0xA5EC, 0x00C1)
    struct.pack_into("<H", fib, 0x0A, 0x0200)
    position = 1024 if is_wide else (1024 * 2) | 0x40000000
    pieces = struct.pack("<LL", 0, len(text)) + struct.pack("<HLH", 0, position, 0)
    clx = b"\x01\x02\x00ab" + b"\x02" + struct.pack("<L", len(pieces)) + pieces
    struct.pack_into("<LL", fib, 0x01A2, 0, len(clx))
    return compound({"WordDocument": bytes(fib) + body, "1Table": clx})


@pytest.mark.parametrize("is_wide", [True, False])
def test_word(is_wide: bool) -> None:
    text = "Kế hoạch\rMẬT\rĐộc lập\x07ô hai\x07" if is_wide else "Ke hoach\rM\xcbT\r"
    found = extract_text("a.doc", word_document(text, is_wide=is_wide)).splitlines()
    assert ("MẬT" if is_wide else "M\xcbT") in found


def test_excel() -> None:
    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    def string(text: str) -> bytes:
        return struct.pack("<HB", len(text), 1) + text.encode("utf-16-le")

    cut = string("TUYỆT MẬT")
    stream = (
        record(0x809, bytes(16)) + record(0xFC, struct.pack("<LL", 2, 2) + string("MẬT") + cut[:9])
        + record(0x3C, b"\x01" + cut[9:]) + record(0x204, struct.pack("<3H", 0, 0, 0) + string("nhãn"))
        + record(0x1B6, bytes(18)) + record(0x3C, b"\x01" + "hộp chữ".encode("utf-16-le")) + record(0x0A, b"")
    )  # fmt: skip
    assert extract_text("a.xls", compound({"Workbook": stream})).split("\n")[:4] == [
        "nhãn",
        "hộp chữ",
        "MẬT",
        "TUYỆT MẬT",
    ]


def test_powerpoint() -> None:
    def atom(kind: int, body: bytes, version: int = 0) -> bytes:
        return struct.pack("<HHL", version, kind, len(body)) + body

    slide = atom(0x0FA0, "Kế hoạch\rMẬT".encode("utf-16-le")) + atom(0x0FA8, b"so 1")
    stream = atom(0x03EE, atom(0x0FF0, slide, 0xF), 0xF)
    assert "MẬT" in extract_text("a.ppt", compound({"PowerPoint Document": stream})).split("\n")


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("a.docx", {"[Content_Types].xml": b"<Types/>", "word/document.xml": (
            '<w:document xmlns:w="w" xmlns:v="v"><w:p><w:r><w:t>Số: 1</w:t></w:r><w:r><w:tab/><w:t>x</w:t></w:r>'
            "<v:textbox><w:txbxContent><w:p><w:r><w:t>M</w:t></w:r><w:r><w:t>ẬT</w:t></w:r></w:p></w:txbxContent>"
            "</v:textbox></w:p></w:document>").encode()}),
        ("b.docx", {"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w:document/>",
                    "word/header2.xml": '<w:hdr xmlns:w="w"><w:p><w:r><w:t>MẬT</w:t></w:r></w:p></w:hdr>'.encode()}),
        ("a.xlsx", {"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>", "xl/sharedStrings.xml": (
            "<sst><si><t>Số</t></si><si><r><t>MẬ</t></r><r><t>T</t></r></si></sst>").encode()}),
        ("a.pptx", {"[Content_Types].xml": b"<Types/>", "ppt/presentation.xml": b"<p/>", "ppt/slides/slide1.xml": (
            '<p:sld xmlns:p="p" xmlns:a="a"><a:p><a:r><a:t>Số 1</a:t></a:r></a:p><a:p><a:r><a:t>MẬT</a:t></a:r></a:p>'
            "</p:sld>").encode()}),
        ("a.odt", {"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": (
            '<o:d xmlns:o="o" xmlns:text="t"><text:p>Số<text:s/>1</text:p><text:p><text:span>MẬ</text:span>T</text:p>'
            "</o:d>").encode()}),
    ],
)  # fmt: skip
def test_zipped_documents(name: str, files: dict[str, bytes]) -> None:
    assert "MẬT" in [line.strip() for line in extract_text(name, archive(files)).split("\n")]


def test_entities_are_not_expanded() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY x "MAT"><!ENTITY y "&x;&x;&x;&x;">]><a><t>&y;&y;</t></a>'
    assert xml_words(bomb, 1000, is_open_document=False) == ""


@pytest.mark.parametrize(
    ("rtf", "line"),
    [
        (b"{\\rtf1\\ansi M\\u7852?T\\par x}", "MẬT"),
        (b"{\\rtf1\\ansi{\\fonttbl{\\f1\\fcharset163 Times;}}\\f1 ti\\'ea\\'ecng\\par}", "tiếng"),
        (b"{\\rtf1{\\*\\shpinst{\\sp{\\sn a}{\\sv b}}{\\shptxt M\\u7852?T\\par}}}", "MẬT"),
        (b"{\\rtf1\\ansi\\uc2 M\\u7852\\'3f\\'3fT\\line y}", "MẬT"),
        (b"{\\rtf1{\\info{\\title no}}{\\*\\unknown no}yes}", "yes"),
    ],
)
def test_rtf(rtf: bytes, line: str) -> None:
    assert line in extract_text("a.rtf", rtf).split("\n")
    assert "no" not in extract_text("a.rtf", rtf).split("\n")


def test_bounds_and_damage() -> None:
    assert extract_text("a.txt", b"a" * 1000, 10) == "a" * 10
    for content in (
        b"",
        b"%PDF-1.4 broken",
        b"PK\x03\x04broken",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 600,
        b"{\\rtf",
    ):
        assert isinstance(extract_text("a", content), str)


def test_texts_go_into_archives_and_letters_and_come_as_json() -> None:
    inner = archive({"b.txt": "MẬT\n".encode()})
    letter = (
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\nbody\r\n--B\r\n"
        b"Content-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        + archive({"c.zip": inner}) + b"\r\n--B--\r\n"
    )  # fmt: skip
    assert texts(letter) == [("a.zip/c.zip/b.txt", "MẬT")]
    assert json.loads(texts_task(letter, Bounds())) == [["a.zip/c.zip/b.txt", "MẬT"]]
    assert texts(letter, Bounds(depth=1)) == []


CROOKED = {  # found by fuzzing: no number, a number that leads backwards
    "a.cpio": b"070701" + b"0000000\x03" + b"0" * 96 + b"a\0\0\0" * 20,
    "b.cpio": b"070707" + b"0" * 53 + b"000002" + b"-0000000076" + b"a\0" + b"x" * 200,
    "c.a": b"!<arch>\n" + b"x/".ljust(48) + b"-60".ljust(10) + b"`\n" + b"y" * 200,
}


@pytest.mark.parametrize("name", CROOKED)
def test_crooked_numbers_end_the_look_and_not_the_worker(name: str) -> None:
    octets = attached(name, CROOKED[name])
    assert len(texts(octets)) <= 1
    inventory = take_inventory(scan(octets))
    assert len(inventory.items) <= 2
    assert "unreadable" in inventory.items[1].problems


def test_a_confined_worker_reads_documents_too() -> None:
    content = archive({"[Content_Types].xml": b"<Types/>", "word/document.xml": (
        '<w:document xmlns:w="w"><w:p><w:r><w:t>MẬT</w:t></w:r></w:p></w:document>').encode()})  # fmt: skip
    pdf = (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj\n"
        b"4 0 obj<</Length 33>>stream\nBT /F 9 Tf 9 9 Td (KE HOACH) Tj ET\nendstream endobj\n"
        b"5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\n"
    )
    letter = b"Subject: x\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"
    for name, octets in (("a.docx", content), ("b.pdf", pdf)):
        letter += (
            b"--B\r\nContent-Type: application/octet-stream; name=" + name.encode()
            + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(octets).replace(b"\n", b"\r\n")
        )  # fmt: skip
    letter += b"--B--\r\n"

    async def ask() -> dict[str, str]:
        pool = ExaminerPool()
        await pool.start()
        try:
            return dict(await pool.texts(scan(letter)))
        finally:
            await pool.close()

    found = asyncio.run(ask())
    assert found["a.docx"].strip() == "MẬT"
    assert found["b.pdf"].strip() == "KE HOACH"
