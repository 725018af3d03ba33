"""DMARC: records, alignment, what is asked for; the public suffix list knows gov.vn."""

from __future__ import annotations

import asyncio

import pytest

from bdmta.dns import Resolver, TempFail
from bdmta.mailauth.dmarc import evaluate, read_record
from bdmta.mailauth.publicsuffix import is_public_suffix, organisational_domain
from bdmta.mailauth.results import DkimResult, DmarcResult, Result, SpfResult
from bdmta.mailauth.tags import TagError
from bdmta.message import scan
from bdmta.testing.resolver import FakeResolver, World

NO_SPF = SpfResult(result=Result.FAIL, domain="bounce.example.com")


def spf(domain: str, result: Result = Result.PASS) -> SpfResult:
    return SpfResult(result=result, domain=domain)


def dkim(domain: str, result: Result = Result.PASS) -> DkimResult:
    return DkimResult(result=result, domain=domain)


def judge(
    world: World, author: str = "a@example.org", *, spf: SpfResult = NO_SPF, dkim: tuple[DkimResult, ...] = (),
    roll: float = 0.5, more: str = "",
) -> DmarcResult:  # fmt: skip
    letter = scan(f"From: {author}\r\n{more}\r\nXin chao\r\n".encode())
    return asyncio.run(evaluate(letter, spf, dkim, FakeResolver(world), lambda: roll))


def at(name: str, text: str) -> World:
    return {f"_dmarc.{name}": {"TXT": [text]}}


REJECT = at("example.org", "v=DMARC1; p=reject")


def test_organisations() -> None:
    assert organisational_domain("mail.sotttt.binhduong.gov.vn") == "binhduong.gov.vn"
    assert organisational_domain("binhduong.gov.vn") == "binhduong.gov.vn"
    assert organisational_domain("a.b.example.co.uk") == "example.co.uk"
    assert is_public_suffix("gov.vn") and is_public_suffix("vn") and not is_public_suffix("binhduong.gov.vn")
    assert organisational_domain("gov.vn") == "gov.vn"
    assert organisational_domain("x" * 300) == "x" * 300


@pytest.mark.parametrize(
    ("found_spf", "found_dkim", "expected"),
    [
        (spf("example.org"), (), Result.PASS),
        (spf("bounce.example.org"), (), Result.PASS),
        (NO_SPF, (dkim("example.org"),), Result.PASS),
        (NO_SPF, (dkim("evil.org"), dkim("news.example.org")), Result.PASS),
        (spf("example.com"), (dkim("example.com"),), Result.FAIL),
        (spf("example.org", Result.SOFTFAIL), (), Result.FAIL),
        (spf("example.org", Result.FAIL), (dkim("example.org", Result.FAIL),), Result.FAIL),
        (NO_SPF, (dkim("example.org", Result.POLICY), dkim("example.org", Result.NEUTRAL)), Result.FAIL),
        (spf("notexample.org"), (dkim("org"), dkim("")), Result.FAIL),
        (spf("example.org", Result.TEMPERROR), (), Result.TEMPERROR),
        (NO_SPF, (dkim("example.org", Result.TEMPERROR),), Result.TEMPERROR),
        (NO_SPF, (dkim("", Result.TEMPERROR),), Result.TEMPERROR),
        (spf("example.com", Result.TEMPERROR), (dkim("example.com", Result.TEMPERROR),), Result.FAIL),
    ],
)
def test_who_speaks_for_the_author(found_spf: SpfResult, found_dkim: tuple[DkimResult, ...], expected: Result) -> None:
    verdict = judge(REJECT, spf=found_spf, dkim=found_dkim)
    assert verdict.result is expected
    assert verdict.policy == "reject"
    assert verdict.disposition == ("reject" if expected is Result.FAIL else "none")


def test_strict_alignment() -> None:
    world = at("example.org", "v=DMARC1; p=reject; adkim=s; aspf=s")
    assert judge(world, spf=spf("bounce.example.org"), dkim=(dkim("news.example.org"),)).result is Result.FAIL
    assert judge(world, spf=spf("example.org")).result is Result.PASS
    assert judge(world, dkim=(dkim("example.org"),)).result is Result.PASS


def test_provinces_are_not_one_organisation() -> None:
    world = at("binhduong.gov.vn", "v=DMARC1; p=reject")
    author = "minhnv@binhduong.gov.vn"
    assert judge(world, author, spf=spf("dongnai.gov.vn"), dkim=(dkim("gov.vn"),)).result is Result.FAIL
    assert judge(world, author, spf=spf("mail.binhduong.gov.vn")).result is Result.PASS


def test_subdomains() -> None:
    world = at("example.org", "v=DMARC1; p=reject; sp=quarantine; np=none")
    below: World = {**world, "news.example.org": {"A": ["192.0.2.1"]}}
    verdict = judge(below, "a@news.example.org")
    assert (verdict.policy, verdict.record_domain) == ("quarantine", "example.org")
    assert judge(world, "a@missing.example.org").policy == "none"
    assert judge({**below, **at("news.example.org", "v=DMARC1; p=none")}, "a@news.example.org").policy == "none"
    assert judge(at("example.org", "v=DMARC1; p=reject"), "a@news.example.org").policy == "reject"


@pytest.mark.parametrize(
    ("roll", "text", "disposition"),
    [
        (0.1, "p=reject; pct=20", "reject"), (0.3, "p=reject; pct=20", "quarantine"),
        (0.3, "p=quarantine; pct=20", "none"), (0.0, "p=reject; pct=0", "quarantine"),
        (0.9, "p=reject; pct=x", "reject"), (0.9, "p=reject; pct=1000", "reject"), (0.9, "p=none", "none"),
    ],
)  # fmt: skip
def test_part_of_the_letters(roll: float, text: str, disposition: str) -> None:
    assert judge(at("example.org", f"v=DMARC1; {text}"), roll=roll).disposition == disposition


def test_records() -> None:
    assert read_record(b"v=spf1 -all") is None
    assert read_record(b"v=DMARC10; p=none") is None
    record = read_record(b"v=DMARC1; p=None; rua=mailto:a@example.org, https://x, mailto:b@example.org!10m; fo=1;")
    assert record is not None
    assert record.policy == "none" and record.percent == 100
    assert record.aggregate_uris == ("mailto:a@example.org", "mailto:b@example.org!10m")
    wants_reports = read_record(b"v=DMARC1; p=rejekt; rua=mailto:a@example.org")
    assert wants_reports is not None and wants_reports.policy == "none"
    for broken in (
        b"v=DMARC1",
        b"v=DMARC1; p=rejekt",
        b"v=DMARC1; p=none; p=reject",
        b"v=DMARC1; \xff",
        b"v=DMARC1;" + b"x" * 9000,
    ):
        with pytest.raises(TagError):
            read_record(broken)


def test_several_records_are_none_and_a_broken_one_is_an_error() -> None:
    assert judge({"_dmarc.example.org": {"TXT": ["v=DMARC1; p=reject"] * 2}}).result is Result.NONE
    assert judge({"_dmarc.example.org": {"TXT": ["hello", "v=DMARC1; p=reject"]}}).result is Result.FAIL
    verdict = judge(at("example.org", "v=DMARC1; p"))
    assert (verdict.result, verdict.disposition) == (Result.PERMERROR, "none")
    assert judge({}).result is Result.NONE
    assert judge({"_dmarc.example.org": TempFail("no answer in time")}).result is Result.TEMPERROR


def test_of_several_authors_the_severest_counts() -> None:
    assert judge(REJECT, "x@free.example.com, a@example.org", spf=spf("free.example.com")).disposition == "reject"
    assert (
        judge(REJECT, "x@free.example.com", spf=spf("free.example.com"), more="From: a@example.org\r\n").disposition
        == "reject"
    )
    many = ", ".join(f"a@e{n}.org" for n in range(9))
    assert judge(REJECT, many).result is Result.PERMERROR


@pytest.mark.parametrize("author", ["", "nobody", "<>", "a@[192.0.2.1]", "a@-" + "x" * 300, "a@ex~mple.org"])
def test_an_author_without_a_domain_is_an_error(author: str) -> None:
    assert judge(REJECT, author).result is Result.PERMERROR


def test_international_domains_are_asked_for_in_ascii() -> None:
    ascii_name = "bình-dương".encode("idna").decode() + ".vn"
    verdict = judge(at(ascii_name, "v=DMARC1; p=reject"), "a@bình-dương.vn")
    assert (verdict.result, verdict.domain) == (Result.FAIL, ascii_name)


def test_without_servers_everything_is_none() -> None:
    letter = scan(b"From: a@example.org\r\n\r\n")
    assert asyncio.run(evaluate(letter, NO_SPF, (), Resolver([]))).result is Result.NONE
