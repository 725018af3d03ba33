"""Reports that come to us are found in the mailbox and kept: once, within bounds, never by a stranger's word alone."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from bdmta.config import parse
from bdmta.errors import BdmtaError
from bdmta.mailauth import kept_reports
from bdmta.mailauth.aggregate import MAX_XML_OCTETS, ReceivedReport, packed
from bdmta.mailauth.collect import collect, reports_folder
from bdmta.mailauth.kept_reports import KeptReports, kept_report
from bdmta.message.write import compose_file, compose_multipart, compose_text
from bdmta.office.duties import Desk, duties
from bdmta.site import Site
from bdmta.testing.clock import FakeClock
from storage.maildir import create_mailbox, mailbox_dir

HOST, DOMAIN = "mail.binhduong.gov.vn", "binhduong.gov.vn"
NOW = datetime(2026, 1, 7, tzinfo=UTC).timestamp()
BEGIN = 1_767_571_200  # 2026-01-05 UTC
PROVEN = f"{HOST}; spf=pass smtp.mailfrom=big.example; dmarc=pass (p=reject) header.from=big.example"


def xml(domain: str = DOMAIN, report_id: str = "r1", counts: tuple[int, ...] = (3, 40)) -> bytes:
    rows = "".join(
        f"<record><row><source_ip>192.0.2.{n}</source_ip><count>{count}</count><policy_evaluated><disposition>none"
        f"</disposition><dkim>{'pass' if n else 'fail'}</dkim><spf>fail</spf></policy_evaluated></row><identifiers>"
        f"<header_from>{domain}</header_from></identifiers><strange>{'x' * 500}</strange></record>"
        for n, count in enumerate(counts)
    )
    return (
        f"<feedback><report_metadata><org_name>Big \x7f</org_name><report_id>{report_id}</report_id><date_range><begin>"
        f"{BEGIN}</begin><end>{BEGIN + 86_399}</end></date_range></report_metadata><policy_published><domain>{domain}"
        f"</domain></policy_published>{rows}</feedback>"
    ).encode()  # fmt: skip


def letter(attached: bytes, results: str = PROVEN, subject: str = "Report Domain: binhduong.gov.vn") -> bytes:
    headers = [("From", "reports@big.example"), ("Subject", subject), ("Message-ID", "<1@big.example>")]
    made = compose_multipart(
        headers, [compose_text([], "hello"), compose_file("application/gzip", attached, "r.xml.gz")]
    )
    return (f"Authentication-Results: {results}\r\n".encode() if results else b"") + made


class Inbox:
    """A site with the postmaster's mailbox."""

    def __init__(self, folder: Path, **dmarc: Any) -> None:
        tables: Mapping[str, Any] = {
            "server": {"hostname": HOST}, "mail": {"domains": [DOMAIN]}, "dmarc": dmarc, "dns": {"servers": []},
        }  # fmt: skip
        self.site = Site(parse(tables, folder=str(folder)), str(folder / "bdmta.toml"))
        self.site.create_folders()
        self.mailbox = Path(mailbox_dir(self.site.mail_root, dmarc.get("mailbox", f"postmaster@{DOMAIN}")))
        create_mailbox(str(self.mailbox))
        self.kept = KeptReports(reports_folder(self.site))

    def put(self, name: str, octets: bytes, part: str = "new") -> Path:
        path = self.mailbox / part / name
        path.write_bytes(octets)
        return path


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path)


def test_a_report_is_kept_once_and_its_letter_stays(inbox: Inbox) -> None:
    path = inbox.put("1.a.x,S=9,W=9", letter(packed(xml())))
    found = collect(inbox.site, NOW)
    assert (found.letters, found.new, found.unreadable) == (1, 1, ())
    (kept,) = inbox.kept.since()
    assert (kept.domain, kept.reporter, kept.letters, kept.failed) == (DOMAIN, "Big ", 43, 3)
    assert (kept.brought_by, kept.is_proven, kept.id[:11]) == ("big.example", True, "2026-01-05-")
    whole = inbox.kept.get(kept.id)
    assert [(row["source"], row["letters"], row["dkim"]) for row in whole.rows] == [
        ("192.0.2.1", 40, "pass"), ("192.0.2.0", 3, "fail"),
    ]  # fmt: skip
    assert "xxx" not in str(whole.rows)
    path.rename(inbox.mailbox / "cur" / f"{path.name}:2,S")  # read by somebody: the same letter
    inbox.put("2.a.x,S=9,W=9", letter(packed(xml())))  # and once more
    found = collect(inbox.site, NOW)
    assert (found.letters, found.new) == (1, 0)
    assert len(list(inbox.kept.since())) == 1
    assert collect(inbox.site, NOW).letters == 0


@pytest.mark.parametrize(
    "results",
    ["", PROVEN.replace(HOST, "mail.evil.example"), PROVEN.replace("dmarc=pass", "dmarc=fail"),
     f'{HOST}; spf=fail smtp.mailfrom="; dmarc=pass header.from=big.example"; dmarc=none header.from=big.example'],
)  # fmt: skip
def test_what_our_own_check_did_not_believe_is_marked(inbox: Inbox, results: str) -> None:
    inbox.put("1.a.x", letter(packed(xml()), results))
    collect(inbox.site, NOW)
    (kept,) = inbox.kept.since()
    assert not kept.is_proven


def test_a_report_about_others_and_a_letter_without_one_are_passed_over(inbox: Inbox) -> None:
    inbox.put("1.a.x", letter(packed(xml("elsewhere.example"))))
    inbox.put("2.a.x", b"From: a@example.org\r\nSubject: x\r\n\r\nhello\r\n")
    inbox.put("3.a.x", letter(b"\x1f\x8bnonsense", subject="holiday.gz"))
    found = collect(inbox.site, NOW)
    assert (found.letters, found.new, found.unreadable) == (3, 0, ())


def bomb(octets: int) -> bytes:
    """A gzip of `octets` zeros, made without holding them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(octets >> 20)) + packer.flush()


def test_a_bomb_is_named_and_costs_no_memory(inbox: Inbox) -> None:
    import tracemalloc

    inbox.put("1.a.x", letter(bomb(1 << 30)))
    tracemalloc.start()
    found = collect(inbox.site, NOW)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.unreadable == ("1.a.x: the report is too large",)
    assert peak < 4 * MAX_XML_OCTETS
    assert list(inbox.kept.since()) == []


def test_old_ones_go_and_all_together_are_bounded(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(10):
        report = ReceivedReport("Big", str(day), DOMAIN, BEGIN + day * 86_400, BEGIN + day * 86_400, [])
        assert inbox.kept.put(kept_report(report, brought_by="", is_proven=False))
    assert inbox.kept.tidy(400, BEGIN + 10 * 86_400) == 0
    assert inbox.kept.tidy(5, BEGIN + 10 * 86_400) == 5
    monkeypatch.setattr(kept_reports, "MAX_KEPT", 3)
    assert inbox.kept.tidy(400, BEGIN + 10 * 86_400) == 2
    assert [report.report_id for report in inbox.kept.since()] == ["7", "8", "9"]
    monkeypatch.setattr(kept_reports, "MAX_KEPT_OCTETS", 300)
    inbox.kept.tidy(400, BEGIN + 10 * 86_400)
    assert [report.report_id for report in inbox.kept.since()] == ["9"]


def test_rows_beyond_the_bound_are_counted() -> None:
    records = [{"row/count": "2", "row/source_ip": "x" * 5000}] * 3000 + [{"row/count": "many"}]
    kept = kept_report(ReceivedReport("a", "b", DOMAIN, 10**11, 5, records), brought_by="", is_proven=False)
    assert (kept.letters, len(kept.rows), len(kept.rows[0]["source"])) == (6000, 2000, 255)


@pytest.mark.parametrize("report_id", ["../../etc/passwd", "2026-01-05-0000000000000000", ""])
def test_an_unknown_report_is_named(inbox: Inbox, report_id: str) -> None:
    with pytest.raises(BdmtaError, match="no such report is kept"):
        inbox.kept.get(report_id)


def test_the_office_looks_every_quarter_of_an_hour_in_the_mailbox_that_is_named(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, mailbox=f"dmarc@{DOMAIN}")
    asked: list[tuple[str, ...]] = []

    class Spy(Desk):
        async def errand(self, *words: str) -> str:
            asked.append(words)
            return ""

    async def ask(name: str, **arguments: Any) -> None:
        raise AssertionError(name)

    desk = Spy(inbox.site, FakeClock(), structlog.get_logger(), ask)
    (duty,) = [duty for duty in duties(desk) if duty.name == "dmarc-collect"]
    asyncio.run(duty.run())  # type: ignore[arg-type]
    assert asked == [("dmarc", "collect")]
    start = datetime(2026, 1, 5, 20, 3, tzinfo=UTC)
    due = duty.trigger.get_next_fire_time(start, start)
    assert due is not None and (due - start).total_seconds() == 12 * 60
    inbox.put("1.a.x", letter(packed(xml())))
    assert collect(inbox.site, NOW).new == 1
