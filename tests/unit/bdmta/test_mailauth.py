"""The whole check of one letter, and the Authentication-Results field, ours and forged."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import authres
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from bdmta.address import parse_address
from bdmta.chain import Ruling
from bdmta.dns import Outcome, Resolver
from bdmta.edits import finish
from bdmta.envelope import Envelope, Recipient
from bdmta.mailauth.check import MailAuth
from bdmta.mailauth.header import authentication_results, claims_to_be
from bdmta.mailauth.keyring import record_of
from bdmta.mailauth.results import NOTHING_KNOWN, AuthResults, DkimResult, DmarcResult, Result, SpfResult
from bdmta.mailauth.sign import Signer
from bdmta.message import scan
from bdmta.policy import Direction, Facts
from bdmta.received import trace_fields
from bdmta.routing import Route
from bdmta.testing.clock import FakeClock
from bdmta.testing.resolver import FakeResolver, World

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
HOST = "mail.binhduong.gov.vn"
LETTER = b"From: A <a@example.org>\r\nTo: b@binhduong.gov.vn\r\nSubject: Hai\r\n\r\n" + b"Xin chao tat ca.\r\n" * 230
WORLD: World = {
    "example.org": {"TXT": ["v=spf1 include:_spf.example.org mx -all"], "MX": [(10, "mx.example.org")]},
    "_spf.example.org": {"TXT": ["v=spf1 ip4:192.0.2.0/24 ~all"]},
    "mx.example.org": {"A": ["198.51.100.1"]},
    "bdmta._domainkey.example.org": {"TXT": [record_of(KEY)]},
    "_dmarc.example.org": {"TXT": ["v=DMARC1; p=reject; rua=mailto:dmarc@example.org"]},
}
TO = parse_address("b@binhduong.gov.vn")
ENVELOPE = Envelope(
    reference="r", direction=Direction.INBOUND, sender=parse_address("a@example.org"),
    recipients=(Recipient(TO, TO.key, Route()),), received_at=datetime(2026, 1, 5, 1, 0, tzinfo=UTC),
    remote_ip="192.0.2.9", helo="mx.example.org",
)  # fmt: skip
TRACE = trace_fields(ENVELOPE, HOST, 25200)


def sign(tmp_path: Any, letter: bytes = LETTER) -> bytes:
    octets = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "bdmta.pem").write_bytes(octets)
    signer = Signer(str(tmp_path), "bdmta", lambda: ("example.org",), FakeClock())
    return asyncio.run(signer.sign(letter)) + letter


def check(
    letter: bytes, envelope: Envelope = ENVELOPE, resolver: Resolver | None = None, **how: Any
) -> AuthResults | None:
    resolver = FakeResolver(WORLD) if resolver is None else resolver
    message = scan(TRACE + letter)
    return asyncio.run(MailAuth(resolver, FakeClock(), **how).check(envelope, message, len(TRACE)))


def kept(letter: bytes, auth: AuthResults | None, direction: Direction = Direction.INBOUND) -> bytes:
    """The letter as it would be stored."""
    message = scan(TRACE + letter)
    facts = Facts(
        direction=direction, received_at=ENVELOPE.received_at, reference="r", message=message, auth=auth,
        local_domains=frozenset({"binhduong.gov.vn"}),
    )  # fmt: skip
    envelope = replace(ENVELOPE, direction=direction)
    return b"".join(finish(envelope, Ruling(facts), message, hostname=HOST, offset_s=25200).pieces())


@pytest.mark.parametrize("cached", [True, False])
def test_an_honest_letter_passes_all_three(tmp_path: Any, cached: bool) -> None:
    auth = check(sign(tmp_path), resolver=FakeResolver(WORLD, cached=cached))
    assert auth is not None
    assert (auth.spf.result, [r.result for r in auth.dkim], auth.dmarc.result) == ("pass", ["pass"], "pass")


def test_one_of_the_two_is_enough_and_none_is_not(tmp_path: Any) -> None:
    signed = sign(tmp_path)
    elsewhere = replace(ENVELOPE, remote_ip="203.0.113.5")
    for letter, envelope, expected in (
        (signed, elsewhere, "pass"), (LETTER, ENVELOPE, "pass"), (LETTER, elsewhere, "fail"),
        (signed.replace(b"tat ca", b"moi nguoi"), elsewhere, "fail"),
    ):  # fmt: skip
        auth = check(letter, envelope)
        assert auth is not None
        assert auth.dmarc.result == expected
        assert auth.dmarc.disposition == ("reject" if expected == "fail" else "none")


def test_who_is_not_checked(tmp_path: Any) -> None:
    assert check(LETTER, replace(ENVELOPE, direction=Direction.SUBMISSION)) is None
    assert check(LETTER, replace(ENVELOPE, direction=Direction.INTERNAL)) is None
    assert check(LETTER, exempt=lambda ip: ip == "192.0.2.9") is None


def test_a_client_that_is_not_known_condemns_nobody(tmp_path: Any) -> None:
    auth = check(LETTER, replace(ENVELOPE, remote_ip=None))
    assert auth is not None
    assert (auth.spf.result, auth.dmarc.result, auth.dmarc.disposition) == ("none", "none", "none")
    signed = check(sign(tmp_path), replace(ENVELOPE, remote_ip=None))
    assert signed is not None and signed.dmarc.result is Result.PASS


def test_without_servers_everything_is_none_at_once(tmp_path: Any) -> None:
    signed = sign(tmp_path)
    assert check(signed, resolver=Resolver([])) is NOTHING_KNOWN
    assert b"Authentication-Results" not in kept(signed, NOTHING_KNOWN)
    auth, message, length = MailAuth(Resolver([]), FakeClock()), scan(TRACE + signed), len(TRACE)

    async def cost() -> float:
        begun = time.perf_counter()
        for _ in range(1000):
            await auth.check(ENVELOPE, message, length)
        return (time.perf_counter() - begun) / 1000

    assert min(asyncio.run(cost()) for _ in range(3)) < 30e-6


def test_a_cached_domain_costs_less_than_2_ms(tmp_path: Any) -> None:
    auth, message = MailAuth(FakeResolver(WORLD), FakeClock()), scan(TRACE + sign(tmp_path))

    async def cost() -> float:
        await auth.check(ENVELOPE, message, len(TRACE))
        begun = time.process_time()
        for _ in range(50):
            await auth.check(ENVELOPE, message, len(TRACE))
        return (time.process_time() - begun) / 50

    assert min(asyncio.run(cost()) for _ in range(3)) < 2e-3


class Stuck(FakeResolver):
    """A server that never answers, though the resolver's own bound has passed."""

    def known(self, name: str, kind: str) -> Outcome[Any] | None:
        return None

    async def _ask(self, name: str, kind: str) -> Outcome[Any]:
        await asyncio.Event().wait()
        raise AssertionError


def test_one_bound_on_the_whole(tmp_path: Any) -> None:
    begun = time.monotonic()
    auth = check(sign(tmp_path), resolver=Stuck(WORLD), total_s=0.1)
    assert time.monotonic() - begun < 2
    assert auth is not None
    assert (auth.spf.result, auth.dkim[0].result, auth.dmarc.result) == ("temperror",) * 3


# -- the field

AUTH = AuthResults(
    spf=SpfResult(result=Result.SOFTFAIL, domain="example.org"),
    dkim=(
        DkimResult(
            result=Result.PASS, domain="example.org", selector="s", algorithm="rsa-sha256", signature="ab/+cd=="
        ),
        DkimResult(result=Result.PERMERROR, reason='odd "reason"\r\nX: y', domain="ev il.org\r\nX: y"),
    ),
    dmarc=DmarcResult(result=Result.FAIL, domain="example.org", policy="reject", disposition="quarantine"),
)


def test_the_field_reads_back() -> None:
    field = authentication_results(HOST, AUTH)
    assert field.count(b"\r\n") == 5 and b"\r\nX:" not in field
    parsed = authres.AuthenticationResultsHeader.parse(field.decode().replace("\r\n\t", " ").strip())
    assert parsed.authserv_id == HOST
    assert [(r.method, r.result) for r in parsed.results] == [
        ("spf", "softfail"), ("dkim", "pass"), ("dkim", "permerror"), ("dmarc", "fail"),
    ]  # fmt: skip
    assert {p.name: p.value for p in parsed.results[1].properties} == {
        "d": "example.org", "s": "s", "a": "rsa-sha256", "b": "ab/+cd==",
    }  # fmt: skip
    assert b"dmarc=fail (p=reject dis=quarantine) header.from=example.org" in field


@given(st.text(max_size=300), st.text(max_size=300))
@settings(max_examples=150, deadline=None)
def test_what_strangers_chose_breaks_no_line(domain: str, reason: str) -> None:
    auth = AuthResults(spf=SpfResult(result=Result.PERMERROR, domain=domain, reason=reason))
    field = authentication_results(HOST, auth)
    assert len(field.split(b"\r\n")) == 5
    assert all(line.startswith((b"\t", b"Auth")) and len(line) < 998 for line in field.split(b"\r\n")[:-1])
    assert authres.AuthenticationResultsHeader.parse(field.decode().replace("\r\n\t", " ").strip()).authserv_id == HOST


FORGED = [
    b"mail.binhduong.gov.vn; dkim=pass", b"MAIL.BinhDuong.gov.vn.; x=y", b'"mail.binhduong.gov.vn" 1; dkim=pass',
    b"(so (it\\) is) seems) mail.binhduong.gov.vn; x", b"\r\n\tmail.binhduong.gov.vn ;", b"binhduong.gov.vn; spf=pass",
    b"mail.binhduong.gov.vn/1; x", b'"mail.binhduong\\.gov.vn"; x', b"", b"; dkim=pass", b"(endless",
]  # fmt: skip
FOREIGN = [
    b"mx.example.org; dkim=pass",
    b"mail.binhduong.gov.vn.example.org; x",
    b"(mail.binhduong.gov.vn) mx.example.org; x",
]


@pytest.mark.parametrize("value", FORGED)
def test_forged_results_are_removed(value: bytes) -> None:
    assert claims_to_be(value.strip(), {HOST, "binhduong.gov.vn"})
    for direction in Direction:
        letter = kept(b"Authentication-Results: " + value + b"\r\n" + LETTER, None, direction)
        assert b"authentication-results" not in letter.lower()
        assert letter.endswith(LETTER.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("value", FOREIGN)
def test_results_of_others_stay(value: bytes) -> None:
    line = b"Authentication-Results: " + value + b"\r\n"
    assert line in kept(line + LETTER, None)


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_no_value_raises(value: bytes) -> None:
    claims_to_be(value, {HOST})


def test_ours_stands_above_the_letter_and_below_our_trace_fields() -> None:
    letter = kept(b"Authentication-Results: mail.binhduong.gov.vn; dmarc=pass\r\n" + LETTER, AUTH)
    names = [line.partition(b":")[0] for line in letter.split(b"\r\n") if line[:1] not in (b"\t", b" ")]
    assert names[:4] == [b"Return-Path", b"Received", b"Authentication-Results", b"From"]
    assert letter.count(b"Authentication-Results") == 1 and b"dmarc=fail" in letter
