"""Archives and documents: each class of `threats.md` that touches them, by name."""

from __future__ import annotations

import io
import os
import tarfile
import time
import zipfile

import pytest

from bdmta.examine.bounds import Bounds
from bdmta.examine.errors import NeedsWorker
from bdmta.examine.inventory import Inventory, Item
from bdmta.examine.walk import take_inventory
from bdmta.message import scan
from tests.corpus.attachments import archives, files
from tests.corpus.attachments.files import MZ, TEXT, zipped
from tests.corpus.attachments.letters import attached, letter, multipart, part, text_part


def look(octets: bytes, name: str = "a.zip", **bounds: float) -> Inventory:
    return take_inventory(scan(attached(name, octets)), Bounds(**bounds))  # type: ignore[arg-type]


def items(inventory: Inventory) -> dict[str, Item]:
    return {item.display: item for item in inventory.items if item.role != "body"}


def problems(inventory: Inventory) -> set[str]:
    return {problem for item in inventory.items for problem in item.problems} | set(inventory.problems)


def test_cve_2024_0450_overlapping_entries() -> None:
    assert "overlap" in problems(look(archives.overlapping()))


def test_cve_2022_27925_traversal_names_write_nothing(tmp_path: os.PathLike[str]) -> None:
    name = f"../../..{tmp_path}/escaped.txt"
    found = problems(look(zipped({name: TEXT})))
    assert "traversal" in found
    assert os.listdir(tmp_path) == []


def test_cve_2022_41352_cpio() -> None:
    header = (
        b"070701"
        + b"00000000"
        + b"000081A4"
        + b"00000000" * 4
        + b"%08X" % len(MZ)
        + b"00000000" * 4
        + b"00000009"
        + b"00000000"
    )
    body = header + b"chay.exe\0" + bytes(-(110 + 9) % 4) + MZ + bytes(-len(MZ) % 4)
    end = b"070701" + b"00000000" * 11 + b"0000000B" + b"00000000" + b"TRAILER!!!\0\0\0\0"
    assert "executable-content" in problems(look(body + end, "a.cpio"))


def test_cve_2016_1000282_a_name_is_never_a_command(tmp_path: os.PathLike[str]) -> None:
    mark = os.path.join(tmp_path, "mark")
    look(zipped({f"`touch {mark}`;$(touch {mark}).txt": TEXT}), f"a;touch {mark};.zip")
    assert not os.path.exists(mark)


def test_cve_2025_59031_links_in_documents() -> None:
    out = io.BytesIO(files.ooxml("docx"))
    with zipfile.ZipFile(out, "a") as archive:
        info = zipfile.ZipInfo("word/link.xml")
        info.create_system, info.external_attr = 3, 0xA1FF0000
        archive.writestr(info, "/etc/passwd")
    found = look(out.getvalue(), "a.docx")
    assert "link" in problems(found)
    assert "link" in problems(look(archives.tar_link(), "a.tar"))


def test_tar_devices_and_hard_links_are_links() -> None:
    for kind in (tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            info = tarfile.TarInfo("a")
            info.type = kind
            archive.addfile(info)
        assert "link" in problems(look(out.getvalue(), "a.tar"))


def test_decompression_is_bounded_in_octets_ratio_entries_depth_and_time() -> None:
    assert "ratio" in problems(look(archives.bomb(8)))
    assert "expanded" in problems(look(zipped({"a": os.urandom(90_000)}, 0), expanded_octets=80_000))
    found = look(zipped({f"{i}.txt": b"x" for i in range(50)}), entries=20)
    assert "entries" in problems(found) and found.truncated
    assert "depth" in problems(look(archives.nested(TEXT, 6), depth=3))
    assert "time" in problems(look(zipped({"a.txt": TEXT}), seconds=0.0))


def test_a_bomb_costs_little_time() -> None:
    bomb = archives.bomb(64)
    began = time.process_time()
    assert "ratio" in problems(look(zipped({f"{i}.zip": bomb for i in range(50)})))
    assert time.process_time() - began < 2


def test_the_readings_of_both_headers_are_kept() -> None:
    octets = archives.renamed_centrally({"congvan.txt": MZ}, b"congvan.txt", b"congvan.pdf")
    (member,) = [item for item in look(octets).items if item.role == "member"]
    assert set(member.names) == {"congvan.pdf", "congvan.txt"}
    assert "executable-content" in member.problems


def test_unicode_path_field_is_a_name_too() -> None:
    raw = b"chay.exe"
    extra = b"\x75\x70" + (5 + len(raw)).to_bytes(2, "little") + b"\x01\0\0\0\0" + raw
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("congvan.txt")
        info.extra = extra
        archive.writestr(info, b"x")
    assert "executable-name" in problems(look(out.getvalue()))


def test_paths_say_the_way_in() -> None:
    inner = zipped({"thư mục/chay.exe": MZ})
    found = items(
        take_inventory(
            scan(
                letter(
                    multipart(
                        text_part(),
                        b"Content-Type: message/rfc822\r\n\r\n"
                        + attached("hồ sơ.zip", inner).replace(b"=_bd", b"=_in"),
                    )
                )
            )
        )
    )
    assert "(letter)/hồ sơ.zip/thư mục/chay.exe" in found


def test_tnef_in_zip_holding_a_program_by_its_long_name() -> None:
    winmail = archives.tnef({"CONGVA~1.TXT": b"inert"}, {"CONGVA~1.TXT": "công văn.pdf.js"})
    assert "executable-name" in problems(look(zipped({"winmail.dat": winmail})))


def test_a_document_holds_components_not_attachments() -> None:
    found = look(files.ooxml("docx"), "a.docx")
    assert {item.role for item in found.items} == {"body", "attachment", "component"}
    assert items(found)["a.docx"].detected == "docx"


@pytest.mark.parametrize("kind", ["odt", "ods", "odp"])
def test_opendocument_kinds(kind: str) -> None:
    assert items(look(files.odf(kind), f"a.{kind}"))[f"a.{kind}"].detected == kind


def test_an_edge_opens_nothing() -> None:
    for name, octets in (("a.zip", zipped({"a.txt": TEXT})), ("a.pdf", files.pdf()), ("a.doc", files.doc()),
                         ("winmail.dat", archives.tnef({"a.txt": TEXT}))):  # fmt: skip
        with pytest.raises(NeedsWorker):
            take_inventory(scan(attached(name, octets)), is_edge=True)
    plain = take_inventory(scan(attached("a.txt", TEXT)), is_edge=True)
    assert items(plain)["a.txt"].detected == "text"


def test_an_edge_leaves_letters_of_many_names_to_a_worker() -> None:
    fields = ["Content-Type: image/png; " + "; ".join(f"name*{i}*=%41\u202e" for i in range(60))]
    with pytest.raises(NeedsWorker):
        take_inventory(scan(letter(multipart(*[part(b"x", *fields)] * 10))), is_edge=True)


@pytest.mark.parametrize(
    "text",
    [b"<" * 250_000, b"< " * 125_000, b"<href=" + b" " * 250_000, b"begin 644" + b" " * 250_000,
     b"begin\r\n" + b"=ybegin line=1 name=a\r\n" * 10_000, b"<meta " * 40_000, b"begin 644 a\r\n" * 19_000,
     b"base64\r\n" + b"\nTVqQAAAA" * 25_000],
    ids=range(8),
)  # fmt: skip
def test_contract_10_the_worst_texts_cost_an_edge_under_50_ms(text: bytes) -> None:
    message = scan(attached("x", b"").split(b"Content-Type")[0] + b"Content-Type: text/html\r\n\r\n<html>" + text)
    began = time.process_time()
    take_inventory(message, is_edge=True)
    assert time.process_time() - began < 0.2  # measured 5 to 35 ms; the rest is for slow machines
