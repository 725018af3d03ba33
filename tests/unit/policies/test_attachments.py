"""policies.attachments: its options, its words, its modes of failing (Điều 13)."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from bdmta.policy import Annotate, Direction, Pass, Quarantine, Reject, Stage
from bdmta.testing.policy import PolicyContext
from policies import attachments
from tests.corpus.attachments import archives, files
from tests.corpus.attachments.files import MZ, TEXT, zipped
from tests.corpus.attachments.letters import attached, head, letter, multipart, part, text_part

OPTIONS = {
    "disguises": attached("a\u202etxt.txt", TEXT),
    "macros": attached("a.odt", files.odf("odt", {"Basic/Standard/M.xml": b"<x/>"})),
    "pdf_active": attached("a.pdf", files.pdf(catalog=b"/OpenAction<</S/JavaScript>>")),
    "pdf_embedded": attached("a.pdf", files.pdf(catalog=b"/Names<</EmbeddedFiles 9 0 R>>")),
    "active_html": attached("a.html", b"<html><script></script>"),
    "encrypted": attached("a.zip", archives.encrypted_bit({"a.txt": TEXT})),
    "encrypted_letters": head() + part(archives.cms(3, None), "Content-Type: application/pkcs7-mime; name=smime.p7m"),
    "unreadable": attached("a.zip", zipped({"a.txt": TEXT})[:60]),
    "fragments": letter(multipart(text_part(), b'Content-Type: message/partial; id="a"; number=2\r\n\r\nx')),
    "bounds": attached("a.zip", archives.bomb(8)),
    "activex": attached("a.docx", files.ooxml("docx", {"word/activeX/activeX1.bin": b"\1" * 50})),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_each_option_does_what_it_says(option: str) -> None:
    for action, verdict in (("reject", Reject), ("quarantine", Quarantine), ("mark", Annotate), ("accept", Pass)):
        context = PolicyContext(attachments, **{option: action})
        assert type(asyncio.run(context.data(OPTIONS[option]))) is verdict


def test_every_option_but_the_lists_is_tried_above() -> None:
    named = {field.name for field in dataclasses.fields(attachments.Config)} - {"more_extensions"}
    assert named == set(OPTIONS)
    assert set(attachments._OPTION_OF.values()) == named


def test_there_is_no_option_that_lets_an_executable_pass() -> None:
    lenient = dict.fromkeys(OPTIONS, "accept")
    for octets in (attached("a.exe", b"x"), attached("a.pdf", MZ), attached("a.zip", zipped({"a.js": b"x"}))):
        assert isinstance(asyncio.run(PolicyContext(attachments, **lenient).data(octets)), Reject)


@pytest.mark.parametrize("direction", list(Direction))
def test_all_directions_are_refused(direction: Direction) -> None:
    verdict = asyncio.run(PolicyContext(attachments).data(attached("mo.exe", MZ), direction=direction))
    assert isinstance(verdict, Reject)
    assert verdict.recipients is None
    assert bool(verdict.how_to_vi) == (direction is not Direction.INBOUND)


def test_the_reply_names_the_file_the_rule_and_what_to_do_in_both_languages() -> None:
    verdict = asyncio.run(PolicyContext(attachments).data(attached("hồ sơ.zip", zipped({"chạy.exe": MZ}))))
    assert isinstance(verdict, Reject)
    assert (verdict.code, verdict.enhanced, verdict.article) == (550, "7.1", "Điều 13")
    for text in (verdict.text, verdict.text_vi):
        assert "hồ sơ.zip/chạy.exe" in text
    assert "Article 13 of Decision 82/2009/QD-UBND" in verdict.text
    assert "Điều 13, Quyết định 82/2009/QĐ-UBND" in verdict.text_vi
    assert "Xin bỏ tệp này ra rồi gửi lại" in verdict.text_vi


def test_a_name_puts_no_line_break_or_direction_mark_into_the_reply() -> None:
    octets = attached("a.zip", zipped({"a\r\n250 ok\u202e.exe": MZ}))
    verdict = asyncio.run(PolicyContext(attachments).data(octets))
    assert isinstance(verdict, Reject)
    assert not {"\r", "\n", "\u202e"} & set(verdict.text + verdict.text_vi)


def test_more_extensions() -> None:
    octets = attached("a.xyz", b"x")
    assert isinstance(asyncio.run(PolicyContext(attachments).data(octets)), Pass)
    assert isinstance(asyncio.run(PolicyContext(attachments, more_extensions=(".XYZ",)).data(octets)), Reject)


def test_dieu_18_4_an_encrypted_letter_passes_with_a_mark() -> None:
    verdict = asyncio.run(PolicyContext(attachments).data(OPTIONS["encrypted_letters"]))
    assert isinstance(verdict, Annotate)
    assert verdict.headers == (("X-Bdmta-Content", "encrypted-letter"),)


def test_the_worst_problem_is_told_first() -> None:
    octets = letter(multipart(text_part(), part(files.pdf(catalog=b"/JavaScript"), "Content-Type: application/pdf; name=a.pdf"),  # noqa: E501
                              part(MZ, "Content-Type: x/y; name=chay.exe")))  # fmt: skip
    verdict = asyncio.run(PolicyContext(attachments).data(octets))
    assert isinstance(verdict, Reject)
    assert "chay.exe" in verdict.text


def test_findings_are_bounded() -> None:
    octets = attached("a.zip", zipped({f"{i}.exe": b"x" for i in range(400)}))
    assert len(asyncio.run(PolicyContext(attachments).data(octets)).findings) == 50


def test_nothing_is_said_without_a_letter() -> None:
    context = PolicyContext(attachments)
    assert asyncio.run(context.policy.decide(Stage.DATA, context.facts())) == Pass()


def test_every_problem_has_words_in_both_languages() -> None:
    for code in attachments._OPTION_OF:
        text, text_vi = attachments._TEXTS[code]
        assert text and text_vi
