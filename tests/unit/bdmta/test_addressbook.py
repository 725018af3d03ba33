"""The public address book (Điều 6): who stands in it, in which order, and what each format makes of it."""

from __future__ import annotations

import base64
import csv
import html.parser
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from bdmta.cli import run
from bdmta.directory.addressbook_files import csv_file, ldif_file, vcard_file
from bdmta.directory.addressbook_page import page
from bdmta.directory.calls import REGISTRY
from bdmta.directory.service import DirectoryService
from bdmta.testing.clock import FakeClock
from storage.directory import Directory
from storage.directory_rows import Agency, Mailbox

D = "binhduong.gov.vn"
HOSTILE = "</script><script>alert(\"1\")</script> & 'Lê'"

AGENCIES = (
    "mat | Cơ quan không công bố | province | no | -",
    "sonv | Sở Nội vụ | province | yes | -",
    "bandt | Ban Dân tộc | province | yes | mat",
    "ubnddian | UBND thị xã Dĩ An | district | yes | -",
    "chua | Chưa có hộp thư | unit | yes | -",
    "dong | Đã đóng | unit | yes | -",
)
PEOPLE = (
    ("anbv", "Bùi Văn Ân", "sonv", True),
    ("daold", "Lê Đình Đạo", "mat", True),
    ("dungt", "Trần Dũng", "sonv", True),
    ("anlt", "Lê Thị An", "sonv", True),
    ("kin", "Người Kín", "sonv", False),
    ("nghi", "Người Nghỉ", "sonv", True),
    ("hh", HOSTILE, "sonv", True),
    ("cong", "=cmd|' /C calc'!A0", "sonv", True),
)


@pytest.fixture
def service(tmp_path: Path):
    clock = FakeClock()
    made = DirectoryService(
        directory=Directory.open(str(tmp_path / "d.db"), clock), clock=clock, mail_root=str(tmp_path / "mail"),
        snapshot_path=str(tmp_path / "snapshot"), password_key_path=str(tmp_path / "key"), postmaster=f"postmaster@{D}",
    )  # fmt: skip
    with made.directory.change("test") as change:
        change.set_domains([D])
        for row in AGENCIES:
            identifier, name, level, published, parent = row.split(" | ")
            change.agencies.add(
                Agency(
                    identifier=identifier,
                    name=name,
                    level=level,  # type: ignore[arg-type]
                    published=published == "yes",
                    parent=parent.strip("-") or None,
                    head="Thủ Trưởng",
                    clerk="Văn Thư",
                    paper_address="Số 1; đường A, B\\C",
                )
            )
            if identifier != "chua":
                change.add_mailbox(Mailbox(address=f"{identifier}@{D}", name=name, kind="agency", agency=identifier))
        change.set_status(f"dong@{D}", "closed")
        for local, name, agency, published in PEOPLE:
            change.add_mailbox(Mailbox(address=f"{local}@{D}", name=name, agency=agency, published=published, rank=77))
        change.set_status(f"nghi@{D}", "suspended")
    yield made
    made.close()


@pytest.fixture
def book(service: DirectoryService) -> dict[str, Any]:
    return REGISTRY["addressbook_entries"](service)


class Reader(html.parser.HTMLParser):
    """The entries of the page as a browser would find them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.keys: list[str] = []
        self.links: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        if "data-k" in given:
            self.keys.append(given["data-k"])
        if tag == "a":
            self.links.append(given["href"])

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "b" and data.strip():
            self.names.append(data)


def test_who_stands_in_it(book: dict[str, Any]):
    assert [one["abbreviation"] for one in book["agencies"]] == ["bandt", "sonv", "ubnddian"]
    assert sorted(book["left_out"]) == ["chua", "dong"]
    assert [one["address"].partition("@")[0] for one in book["officials"]] == [
        "cong",
        "anlt",
        "anbv",
        "dungt",
        "daold",
        "hh",
    ]
    said = json.dumps(book, ensure_ascii=False)
    for private in ("Thủ Trưởng", "Văn Thư", "không công bố", "Người Kín", "Người Nghỉ", "77"):
        assert private not in said
    assert {one["name"]: one["agency"] for one in book["officials"]}["Lê Đình Đạo"] == ""


def test_one_who_leaves_is_gone_at_once(service: DirectoryService):
    REGISTRY["mailbox_status"](service, address=f"anlt@{D}", status="closed")
    REGISTRY["mailbox_set"](service, address=f"anbv@{D}", published=False)
    shown = {one["address"] for one in REGISTRY["addressbook_entries"](service)["officials"]}
    assert not shown & {f"anlt@{D}", f"anbv@{D}"}


def test_the_page(book: dict[str, Any]):
    text = page(book, [("CSV", "addressbook.csv")]).decode()
    reader = Reader()
    reader.feed(text)
    assert reader.tags.count("script") == 1 and reader.tags.count("li") == 9
    assert HOSTILE in reader.names
    assert f"mailto:daold@{D}" in reader.links and "addressbook.csv" in reader.links
    assert "addressbook.vcf" not in text
    assert "le dinh dao daold" in reader.keys and "uy" not in reader.keys
    assert "ban dan toc bandt" in reader.keys
    assert re.findall(r'(?:src|href)="(?!mailto:|#|addressbook\.csv)', text) == []
    assert text.index("Cơ quan cấp tỉnh") < text.index("Cơ quan cấp huyện") < text.index("Cán bộ, công chức – A")
    assert "Cán bộ, công chức – Â" in text and "Cán bộ, công chức – Đ" in text
    assert page(book, [("CSV", "addressbook.csv")]) == page(book, [("CSV", "addressbook.csv")])


def test_an_empty_book_is_a_page_too():
    empty = {"domain": D, "generated_at": "2026-01-05T08:00:00+07:00", "agencies": [], "officials": [], "left_out": []}
    assert "chưa có địa chỉ nào" in page(empty).decode()
    assert csv_file(empty).count(b"\r\n") == 1 and vcard_file(empty) == b"" and ldif_file(empty) == b"version: 1\n"


def test_the_csv(book: dict[str, Any]):
    octets = csv_file(book)
    assert octets.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(octets.decode("utf-8-sig"))))
    assert len(rows) == 9
    assert rows[0]["Tên"] == "Ban Dân tộc" and rows[0]["Địa chỉ bưu chính"] == "Số 1; đường A, B\\C"
    assert rows[3]["Tên"] == "'=cmd|' /C calc'!A0"
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_the_vcards(book: dict[str, Any]):
    octets = vcard_file(book)
    assert all(len(line) <= 75 for line in octets.split(b"\r\n"))
    lines = octets.decode().replace("\r\n ", "").split("\r\n")
    assert lines.count("BEGIN:VCARD") == lines.count("END:VCARD") == lines.count("VERSION:4.0") == 9
    assert "N:Lê;Đạo;Đình;;" in lines and "FN:Lê Đình Đạo" in lines
    assert "ADR:;;Số 1\\; đường A\\, B\\\\C;;;;" in lines
    assert "KIND:org" in lines and f"EMAIL;TYPE=work:daold@{D}" in lines


def test_a_long_line_is_folded_between_letters():
    one = {"name": "Ộ" * 200, "address": f"a@{D}", "agency": ""}
    octets = vcard_file({"agencies": [], "officials": [one]})
    for line in octets.split(b"\r\n"):
        assert len(line) <= 75
        line.decode()
    assert f"FN:{'Ộ' * 200}\r\n" in octets.replace(b"\r\n ", b"").decode()


def test_the_ldif(book: dict[str, Any]):
    octets = ldif_file(book)
    assert octets.isascii() and octets.startswith(b"version: 1\n\ndn: mail=bandt@")
    records = octets.replace(b"\n ", b"").decode().strip().split("\n\n")[1:]
    assert len(records) == 9
    found = []
    for record in records:
        values = [line.split(": ", 1) for line in record.split("\n")]
        plain = {
            name.rstrip(":"): base64.b64decode(value).decode() if name.endswith(":") else value
            for name, value in values
        }
        assert {"dn", "cn", "sn", "mail", "objectClass"} <= plain.keys()
        found.append(plain["cn"])
    assert "Lê Đình Đạo" in found and HOSTILE in found


def test_two_thousand_entries_take_a_tenth_of_twenty_seconds(service: DirectoryService):
    """The part that grows: reading is measured with the whole command, by hand."""
    with service.directory.change("test") as change:
        for number in range(2000):
            name = f"Nguyễn Văn {('An', 'Bình', 'Đạo', 'Ý')[number % 4]}"
            change.add_mailbox(Mailbox(address=f"n{number}@{D}", name=name, agency="sonv", published=True))
    start = time.perf_counter()
    book = REGISTRY["addressbook_entries"](service)
    sizes = [len(make(book)) for make in (page, csv_file, vcard_file, ldif_file)]
    assert time.perf_counter() - start < 2.0
    assert all(size > 100_000 for size in sizes)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["init", str(tmp_path / "s"), "--domain", D, "--base-port", "21000"]) == 0
    config = ["-c", str(tmp_path / "s" / "bdmta.toml")]
    out = tmp_path / "book"
    assert run(["agency", "add", "Sở Nội vụ", "--published", *config]) == 0
    assert run(["mailbox", "add", f"sonv@{D}", "--name", "Sở Nội vụ", "--kind", "agency", *config]) == 0
    assert run(["mailbox", "add", f"anlt@{D}", "--name", "Lê Thị An", "--published", *config]) == 0
    assert run(["mailbox", "add", f"kin@{D}", "--name", "Người Kín", *config]) == 0
    assert run(["addressbook", "export", "--format", "pdf", "--out", str(out), *config]) == 2
    assert not out.exists()
    assert run(["addressbook", "export", "--format", "html", "--out", str(out), *config]) == 0
    assert [path.name for path in out.iterdir()] == ["index.html"]
    assert "addressbook.csv" not in (out / "index.html").read_text()
    capsys.readouterr()
    assert run(["addressbook", "export", "--out", str(out), "--json", *config]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["agencies"], said["officials"], said["left_out"]) == (1, 1, [])
    assert sorted(path.name for path in out.iterdir()) == [
        "addressbook.csv",
        "addressbook.json",
        "addressbook.ldif",
        "addressbook.vcf",
        "index.html",
    ]
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in out.iterdir())
    assert "Kín" not in "".join(path.read_text() for path in out.iterdir())
    assert run(["mailbox", "set", f"anlt@{D}", "--unpublished", *config]) == 0
    assert run(["addressbook", "export", "--format", "csv", "--out", str(out), *config]) == 0
    assert "anlt" not in (out / "addressbook.csv").read_text()
