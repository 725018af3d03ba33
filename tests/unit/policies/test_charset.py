from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from bdmta.charset import encode
from bdmta.policy import Annotate, Direction, Pass, Reject, Rewrite, Verdict
from bdmta.testing.policy import PolicyContext

CORPUS = Path(__file__).parents[3] / "../shared/corpus/mail-encodings"
ROWS: list[dict[str, Any]] = (
    json.loads((CORPUS / "manifest.json").read_text("utf-8"))["messages"] if CORPUS.exists() else []
)
TEXT = "Kính gửi anh Minh,\r\n\r\nĐề nghị Sở Nội vụ sớm gửi yêu cầu bằng văn bản cho Trung tâm.\r\n"


def letter(body: bytes, content_type: str = "text/plain; charset=iso-8859-1", extra: bytes = b"") -> bytes:
    return (
        b"From: A <a@binhduong.gov.vn>\r\nTo: b@binhduong.gov.vn\r\nSubject: Thu\r\nMIME-Version: 1.0\r\n" + extra
        + b"Content-Type: " + content_type.encode() + b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body
    )  # fmt: skip


def read(octets: bytes) -> str:
    found = message_from_bytes(octets, policy=policy.default).get_body(("plain", "html"))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


def judge(module: str, **options: Any) -> Callable[..., Verdict]:
    return lambda octets, **known: asyncio.run(PolicyContext(module, **options).data(octets, **known))


def outcome(verdict: Verdict) -> str:
    if isinstance(verdict, Reject):
        return "reject"
    return "accept+transcode" if isinstance(verdict, Rewrite) else "accept"


@pytest.mark.skipif(not ROWS, reason="the shared corpus is not here")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_each_row_of_the_corpus(row: dict[str, Any]) -> None:
    expected = row["expected"]
    octets = (CORPUS / row["file"]).read_bytes()
    for smtputf8 in {None, expected.get("smtputf8")}:
        verdict = judge("policies.charset")(octets, direction=Direction.SUBMISSION, smtputf8=smtputf8)
        assert outcome(verdict) == expected["verdict"]
        assert set(expected.get("warnings", ())) <= {finding.code for finding in verdict.findings}
        if isinstance(verdict, Rewrite):
            new = message_from_bytes(verdict.octets, policy=policy.default)
            if "subject" in expected:
                assert str(new["subject"]).casefold() == expected["subject"].casefold()
            if "body" in expected:
                assert read(verdict.octets).casefold() == expected["body"].casefold()


def test_mode_refuse_names_the_article_and_says_what_to_do() -> None:
    verdict = judge("policies.charset", submission="refuse")(
        letter(encode("tcvn3", TEXT)), direction=Direction.SUBMISSION
    )
    assert isinstance(verdict, Reject)
    assert verdict.article == "Điều 13"
    assert "TCVN3" in verdict.text_vi
    assert "Unicode" in verdict.how_to_vi


def test_mode_mark_changes_nothing() -> None:
    verdict = judge("policies.charset", inbound="mark")(letter(encode("vni-windows", TEXT)))
    assert verdict == Annotate((("X-Bdmta-Charset", "legacy; vni-windows"),), verdict.findings)


@pytest.mark.parametrize("direction", list(Direction))
def test_what_dkim_covers_is_marked_and_not_rewritten(direction: Direction) -> None:
    signed = letter(encode("tcvn3", TEXT), extra=b"DKIM-Signature: v=1; a=rsa-sha256; d=example.org; b=x\r\n")
    verdict = judge("policies.charset")(signed, direction=direction)
    assert isinstance(verdict, Annotate)
    assert verdict.headers == (("X-Bdmta-Charset", "legacy; tcvn3"),)


def test_the_original_from_outside_is_kept() -> None:
    octets = letter(encode("viscii", TEXT))
    inbound = judge("policies.charset")(octets)
    submitted = judge("policies.charset")(octets, direction=Direction.SUBMISSION)
    assert isinstance(inbound, Rewrite)
    assert inbound.keep_original
    assert isinstance(submitted, Rewrite)
    assert not submitted.keep_original
    assert read(submitted.octets) == TEXT.replace("\r\n", "\n")


def test_nul_is_refused_even_when_the_undecodable_is_marked() -> None:
    verdict = judge("policies.charset", undecodable="mark")(letter(b"abc\0def\r\n"))
    assert isinstance(verdict, Reject)


def test_undecodable_marked_by_option() -> None:
    verdict = judge("policies.charset", undecodable="mark")(
        letter("Kính gửi".encode() + b" \xff\xfe\x80\x81 \r\n", "text/plain; charset=utf-8")
    )
    assert isinstance(verdict, Annotate)


def test_a_plain_letter_passes() -> None:
    assert judge("policies.charset")(letter(b"Dear all,\r\nsee you.\r\n", "text/plain")) == Pass()


def test_viqr_is_marked_and_not_converted() -> None:
    verdict = judge("policies.charset")(letter(encode("viqr", TEXT), "text/plain; charset=us-ascii"))
    assert isinstance(verdict, Annotate)
    assert verdict.headers == (("X-Bdmta-Charset", "viqr"),)


@pytest.mark.parametrize("name", ["nul", "undecodable"])
def test_findings_hold_nothing_of_the_letter(name: str) -> None:
    body = b"bi mat \0" if name == "nul" else "Bí mật".encode() + b"\xff\xfe\x80"
    verdict = judge("policies.charset")(letter(body, "text/plain; charset=utf-8"))
    assert isinstance(verdict, Reject)
    assert all("mật" not in finding.text_vi and "mat" not in finding.text for finding in verdict.findings)
