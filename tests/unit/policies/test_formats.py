"""policies.formats: the list as data, names and contents that agree, structure that is no document (Điều 13)."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path

import pytest

from bdmta.examine.signatures import FAMILIES
from bdmta.policy import Direction, Pass, Reject
from bdmta.testing.policy import PolicyContext
from policies import formats
from tests.corpus.attachments import archives, files
from tests.corpus.attachments.files import DOCUMENTS, EXTENDED, TEXT, zipped
from tests.corpus.attachments.letters import attached, letter, multipart, part

SETS = sorted((Path(__file__).parents[3] / "conf" / "formats").glob("*.toml"))


def verdict(octets: bytes, *sets: str, **known: object) -> Pass | Reject:
    context = PolicyContext(formats, sets=sets or ("qd20-2008", "extended"))
    found = asyncio.run(context.data(octets, **known))
    assert isinstance(found, Pass | Reject)
    return found


def test_dieu_13_names_ten_formats_and_two_archives() -> None:
    table = formats.read_formats(formats.Config(sets=("qd20-2008",)))
    assert set(table.contents_of) == {"txt", "rtf", "pdf", "doc", "odt", "csv", "xls", "ods", "ppt", "odp", "zip", "gz"}


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_each_entry_states_its_source_and_known_contents(path: Path) -> None:
    document = tomllib.loads(path.read_text())
    assert document["name"] == path.stem
    assert document["source"] and document["date"]
    known = set(FAMILIES) | {"docx", "xlsx", "pptx"}
    for entry in document["format"]:
        assert entry["title"] and entry["source"]
        assert set(entry["contents"]) <= known
        assert not {FAMILIES[c] for c in entry["contents"]} & {"executable"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_strict_list_takes_its_formats(name: str) -> None:
    assert isinstance(verdict(attached(name, DOCUMENTS[name]), "qd20-2008"), Pass)
    assert isinstance(verdict(attached("a.zip", zipped({name: DOCUMENTS[name]})), "qd20-2008"), Pass)


@pytest.mark.parametrize("name", EXTENDED)
def test_the_strict_list_refuses_the_extended(name: str) -> None:
    assert isinstance(verdict(attached(name, EXTENDED[name])), Pass)
    assert isinstance(verdict(attached(name, EXTENDED[name]), "qd20-2008"), Reject)
    assert isinstance(verdict(attached("a.zip", zipped({name: EXTENDED[name]})), "qd20-2008"), Reject)


@pytest.mark.parametrize(
    "extension", ["mp3", "mp4", "html", "htm", "svg", "psd", "epub", "dwg", "docm", "msg", "eml", "rar", "7z", "bz2", "xz",  # noqa: E501
                  "xlsb", "odg", "pub", "vsdx", "json", "md", "log", "unknown", "2026"],
)  # fmt: skip
def test_other_formats_are_refused(extension: str) -> None:
    assert isinstance(verdict(attached(f"a.{extension}", TEXT)), Reject)


@pytest.mark.parametrize(
    ("name", "content"),
    [(name, other) for name in ("a.pdf", "a.doc", "a.xls", "a.odt", "a.docx", "a.jpg", "a.zip", "a.gz", "a.rtf", "a.txt")  # noqa: E501
     for other in ("giaymoi.pdf", "bang.ods", "trinhbay.ppt", "quet.png", "trinhbay.pptx")
     if (name, other) not in {("a.pdf", "giaymoi.pdf"), ("a.jpg", "quet.png")}],
)  # fmt: skip
def test_name_and_content_must_agree(name: str, content: str) -> None:
    assert isinstance(verdict(attached(name, {**DOCUMENTS, **EXTENDED}[content])), Reject)


def test_a_picture_under_another_picture_s_name_is_a_picture() -> None:
    assert isinstance(verdict(attached("a.jpg", files.png())), Pass)


def test_inline_pictures_are_structure_even_where_pictures_are_no_documents() -> None:
    html = part(b"<html><img src=cid:a></html>", "Content-Type: text/html")
    picture = part(files.png(), "Content-Type: image/png; name=image001.png", "Content-ID: <a>")
    assert isinstance(verdict(letter(multipart(html, picture, kind="related")), "qd20-2008"), Pass)
    false_picture = part(files.pdf(), "Content-Type: image/png; name=image001.png", "Content-ID: <a>")
    assert isinstance(verdict(letter(multipart(html, false_picture, kind="related"))), Reject)


def test_the_reply_names_the_file_the_rule_and_what_is_allowed() -> None:
    found = verdict(
        attached("phim.mp4", b"\0\0\0\x18ftypmp42" + bytes(40)), "qd20-2008", direction=Direction.SUBMISSION
    )
    assert isinstance(found, Reject)
    assert (found.code, found.enhanced) == (550, "7.1")
    for text in (found.text, found.text_vi, found.how_to_vi):
        assert ".pdf" in text and ".odt" in text and ".gz" in text
    assert "phim.mp4" in found.text and "phim.mp4" in found.text_vi
    assert "Article 13" in found.text and "Điều 13" in found.text_vi
    assert found.findings[0].code == "format"


def test_encrypted_files_are_judged_by_name_only() -> None:
    octets = files.compound({"EncryptionInfo": b"x", "EncryptedPackage": b"x"})
    assert isinstance(verdict(attached("a.docx", octets)), Pass)
    assert isinstance(verdict(attached("a.mp4", octets)), Reject)
    assert isinstance(verdict(attached("a.zip", archives.encrypted_bit({"a.pdf": files.pdf()}))), Pass)
    assert isinstance(verdict(attached("a.zip", archives.encrypted_bit({"a.mp4": b"x"}))), Reject)


def test_a_site_s_own_set(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('[[format]]\nextensions = ["DWG"]\ncontents = ["text"]\n')
    context = PolicyContext(formats, sets=("site",), folder=str(tmp_path))
    assert isinstance(asyncio.run(context.data(attached("a.dwg", TEXT))), Pass)
    assert isinstance(asyncio.run(context.data(attached("a.txt", TEXT))), Reject)


@pytest.mark.parametrize(
    ("text", "sets", "expected"),
    [
        (None, ("missing",), "missing.toml"),
        ("x = ", ("site",), "not TOML"),
        ('[[format]]\nextensions = "dwg"\n', ("site",), "extensions"),
        ('[[format]]\nextensions = ["dwg"]\n', ("site",), "contents"),
        ("", ("../site",), "a name is wanted"),
    ],
)
def test_a_broken_set_is_one_clear_line(tmp_path: Path, text: str | None, sets: tuple[str, ...], expected: str) -> None:
    if text is not None:
        (tmp_path / "site.toml").write_text(text)
    with pytest.raises(ValueError, match=expected) as error:
        PolicyContext(formats, sets=sets, folder=str(tmp_path))
    assert "\n" not in str(error.value)


REPORT = b'<?xml version="1.0"?><feedback><report_metadata></report_metadata></feedback>'


@pytest.mark.parametrize(
    ("name", "content", "to", "direction", "is_taken"),
    [
        ("r.xml", REPORT, ("postmaster@dian.gov.vn",), Direction.INBOUND, True),
        ("r.zip", zipped({"r.xml": REPORT}), ("postmaster@dian.gov.vn", "dmarc@dian.gov.vn"), Direction.INBOUND, True),
        ("r.xml", REPORT, ("postmaster@dian.gov.vn", "minhnv@dian.gov.vn"), Direction.INBOUND, False),
        ("r.xml", REPORT, ("minhnv@dian.gov.vn",), Direction.INBOUND, False),
        ("r.xml", REPORT, ("postmaster@dian.gov.vn",), Direction.SUBMISSION, False),
        ("r.xml", b"MZ" + bytes(200), ("postmaster@dian.gov.vn",),
         Direction.INBOUND, False),
        ("r.svg", REPORT, ("postmaster@dian.gov.vn",), Direction.INBOUND, False),
    ],
)  # fmt: skip
def test_reports_of_other_systems_may_come_as_xml_to_those_who_collect_them(
    name: str, content: bytes, to: tuple[str, ...], direction: Direction, is_taken: bool
) -> None:
    found = verdict(attached(name, content), rcpt_to=to, direction=direction)
    assert isinstance(found, Pass) is is_taken
