"""Where letters go and how: exchangers by DNS, routes, TLS, logins, what hosts offer."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
import random
import ssl
from pathlib import Path

import pytest

from bdmta.clock import SystemClock
from bdmta.config.schema import Transport
from bdmta.dns import TempFail
from bdmta.errors import ConfigError
from bdmta.queue.hops import NextHops, Tls, matches
from bdmta.queue.link import _context
from bdmta.queue.outcome import Outcome
from bdmta.queue.schedule import Schedule
from bdmta.setup.certificate import make_authority, make_server_certificate
from bdmta.testing.resolver import FakeResolver
from bdmta.testing.sink import Sink
from storage.spool_entry import QueueRecipient
from tests.unit.bdmta.queue_support import LETTER, SENDER, QueueUnderTest

WORLD = {
    "many.example": {"MX": [(20, "c.example"), (10, "a.example"), (10, "b.example")]},
    "null.example": {"MX": [(0, "")]},
    "implicit.example": {"A": ["127.0.0.1"]},
    "ours.example": {"MX": [(10, "first.example"), (20, "mail.binhduong.gov.vn"), (30, "third.example")]},
    "us.example": {"MX": [(10, "mail.binhduong.gov.vn"), (20, "other.example")]},
    "broken.example": TempFail("SERVFAIL"),
    "both.example": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]},
    "noaddress.example": {"MX": [(10, "ghost.example")]},
    "half.example": {"MX": [(10, "broken.example")]},
}


def hops(seed=1, **transport):
    return NextHops(
        Transport(**transport), FakeResolver(WORLD), "mail.binhduong.gov.vn", chance=random.Random(seed)
    )  # fmt: skip


def way(domain, **transport):
    return asyncio.run(hops(**transport).way(domain))


def test_exchangers_by_preference_and_equals_in_any_order():
    orders = {tuple(e.host for e in asyncio.run(hops(seed).way("many.example")).exchangers) for seed in range(20)}
    assert orders == {("a.example", "b.example", "c.example"), ("b.example", "a.example", "c.example")}


@pytest.mark.parametrize(
    ("domain", "result", "status"),
    [
        ("null.example", "failed", "5.1.10"), ("nowhere.example", "failed", "5.1.2"), ("us.example", "failed", "5.4.6"),
        ("broken.example", "deferred", "4.4.3"), ("[127.0.0.1]", "failed", "5.1.2"), ("[10.0.0.1]", "failed", "5.1.2"),
        ("[IPv6:::1]", "failed", "5.1.2"),
    ],
)  # fmt: skip
def test_domains_without_a_way(domain, result, status):
    found = way(domain)
    assert isinstance(found, Outcome)
    assert (str(found.result), found.status) == (result, status)


def test_other_ways_by_dns():
    assert [e.host for e in way("implicit.example").exchangers] == ["implicit.example"]
    assert [e.host for e in way("ours.example").exchangers] == ["first.example"]
    assert [e.host for e in way("[8.8.8.8]").exchangers] == ["8.8.8.8"]


def test_addresses_of_both_kinds_six_first():
    async def run(**transport):
        found = hops(**transport)
        return await found.addresses((await found.way("both.example")).exchangers[0])

    assert asyncio.run(run()) == ["2001:db8::1", "192.0.2.1"]
    assert asyncio.run(run(ip_versions=(4,))) == ["192.0.2.1"]


@pytest.mark.parametrize(("domain", "state"), [("noaddress.example", "failed"), ("half.example", "waiting")])
def test_exchangers_without_an_address(tmp_path, domain, state):
    async def run():
        async with QueueUnderTest(tmp_path, WORLD) as queue:
            queue.put(f"a@{domain}")
            await queue.settle()
            assert [r for r, _, _ in queue.reports] == (["failed"] if state == "failed" else [])

    asyncio.run(run())


def test_routes_the_most_particular_first():
    routes = (
        "so.gov.vn = 10.0.0.1:2525",
        ".gov.vn = relay.gov.vn tls=verify",
        "* = [2001:db8::5]:587",
        "x.vn = mx tls=encrypt",
    )
    found = hops(routes=routes)
    assert found.destination("so.gov.vn") == "[10.0.0.1]:2525"
    assert found.destination("a.b.gov.vn") == "[relay.gov.vn]:25"
    assert found.destination("gov.vn") == found.destination("com") == "[2001:db8::5]:587"
    assert found.destination("x.vn") == "x.vn"
    assert asyncio.run(found.way("a.gov.vn")).tls is Tls.VERIFY


@pytest.mark.parametrize(
    "line", ["nothing", "a = ", "a = b:99999", "a = b tls=maybe", "a b = c", "* = 1.2.3.4 auth=yes"]
)
def test_bad_routes_are_refused(line):
    with pytest.raises((ValueError, ConfigError)):
        hops(routes=(line,))


def test_a_patterns_star_is_one_label():
    assert matches("mx1.example.org", "*.example.org")
    assert matches("MX1.Example.org", "mx1.example.org.")
    assert not matches("example.org", "*.example.org")
    assert not matches("a.b.example.org", "*.example.org")


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A certificate for localhost with its authority; returns (server context, path of the authority)."""
    folder = tmp_path_factory.mktemp("tls")
    clock = SystemClock()
    authority = make_authority("Test", clock)
    cert, key = make_server_certificate(authority, ["localhost", "mx.sts.example"], clock)
    for name, octets in (("cert.pem", cert), ("key.pem", key), ("ca.pem", authority.cert_pem)):
        (folder / name).write_bytes(octets)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, str(folder / "ca.pem")


def send(tmp_path, sink, *addresses, routes=None, **settings):
    """One letter to the sink by a route; the queue afterwards."""

    async def run():
        async with sink:
            lines = [line.format(port=sink.port) for line in routes or ["* = localhost:{port}"]]
            async with QueueUnderTest(tmp_path, routes=lines, **settings) as queue:
                queue.put(*(addresses or ("a@there.example",)), **fields)
                await queue.settle()
                return queue

    fields = settings.pop("fields", {})
    return asyncio.run(run())


def test_tls_is_used_where_it_is_offered_whoever_signed_the_certificate(tmp_path, tls):
    sink = Sink(tls=tls[0])
    queue = send(tmp_path, sink)
    assert [letter.has_tls for letter in sink.letters] == [True]
    assert queue.facts[0]["detail"]["tls"].startswith("TLSv1")


def test_broken_tls_is_done_without(tmp_path, tls):
    sink = Sink({"STARTTLS": "bad-tls"}, tls=tls[0])
    send(tmp_path, sink)
    assert [letter.has_tls for letter in sink.letters] == [False]
    refused = Sink({"STARTTLS": "454 4.7.0 Not now"}, tls=tls[0])
    send(tmp_path, refused)
    assert [letter.has_tls for letter in refused.letters] == [False]


@pytest.mark.parametrize(
    "script", [{"STARTTLS": "bad-tls"}, {"STARTTLS": "454 4.7.0 Not now"}, {"STARTTLS": "hang"}, None]
)
@pytest.mark.parametrize("level", ["encrypt", "verify"])
def test_tls_that_is_required_is_never_done_without(tmp_path, tls, script, level):
    sink = Sink(script or {}, tls=tls[0] if script else None)
    queue = send(tmp_path, sink, routes=[f"* = localhost:{{port}} tls={level}"], seconds=0.3)
    assert sink.letters == []
    assert queue.events() == [("deferred", "a@there.example")]
    assert not any(command.startswith("MAIL") for command in sink.commands)


def test_a_certificate_must_prove_the_name_where_that_is_asked(tmp_path, tls):
    route = ["* = localhost:{port} tls=verify"]
    unknown = Sink(tls=tls[0])
    queue = send(tmp_path, unknown, routes=route)
    assert unknown.letters == []
    assert "certificate" in queue.facts[0]["detail"]["reply"]
    known = Sink(tls=tls[0])
    send(tmp_path / "known", known, routes=route, ca_file=tls[1])
    assert len(known.letters) == 1
    other_name = Sink(tls=tls[0])
    send(tmp_path / "other", other_name, routes=["* = 127.0.0.1:{port} tls=verify"], ca_file=tls[1])
    assert len(other_name.letters) in (0, 1)  # by whether the certificate names the address


def test_authorities_are_read_once_and_again_when_they_have_changed(tmp_path, tls):
    path = tmp_path / "ca.pem"
    path.write_bytes(Path(tls[1]).read_bytes())
    first = _context(True, str(path))
    assert (first.verify_mode, first.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert _context(True, str(path)) is first
    os.utime(path, ns=(1, 1))
    assert _context(True, str(path)) is not first
    loose = _context(False, str(path))
    assert (loose.verify_mode, loose) == (ssl.CERT_NONE, _context(False, ""))


def test_a_login_for_a_smart_host_goes_over_tls_only(tmp_path, tls):
    secrets = tmp_path / "secrets"
    secrets.write_text("localhost us mật-khẩu dài\n")
    secrets.chmod(0o600)
    route, transport = ["* = localhost:{port} auth=yes"], {"credentials": str(secrets)}
    plain = Sink(user="us")
    queue = send(tmp_path / "plain", plain, routes=route, transport=transport)
    assert not any("AUTH" in command for command in plain.commands)
    assert queue.events()[0][0] == "deferred"
    good = Sink(user="us", tls=tls[0])
    send(tmp_path / "good", good, routes=route, transport=transport)
    assert len(good.letters) == 1
    wrong = Sink({"AUTH": "535 5.7.8 No"}, user="us", tls=tls[0])
    queue = send(tmp_path / "wrong", wrong, routes=route, transport=transport)
    assert (queue.events(), wrong.letters) == ([("deferred", "a@there.example")], [])
    assert "mật-khẩu" not in str(queue.log.lines) + str(queue.facts)


def test_what_the_host_offers_is_passed_on(tmp_path):
    sink = Sink()
    recipient = QueueRecipient("a@there.example", "SUCCESS,FAILURE", "rfc822;a+2Bb@there.example")
    send(tmp_path, sink, recipient, fields={"dsn_ret": "HDRS", "dsn_envid": "QQ314"})
    (taken,) = sink.letters
    size = len(LETTER.partition(b"\r\n")[2])
    assert taken.mail == f"FROM:<{SENDER}> SIZE={size} BODY=8BITMIME RET=HDRS ENVID=QQ314"
    assert taken.rcpt == ["TO:<a@there.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@there.example"]
    bare = Sink(extensions=())
    send(tmp_path / "bare", bare, recipient, fields={"dsn_ret": "HDRS", "dsn_envid": "QQ314"})
    assert bare.letters[0].mail == f"FROM:<{SENDER}>"
    assert bare.letters[0].rcpt == ["TO:<a@there.example>"]
    assert bare.letters[0].octets.isascii()


def test_success_is_reported_here_only_if_nobody_else_will(tmp_path):
    asked = QueueRecipient("a@there.example", "SUCCESS")
    assert send(tmp_path / "a", Sink(), asked).reports == []
    assert send(tmp_path / "b", Sink(extensions=()), asked).reports == [("relayed", "a@there.example", "2.0.0")]
    never = QueueRecipient("a@there.example", "NEVER")
    assert send(tmp_path / "c", Sink({"RCPT": "550 No"}), never).reports == []


@pytest.mark.parametrize(
    ("sink", "address", "status"),
    [
        (Sink(extensions=("SIZE 50",)), "a@there.example", "5.3.4"),
        (Sink(extensions=("8BITMIME",)), "ngọc@there.example", "5.6.7"),
    ],
)
def test_what_the_host_says_it_cannot_is_not_tried(tmp_path, sink, address, status):
    queue = send(tmp_path, sink, address)
    assert queue.reports == [("failed", address, status)]
    assert not any(command.startswith("MAIL") for command in sink.commands)


@pytest.mark.parametrize(("subject", "arrives"), [("Test", True), ("Thử", False)])
def test_smtputf8_is_needed_only_by_a_header_that_is_not_ascii(tmp_path, subject, arrives):
    sink = Sink(extensions=("8BITMIME",))
    octets = f"Return-Path: <a@b>\r\nSubject: {subject}\r\n\r\nthân\r\n".encode()
    queue = send(tmp_path, sink, fields={"octets": octets, "smtputf8": True})
    assert len(sink.letters) == arrives
    assert [status for _, _, status in queue.reports] == ([] if arrives else ["5.6.7"])


def test_the_next_exchanger_is_tried_when_the_first_fails(tmp_path):
    async def run():
        async with Sink({"connect": "554 No"}, address="127.0.0.2") as bad, Sink(port=bad.port) as good:
            world = {
                "two.example": {"MX": [(10, "bad.example"), (20, "good.example")]},
                "bad.example": {"A": ["127.0.0.2"]}, "good.example": {"A": ["127.0.0.1"]},
            }  # fmt: skip
            async with QueueUnderTest(tmp_path, world, port=bad.port, schedule=Schedule()) as queue:
                queue.put("a@two.example")
                await queue.settle()
                assert queue.events() == [("sent", "a@two.example")]
            assert (bad.connections, len(good.letters)) == (1, 1)

    asyncio.run(run())


def test_copies_that_an_alias_sends_on_bear_its_name(tmp_path):
    sink = Sink()
    send(tmp_path, sink, QueueRecipient("a@there.example", via="cv@binhduong.gov.vn"), "b@there.example")
    marks = sorted(letter.octets.startswith(b"Delivered-To: cv@binhduong.gov.vn\r\n") for letter in sink.letters)
    assert marks == [False, True]


@pytest.mark.parametrize("seven_bit", [False, True])
def test_lines_that_are_too_long_or_bare_are_written_anew(tmp_path, seven_bit):
    long = "chữ " * 600
    octets = (
        "From: <a@b>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=q\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\n--q\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nngắn\r\n--q\r\n"
        f"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{long}\nx\r\n--q--\r\n"
    ).encode()
    sink = Sink(extensions=() if seven_bit else ("8BITMIME",))
    send(tmp_path, sink, fields={"octets": octets})
    taken = sink.letters[0].octets
    assert max(map(len, taken.split(b"\r\n"))) <= 998
    assert taken.count(b"\n") == taken.count(b"\r\n") == taken.count(b"\r")
    assert taken.isascii() is seven_bit
    parts = list(email.message_from_bytes(taken, policy=email.policy.SMTP).iter_parts())
    assert parts[0].get_content().strip() == "ngắn"
    assert parts[1].get_content().replace("\r", "").split("\n")[:2] == [long, "x"]
