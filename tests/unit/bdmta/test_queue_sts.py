"""MTA-STS against a real HTTPS server and a real sink."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from bdmta.clock import SystemClock
from bdmta.queue.sts import MAX_POLICY_OCTETS, StsPolicies, parse_policy
from bdmta.setup.certificate import make_authority, make_server_certificate
from bdmta.testing.clock import FakeClock
from bdmta.testing.resolver import FakeResolver
from bdmta.testing.sink import Sink
from tests.unit.bdmta.queue_support import Log, QueueUnderTest

GOOD = "version: STSv1\r\nmode: enforce\r\nmx: mx.sts.example\r\nmx: *.relay.example\r\nmax_age: 86400\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """(server context, authority) for mta-sts.sts.example and mx.sts.example."""
    folder = tmp_path_factory.mktemp("tls")
    authority = make_authority("Test", SystemClock())
    cert, key = make_server_certificate(authority, ["mta-sts.sts.example", "mx.sts.example"], SystemClock())
    for name, octets in (("cert.pem", cert), ("key.pem", key), ("ca.pem", authority.cert_pem)):
        (folder / name).write_bytes(octets)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, str(folder / "ca.pem")


class Web:
    """An HTTPS server with one answer."""

    def __init__(self, context, body=GOOD, status="200 OK", kind="text/plain"):
        self.context, self.body, self.status, self.kind, self.asked = context, body, status, kind, 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *unused):
        self.server.close()

    async def _serve(self, reader, writer):
        self.asked += 1
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /.well-known/mta-sts.txt HTTP/1.0\r\nHost: mta-sts.sts.example\r\n")
        writer.write(f"HTTP/1.1 {self.status}\r\nContent-Type: {self.kind}\r\n\r\n{self.body}".encode())
        await writer.drain()
        writer.close()


def world(policy_id="1", host="mx.sts.example"):
    return {
        "sts.example": {"MX": [(10, host)]},
        "_mta-sts.sts.example": {"TXT": [f"v=STSv1; id={policy_id};"]},
        "mta-sts.sts.example": {"A": ["127.0.0.1"]},
        host: {"A": ["127.0.0.1"]},
    }


@pytest.mark.parametrize(
    "text",
    [
        "", "mode: enforce", GOOD.replace("STSv1", "STSv2"), GOOD.replace("enforce", "maybe"),
        GOOD.replace("86400", "soon"), GOOD.replace("mx.sts.example", "mx sts"),
        "version: STSv1\nmode: enforce\nmax_age: 1\n",
    ],
)  # fmt: skip
def test_what_is_no_policy(text):
    assert parse_policy(text) is None


def test_a_policy_is_read():
    policy = parse_policy(GOOD.replace("\r\n", "\n") + "colour: red\nmode: none\n")
    assert (policy.mode, policy.patterns, policy.max_age_s) == ("enforce", ("mx.sts.example", "*.relay.example"), 86400)


def test_a_policy_is_fetched_once_and_survives_a_silent_dns(tls):
    async def run():
        async with Web(tls[0]) as web:
            clock, resolver = FakeClock(), FakeResolver(world())
            policies = StsPolicies(resolver, clock, Log(), port=web.port, ca_file=tls[1])
            for _ in range(3):
                assert await policies.exchangers_allowed("sts.example") == ("mx.sts.example", "*.relay.example")
            assert web.asked == 1
            del resolver.world["_mta-sts.sts.example"]
            clock.advance(3600)
            assert await policies.exchangers_allowed("sts.example") is not None
            clock.advance(86_400)
            assert await policies.exchangers_allowed("sts.example") is None
            assert web.asked == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    "web",
    [
        {"status": "301 Moved"}, {"kind": "text/html"}, {"body": "x" * (MAX_POLICY_OCTETS + 1)},
        {"body": GOOD.replace("enforce", "testing")}, {"body": "version: STSv1\nmode: none\nmax_age: 5\n"},
    ],
)  # fmt: skip
def test_what_binds_nobody(tls, web):
    async def run():
        async with Web(tls[0], **web) as server:
            policies = StsPolicies(FakeResolver(world()), FakeClock(), Log(), port=server.port, ca_file=tls[1])
            assert await policies.exchangers_allowed("sts.example") is None

    asyncio.run(run())


def test_a_web_server_that_cannot_prove_its_name_is_not_believed(tls):
    async def run():
        async with Web(tls[0]) as web:
            policies = StsPolicies(FakeResolver(world()), FakeClock(), Log(), port=web.port)
            assert await policies.exchangers_allowed("sts.example") is None

    asyncio.run(run())


@pytest.mark.parametrize(
    ("host", "has_tls", "arrives"),
    [("mx.sts.example", True, True), ("mx.sts.example", False, False), ("mx.evil.example", True, False)],
)
def test_an_enforced_policy_decides_where_mail_goes(tmp_path, tls, host, has_tls, arrives):
    async def run():
        async with Web(tls[0]) as web, Sink(tls=tls[0] if has_tls else None) as sink:
            answers = world(host=host)
            policies = StsPolicies(FakeResolver(answers), FakeClock(), Log(), port=web.port, ca_file=tls[1])
            async with QueueUnderTest(tmp_path, answers, port=sink.port, sts=policies, ca_file=tls[1]) as queue:
                queue.put("a@sts.example")
                await queue.settle()
                assert queue.events() == [("sent" if arrives else "deferred", "a@sts.example")]
            assert len(sink.letters) == arrives

    asyncio.run(run())
