"""SPF: every kind of case of RFC 7208's published suite, behind our resolver, cached and not; and what it costs."""

from __future__ import annotations

import asyncio
import time

import pytest

from bdmta.dns import Resolver, TempFail
from bdmta.mailauth import spf
from bdmta.mailauth.results import Result, SpfResult
from bdmta.testing.resolver import FakeResolver, World

IP = "192.0.2.1"


def check(world: World, *, ip: str = IP, sender: str = "a@example.org", helo: str = "mail.example.org") -> SpfResult:
    """The result, which must not depend on whether the answers were cached."""
    cached = asyncio.run(spf.check(FakeResolver(world), ip, sender, helo))
    asked = asyncio.run(spf.check(FakeResolver(world, cached=False), ip, sender, helo))
    assert cached == asked
    return cached


def record(text: str, **more: object) -> World:
    return {"example.org": {"TXT": [text]}, **more}  # type: ignore[dict-item]


MECHANISMS: dict[str, tuple[str, str]] = {
    "all": ("v=spf1 +all", "pass"),
    "not all": ("v=spf1 -all", "fail"),
    "soft": ("v=spf1 ~all", "softfail"),
    "neutral": ("v=spf1 ?all", "neutral"),
    "nothing matches": ("v=spf1 ip4:198.51.100.1", "neutral"),
    "case": ("V=SPF1 IP4:192.0.2.0/24 -ALL", "pass"),
    "ip4": ("v=spf1 ip4:192.0.2.1 -all", "pass"),
    "ip4 network": ("v=spf1 ip4:192.0.2.0/24 -all", "pass"),
    "ip4 bad": ("v=spf1 ip4:192.0.2.256 -all", "permerror"),
    "ip4 long prefix": ("v=spf1 ip4:192.0.2.1/33 -all", "permerror"),
    "ip6 is not ip4": ("v=spf1 ip6:::/0 -all", "fail"),
    "a": ("v=spf1 a:mail.example.org -all", "pass"),
    "a network": ("v=spf1 a:far.example.org/16 -all", "pass"),
    "mx": ("v=spf1 mx -all", "pass"),
    "ptr": ("v=spf1 ptr:example.org -all", "pass"),
    "exists": ("v=spf1 exists:%{ir}.%{v}.%{d2}.ok.example.org -all", "pass"),
    "exists not": ("v=spf1 exists:no.example.org -all", "fail"),
    "include": ("v=spf1 include:inner.example.org -all", "pass"),
    "include that fails is no match": ("v=spf1 include:fails.example.org ~all", "softfail"),
    "include of nothing": ("v=spf1 include:nothing.example.org -all", "permerror"),
    "redirect": ("v=spf1 redirect=inner.example.org", "pass"),
    "redirect to nothing": ("v=spf1 redirect=nothing.example.org", "permerror"),
    "redirect twice": ("v=spf1 redirect=inner.example.org redirect=inner.example.org", "permerror"),
    "include loop": ("v=spf1 include:example.org -all", "permerror"),
    "long loop": ("v=spf1 include:loop.example.org -all", "permerror"),
    "unknown mechanism": ("v=spf1 ipv4:192.0.2.1 -all", "permerror"),
    "unknown modifier": ("v=spf1 moo=cow -all", "fail"),
    "bad macro": ("v=spf1 exists:%(ir).example.org -all", "permerror"),
    "other version": ("v=spf10 +all", "none"),
    "no version": ("spf1 +all", "none"),
    "exp is never asked for": ("v=spf1 exp=explain.example.org -all", "fail"),
    "temporary failure": ("v=spf1 a:slow.example.org -all", "temperror"),
    "failure behind a match does not matter": ("v=spf1 ip4:192.0.2.1 a:slow.example.org -all", "pass"),
    "ptr failure is no match": ("v=spf1 ptr:slow.example.org -all", "fail"),
    "three lookups that find nothing": ("v=spf1 a:x1.org a:x2.org a:x3.org +all", "permerror"),
    "two are allowed": ("v=spf1 a:x1.org a:x2.org +all", "pass"),
    "eleven lookups": ("v=spf1 " + " ".join(["a:far.example.org"] * 11) + " +all", "permerror"),
    "ten are allowed": ("v=spf1 " + " ".join(["a:far.example.org"] * 10) + " +all", "pass"),
    "eleven exchangers": ("v=spf1 mx:many.example.org +all", "permerror"),
    "a record that is too long": ("v=spf1 " + "ip4:198.51.100.1 " * 300 + "+all", "permerror"),
    "a macro that is too long": (f"v=spf1 exists:%{{i}}.{'a.' * 300}org -all", "permerror"),
}
WORLD: World = {
    "mail.example.org": {"A": [IP]},
    "far.example.org": {"A": ["192.0.99.99"]},
    "example.org": {"MX": [(10, "mx1.example.org"), (20, "mail.example.org")]},
    "mx1.example.org": {"A": ["198.51.100.99"]},
    "1.2.0.192.in-addr.arpa": {"PTR": ["liar.example.com", "mail.example.org"]},
    "liar.example.com": {"A": ["198.51.100.1"]},
    "1.2.0.192.in-addr.example.org.ok.example.org": {"A": ["127.0.0.2"]},
    "inner.example.org": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]},
    "fails.example.org": {"TXT": ["v=spf1 -all"]},
    "loop.example.org": {"TXT": ["v=spf1 include:loop2.example.org -all"]},
    "loop2.example.org": {"TXT": ["v=spf1 include:loop.example.org -all"]},
    "slow.example.org": TempFail("no answer in time"),
    "many.example.org": {"MX": [(n, f"mx{n}.example.org") for n in range(11)]},
}


@pytest.mark.parametrize("case", MECHANISMS)
def test_mechanisms(case: str) -> None:
    text, expected = MECHANISMS[case]
    own = {"TXT": ["unrelated", text], **WORLD["example.org"]}  # type: ignore[dict-item]
    assert check({**WORLD, "example.org": own}).result == expected


def test_ipv6() -> None:
    world = record(
        "v=spf1 a:six.example.org ip6:2001:db8:1::/48 -all", **{"six.example.org": {"AAAA": ["2001:db8::7"]}}
    )
    assert check(world, ip="2001:db8::7").result is Result.PASS
    assert check(world, ip="2001:db8:1:2::3").result is Result.PASS
    assert check(world, ip="2001:db8:2::1").result is Result.FAIL
    assert check(record("v=spf1 ip4:192.0.2.1 -all"), ip="::ffff:192.0.2.1").result is Result.PASS


def test_the_null_sender_is_judged_by_helo() -> None:
    world: World = {"mail.example.org": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]}}
    result = check(world, sender="")
    assert (result.result, result.identity, result.domain) == (Result.PASS, "helo", "mail.example.org")


@pytest.mark.parametrize("helo", ["localhost", "[192.0.2.1]", "", "a..b", "x" * 300 + ".org", "a b.org"])
def test_what_is_no_domain_is_not_asked_about(helo: str) -> None:
    resolver = FakeResolver({}, cached=False)
    assert asyncio.run(spf.check(resolver, IP, "", helo)).result is Result.NONE
    assert resolver.asked == []


def test_two_records_are_an_error_and_a_missing_name_is_none() -> None:
    assert check({"example.org": {"TXT": ["v=spf1 +all", "v=spf1 -all"]}}).result is Result.PERMERROR
    assert check({}).result is Result.NONE
    assert check({"example.org": TempFail("no answer in time")}).result is Result.TEMPERROR


def test_without_servers_everything_is_none() -> None:
    assert asyncio.run(spf.check(Resolver([]), IP, "a@example.org", "x")).result is Result.NONE


def test_the_macros_of_rfc_7208_section_7_4() -> None:
    world = record(
        "v=spf1 exists:%{l1r-}.%{o}.%{h}.spf.example.org -all",
        **{"strong.example.org.mail.example.org.spf.example.org": {"A": ["127.0.0.2"]}},
    )
    assert check(world, sender="strong-bad@example.org").result is Result.PASS
    assert check(world, sender="weak-bad@example.org").result is Result.FAIL


def test_strangers_text_never_raises() -> None:
    for text in (
        b"v=spf1 \xff",
        b"v=spf1 " + b"%" * 500,
        b"v=spf1 a:\x00",
        b"v=spf1 exists:%{",
        "v=spf1 a:ö.org -all".encode(),
    ):
        assert check({"example.org": {"TXT": [text]}}).result is not Result.PASS
    assert check(record("v=spf1 exists:%{l}.example.org -all"), sender="é" * 40 + "@example.org").result is Result.FAIL


def test_hostile_records_cost_little() -> None:
    terms = " ".join(f"ip4:10.{n % 250}.0.0/24" for n in range(220))
    world = {f"i{n}.evil.org": {"TXT": [f"v=spf1 {terms} include:i{n + 1}.evil.org -all"]} for n in range(12)}
    begun = time.process_time()
    assert check(world, sender="a@i0.evil.org").result is Result.PERMERROR
    assert time.process_time() - begun < 1.0


def test_a_quoted_local_part_does_not_move_the_domain() -> None:
    world = record("v=spf1 ip4:192.0.2.1 -all", **{"victim.org": {"TXT": ["v=spf1 -all"]}})
    result = check(world, sender='"a@victim.org"@example.org')
    assert (result.result, result.domain) == (Result.PASS, "example.org")
