"""Aggregate reports: made of facts, sent once to whom they may go, and read within bounds."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from bdmta.config import parse
from bdmta.dns import TempFail
from bdmta.mailauth.aggregate import (
    MAX_XML_OCTETS,
    ReportUnreadable,
    Row,
    packed,
    read_report,
    rows_of,
    unpacked,
)
from bdmta.mailauth.daily import send_daily
from bdmta.mailauth.received_report import reports_in
from bdmta.mailauth.reporting import DailyReport, Reporter
from bdmta.mailauth.results import AuthResults, DkimResult, DmarcResult, Result, SpfResult, as_detail
from bdmta.site import Site
from bdmta.testing.clock import FakeClock
from bdmta.testing.dns import DnsServer
from bdmta.testing.resolver import FakeResolver, World
from storage.facts import FactWriter
from storage.ledger import Ledger
from storage.spool import Spool

BEGIN = 1_767_571_200  # 2026-01-05 UTC
HOST = "mail.binhduong.gov.vn"
AUTH = AuthResults(
    spf=SpfResult(result=Result.PASS, domain="bounce.example.org"),
    dkim=(DkimResult(result=Result.FAIL, domain="example.org", selector="a<b"),),
    dmarc=DmarcResult(
        result=Result.PASS, domain="news.example.org", record_domain="example.org", policy="reject", by_spf=True
    ),
)
FAILED = AuthResults(
    spf=SpfResult(result=Result.FAIL, domain="evil.example"),
    dmarc=DmarcResult(
        result=Result.FAIL, domain="example.org", record_domain="example.org", policy="reject", disposition="reject"
    ),
)
RECORD = "v=DMARC1; p=reject; rua=mailto:dmarc@example.org,mailto:big@collector.example!1m,mailto:no@stranger.example"
WORLD: World = {
    "_dmarc.example.org": {"TXT": [RECORD]},
    "example.org._report._dmarc.collector.example": {"TXT": ["v=DMARC1;"]},
}


def fact(auth: AuthResults, applied: str, ip: str | None = "192.0.2.1") -> dict[str, Any]:
    return {"detail": {"ip": ip, "auth": as_detail(auth, applied)}}


FACTS = [fact(AUTH, "none")] * 3 + [
    fact(FAILED, "reject"),
    fact(FAILED, "none"),
    {"detail": {}},
    fact(AUTH, "none", None),
]


def made(world: World = WORLD) -> DailyReport:
    reporter = Reporter(FakeResolver(world), FakeClock(), hostname=HOST, contact="postmaster@binhduong.gov.vn")
    (report,) = asyncio.run(reporter.make(BEGIN, rows_of(FACTS)))
    return report


def test_alike_letters_are_one_row() -> None:
    found = rows_of(
        [*FACTS, {"detail": {"auth": "damaged", "ip": "x"}}, {"detail": {"ip": "x", "auth": {"record": "y"}}}]
    )
    assert set(found) == {"example.org"}
    assert sorted(found["example.org"].values()) == [1, 1, 3]


def test_a_report_reads_back() -> None:
    report = made()
    assert report.file_name == f"{HOST}!example.org!{BEGIN}!{BEGIN + 86_399}.xml.gz"
    assert report.recipients == ("dmarc@example.org", "big@collector.example")
    read = read_report(unpacked(report.octets))
    assert (read.reporter, read.domain, read.begin, read.end) == (HOST, "example.org", BEGIN, BEGIN + 86_399)
    first = read.records[0]
    assert (first["row/count"], first["row/source_ip"], first["row/policy_evaluated/spf"]) == ("3", "192.0.2.1", "pass")
    assert first["auth_results/dkim/selector"] == "a<b"
    assert first["identifiers/header_from"] == "news.example.org"
    overruled = [r for r in read.records if "row/policy_evaluated/reason/type" in r]
    assert [r["row/policy_evaluated/disposition"] for r in overruled] == ["none"]


@pytest.mark.parametrize(
    "world",
    [{}, {"_dmarc.example.org": {"TXT": ["v=DMARC1; p=none"]}}, {"_dmarc.example.org": TempFail("x")},
     {"_dmarc.example.org": {"TXT": ["v=DMARC1; p=none; rua=mailto:a@stranger.example"]}},
     {"_dmarc.example.org": {"TXT": ["v=DMARC1; p=none; rua=mailto:a@example.org!1"]}}],
)  # fmt: skip
def test_nobody_gets_what_nobody_asked_for(world: World) -> None:
    report = made(world)
    assert report.recipients == () and report.reason


def test_a_report_is_sent_once(tmp_path: Path) -> None:
    (tmp_path / "queue").mkdir()
    spool, report = Spool(str(tmp_path / "queue"), FakeClock()), made()
    reporter = Reporter(FakeResolver(WORLD), FakeClock(), hostname=HOST, contact="postmaster@binhduong.gov.vn")
    assert [reporter.send(report, spool, str(tmp_path / "sent")) for _ in range(3)] == [True, False, False]
    (entry_id,) = spool.list()
    entry = spool.load(entry_id)
    assert (entry.sender, [r.address for r in entry.recipients]) == ("", list(report.recipients))
    octets = b"".join(spool.open_letter(entry_id).blocks())
    assert octets.isascii() and b"\r\nSubject: Report Domain: example.org Submitter:" in octets
    (read,) = reports_in(octets)
    assert read.records and read.report_id in octets.decode()


def test_reports_of_others_in_every_wrapping() -> None:
    xml = unpacked(made().octets)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("report.xml", xml)
    for octets in (xml, packed(xml), archive.getvalue(), b"\xef\xbb\xbf" + xml):
        assert reports_in(octets)[0].domain == "example.org"


BOMB = b'<?xml version="1.0"?><!DOCTYPE f [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><feedback>&b;</feedback>'


@pytest.mark.parametrize(
    "octets",
    [
        b"", b"<feedback>", b"<other/>", BOMB, b"<feedback>" * 50, packed(b"\0" * (MAX_XML_OCTETS + 1)),
        b"\x1f\x8bnonsense", b"PK\x03\x04nonsense", b"From: a@example.org\r\n\r\nnothing\r\n",
        b"<feedback>" + b"<record/>" * 10_001 + b"</feedback>",
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused(octets: bytes) -> None:
    with pytest.raises(ReportUnreadable):
        reports_in(octets)


def test_rows_are_bounded() -> None:
    many = [fact(AUTH, "none", f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(10_050)]
    rows: Counter[Row] = rows_of(many)["example.org"]
    assert len(rows) == 10_000


def test_the_office_sends_yesterdays_reports_once_a_day(tmp_path: Path) -> None:
    clock = FakeClock(datetime(2026, 1, 5, 20, tzinfo=UTC))

    async def main() -> tuple[int, int]:
        async with DnsServer(WORLD) as server:
            tables = {"dns": {"servers": [server.address]}, "dmarc": {"reports": True}}
            site = Site(parse(tables, folder=str(tmp_path)), str(tmp_path / "bdmta.toml"))
            site.create_folders()
            writer = FactWriter(site.facts_dir, clock, "edge")
            writer.write([{"event": "accepted", **fact(AUTH, "none")}, {"event": "refused", **fact(FAILED, "reject")}])
            writer.close()
            ledger = Ledger.open(site.ledger_db)
            ledger.import_files(site.facts_dir)
            ledger.close()
            spool = Spool(site.queue_dir, clock)
            await send_daily(site, clock, structlog.get_logger())
            before = len(list(spool.list()))  # the day is not over
            clock.advance(5 * 3600)
            await send_daily(site, clock, structlog.get_logger())
            await send_daily(site, clock, structlog.get_logger())
            return before, len(list(spool.list()))

    assert asyncio.run(main()) == (0, 1)
