"""What a sender reads when a policy refuses: sample letters through the real chain, as `docs/policies.md` shows it.

`python -m tests.contract.refusals` writes them there.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bdmta.chain.run import Chain, Step
from bdmta.charset import encode
from bdmta.message import scan
from bdmta.policy import AuthResult, AuthResults, Direction, DmarcResult, Mode, Stage
from bdmta.testing.policy import PolicyContext
from tests.corpus.attachments.archives import encrypted_bit
from tests.corpus.attachments.files import MZ, odf, pdf, zipped
from tests.corpus.attachments.letters import attached

PAGE = Path(__file__).parents[2] / "docs/policies.md"
_BLOCK = re.compile(
    r"(<!-- refusals of ([\w.]+): written by `python -m tests.contract.refusals` -->\n).*?(<!-- end -->)", re.S
)
_UTF8 = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"


@dataclass(frozen=True)
class Sample:
    """A letter, and in one phrase what is wrong with it."""

    about: str
    octets: bytes
    options: dict[str, Any] = field(default_factory=dict)
    direction: Direction = Direction.INBOUND
    known: dict[str, Any] = field(default_factory=dict)


def _text(text: str, subject: str = "Bao cao", head: str = "") -> bytes:
    return f"{head}From: <a@dian.example>\r\nSubject: {subject}\r\n{_UTF8}\r\n{text}\r\n".encode()


def _dmarc(result: str, disposition: str) -> dict[str, Any]:
    found = DmarcResult(
        result=AuthResult(result), domain="dian.example", policy="reject", disposition=disposition
    )  # fmt: skip
    return {"auth": AuthResults(dmarc=found)}


_SENT = {"direction": Direction.SUBMISSION}
_SECRET = "Kính gửi anh.\r\n\r\nTỐI MẬT\r\n\r\nSố: 12/BC"
_OLD = encode("tcvn3", "Đề nghị Sở Nội vụ sớm gửi yêu cầu bằng văn bản cho Trung tâm.\r\n")
_OLD_HEAD = b"From: <a@dian.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n"

SAMPLES: dict[str, tuple[Sample, ...]] = {
    "policies.sender": (
        Sample("two From fields", _text("Chào", head="From: <b@dian.example>\r\n")),
        Sample(
            'a local domain in From, with `own_domain_from_outside = "reject"`',
            _text("Chào").replace(b"a@dian.example", b"khaintm@binhduong.gov.vn"),
            {"own_domain_from_outside": "reject"},
        ),
    ),
    "policies.dmarc": (
        Sample("a letter that its author's domain asks to refuse", _text("Chào"), known=_dmarc("fail", "reject")),
        Sample("the domain's record cannot be fetched now", _text("Chào"), known=_dmarc("temperror", "none")),
    ),
    "policies.secrecy": (
        Sample("a stamp in the text", _text(_SECRET), **_SENT),
        Sample("in the subject", _text("Chào", "[MẬT] Báo cáo"), **_SENT),
        Sample(
            "in an attached document",
            attached("bao-cao.txt", _SECRET.encode(), "text/plain; charset=utf-8"), **_SENT,
        ),
    ),
    "policies.attachments": (
        Sample("a program in an archive", attached("ho-so.zip", zipped({"chay.exe": MZ}), "application/zip")),
        Sample("an archive with a password", attached("ho-so.zip", encrypted_bit({"a.pdf": pdf()}), "application/zip")),
        Sample("a macro", attached("mau.odt", odf("odt", {"Basic/Standard/M.xml": b"<x/>"}))),
        Sample(
            "two Content-Types",
            b"Content-Type: text/html\r\n" + attached("a.pdf", pdf(), "application/pdf"),
        ),
    ),
    "policies.formats": (
        Sample("a format that is not in the list", attached("phim.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom")),
        Sample("a name that its content belies", attached("bao-cao.doc", pdf())),
        Sample(
            'a .docx where only `sets = ["qd20-2008"]` is in force',
            attached("bao-cao.docx", odf("odt")), {"sets": ("qd20-2008",)},
        ),
    ),
    "policies.charset": (
        Sample("no character set explains the text", _text("Kính gửi").replace("ử".encode(), b"\xff\xfe\x80\x81")),
        Sample("overlong UTF-8", _text("Kính gửi anh").replace(b"anh", b"\xc0\xaf\xc0\xae")),
        Sample('TCVN3, with `submission = "refuse"`', _OLD_HEAD + _OLD * 3, {"submission": "refuse"}, **_SENT),
    ),
}  # fmt: skip


def refusals(use: str) -> Iterator[tuple[str, str]]:
    """`(what is wrong, the reply on the wire)` of every sample for one policy."""
    for sample in SAMPLES[use]:
        context = PolicyContext(use, **sample.options)
        step = Step(use.rpartition(".")[2], use, context.policy, dict.fromkeys(Direction, Mode.ENFORCE))
        facts = context.facts(
            message=scan(sample.octets), direction=sample.direction, reference="6h0mkqsn806w300", **sample.known
        )
        reply = asyncio.run(Chain([step], context.services.log).rule(Stage.DATA, facts)).reply()
        if reply is None:
            raise AssertionError(f"{use}: not refused: {sample.about}")
        yield sample.about, reply.encode().decode("ascii").replace("\r\n", "\n").strip()


def with_refusals(page: str) -> str:
    """`page` with every block of refusals as the policies say them now."""

    def block(match: re.Match[str]) -> str:
        shown = "\n".join(f"{about[0].upper()}{about[1:]}:\n\n```\n{said}\n```\n" for about, said in refusals(match[2]))
        return f"{match[1]}\n{shown}\n{match[3]}"

    return _BLOCK.sub(block, page)


if __name__ == "__main__":
    PAGE.write_text(with_refusals(PAGE.read_text()))
