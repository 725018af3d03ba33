"""The resolver against a name server of our own, over UDP and TCP."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from bdmta.dns import Answer, Missing, Mx, Resolver, TempFail, reverse_name
from bdmta.testing.clock import FakeClock

Reply = Callable[[dns.message.Message], dns.message.Message | None]
SOA = "ns.example. root.example. 1 1 1 1 30"


class NameServer(asyncio.DatagramProtocol):
    """Answers what `reply` says; None is silence. What is too long for UDP is truncated, and comes by TCP."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[tuple[str, str, str]] = []
        self.port = 0

    def _said(self, octets: bytes, by: str) -> dns.message.Message | None:
        query = dns.message.from_wire(octets)
        question = query.question[0]
        self.asked.append((by, question.name.to_text(True), dns.rdatatype.to_text(question.rdtype)))
        return self.reply(query)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, octets: bytes, peer: tuple[str, int]) -> None:
        answer = self._said(octets, "udp")
        if answer is not None:
            wire = answer.to_wire(max_size=65535)
            if len(wire) > 1232:
                answer.answer.clear()
                answer.flags |= dns.flags.TC
                wire = answer.to_wire(max_size=65535)
            self.transport.sendto(wire, peer)  # type: ignore[attr-defined]

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        octets = await reader.readexactly(struct.unpack("!H", await reader.readexactly(2))[0])
        answer = self._said(octets, "tcp")
        if answer is not None:
            wire = answer.to_wire(max_size=65535)
            writer.write(struct.pack("!H", len(wire)) + wire)
        writer.close()


@asynccontextmanager
async def serving(reply: Reply) -> AsyncIterator[NameServer]:
    server = NameServer(reply)
    loop = asyncio.get_running_loop()
    tcp = await asyncio.start_server(server.stream, "127.0.0.1", 0)  # first: most ports in use here are of TCP
    server.port = tcp.sockets[0].getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", server.port))
    try:
        yield server
    finally:
        tcp.close()
        transport.close()


def zone(records: dict[tuple[str, str], list[str]], ttl_s: int = 60) -> Reply:
    def reply(query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        name, kind = question.name.to_text(True).lower(), dns.rdatatype.to_text(question.rdtype)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if (name, kind) in records:
            answer.answer.append(dns.rrset.from_text(question.name, ttl_s, "IN", kind, *records[name, kind]))
        else:
            if not any(known == name for known, _ in records):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            answer.authority.append(dns.rrset.from_text("example.", 3600, "IN", "SOA", SOA))
        return answer

    return reply


def run(reply: Reply, ask: Callable[[Resolver, NameServer], Awaitable[None]], **how: object) -> NameServer:
    async def main() -> NameServer:
        async with serving(reply) as server:
            await ask(Resolver([f"127.0.0.1:{server.port}"], **({"timeout_s": 2} | how)), server)  # type: ignore[arg-type]
            return server

    return asyncio.run(main())


def test_records_have_their_types() -> None:
    world = {
        ("example.org", "MX"): ["20 b.example.org.", "10 a.example.org."],
        ("null.example.org", "MX"): ["0 ."],
        ("example.org", "TXT"): ['"v=spf1 " "-all"', '"\\200"'],
        ("a.example.org", "A"): ["192.0.2.1"],
        ("a.example.org", "AAAA"): ["2001:db8::1"],
        ("1.2.0.192.in-addr.arpa", "PTR"): ["a.example.org."],
        ("_25._tcp.a.example.org", "SRV"): ["0 1 25 a.example.org."],
    }

    async def ask(resolver: Resolver, _: NameServer) -> None:
        mx = await resolver.mx("example.org")
        assert isinstance(mx, Answer)
        assert sorted(mx.records) == [Mx(10, "a.example.org"), Mx(20, "b.example.org")]
        assert await resolver.mx("null.example.org") == Answer((Mx(0, ""),), 60)
        txt = await resolver.txt("example.org")
        assert isinstance(txt, Answer) and set(txt.records) == {b"v=spf1 -all", b"\xc8"}
        assert await resolver.a("A.Example.ORG.") == Answer(("192.0.2.1",), 60)
        assert await resolver.aaaa("a.example.org") == Answer(("2001:db8::1",), 60)
        assert await resolver.ptr("192.0.2.1") == Answer(("a.example.org",), 60)
        assert await resolver.lookup("_25._tcp.a.example.org", "srv") == Answer(("0 1 25 a.example.org.",), 60)

    run(zone(world), ask)


def test_no_name_and_no_data_differ_and_are_remembered_as_long_as_the_soa_says() -> None:
    clock = FakeClock()

    async def ask(resolver: Resolver, server: NameServer) -> None:
        for _ in range(2):
            assert await resolver.txt("nobody.example.org") is Missing.NO_SUCH_NAME
            assert await resolver.txt("example.org") is Missing.NO_DATA
        assert len(server.asked) == 2
        clock.advance(29)
        assert resolver.known("example.org", "TXT") is Missing.NO_DATA
        clock.advance(2)
        assert resolver.known("example.org", "TXT") is None

    run(zone({("example.org", "A"): ["192.0.2.1"]}), ask, clock=clock)


def test_answers_are_kept_for_their_time_and_no_longer() -> None:
    clock = FakeClock()

    async def ask(resolver: Resolver, server: NameServer) -> None:
        await resolver.a("example.org")
        clock.advance(59)
        await resolver.a("EXAMPLE.org")
        assert len(server.asked) == 1
        clock.advance(2)
        await resolver.a("example.org")
        assert len(server.asked) == 2

    run(zone({("example.org", "A"): ["192.0.2.1"]}), ask, clock=clock)


def test_the_cache_is_bounded() -> None:
    async def ask(resolver: Resolver, server: NameServer) -> None:
        for number in range(5):
            await resolver.a(f"n{number}.example.org")
        assert resolver.known("n0.example.org", "A") is None
        assert resolver.known("n4.example.org", "A") is Missing.NO_SUCH_NAME

    run(zone({}), ask, cache_count=3)


def test_long_answers_count_by_their_length() -> None:
    long = " ".join(f'"{"x" * 250}"' for _ in range(40))

    async def ask(resolver: Resolver, server: NameServer) -> None:
        for number in range(4):
            await resolver.txt(f"n{number}.example.org")
        assert [resolver.known(f"n{n}.example.org", "TXT") is None for n in range(4)] == [True, True, False, False]

    run(zone({(f"n{number}.example.org", "TXT"): [long] for number in range(4)}), ask, cache_octets=25_000)


def test_one_question_for_all_that_wait_and_nobody_takes_it_from_the_others() -> None:
    async def ask(resolver: Resolver, server: NameServer) -> None:
        hasty = asyncio.ensure_future(resolver.a("example.org"))
        patient = [asyncio.ensure_future(resolver.a("example.org")) for _ in range(20)]
        await asyncio.sleep(0)
        hasty.cancel()
        assert set(await asyncio.gather(*patient)) == {Answer(("192.0.2.1",), 60)}
        assert len(server.asked) == 1

    run(zone({("example.org", "A"): ["192.0.2.1"]}), ask)


def test_long_answers_come_by_tcp() -> None:
    long = " ".join(f'"{"x" * 250}"' for _ in range(10))

    async def ask(resolver: Resolver, server: NameServer) -> None:
        answer = await resolver.txt("example.org")
        assert isinstance(answer, Answer) and answer.records == (b"x" * 2500,)
        assert [by for by, *_ in server.asked] == ["udp", "tcp"]

    run(zone({("example.org", "TXT"): [long]}), ask)


def test_failures_are_for_now_and_cost_their_time_once() -> None:
    def servfail(query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.set_rcode(dns.rcode.SERVFAIL)
        return answer

    async def broken(resolver: Resolver, server: NameServer) -> None:
        assert isinstance(await resolver.txt("example.org"), TempFail)
        assert isinstance(await resolver.txt("example.org"), TempFail)
        assert len(server.asked) == 1

    async def silent(resolver: Resolver, server: NameServer) -> None:
        begun = asyncio.get_running_loop().time()
        assert isinstance(await resolver.txt("example.org"), TempFail)
        assert isinstance(await resolver.txt("example.org"), TempFail)
        assert asyncio.get_running_loop().time() - begun < 1.2

    run(servfail, broken)
    run(lambda _: None, silent, timeout_s=0.6)


def test_what_cannot_be_a_name_is_none_and_nobody_is_asked() -> None:
    async def ask(resolver: Resolver, server: NameServer) -> None:
        for name in ("a..b", "x" * 64 + ".org", ".".join(["abc"] * 80), "\\9.org", "\ud800.org"):
            assert await resolver.txt(name) is Missing.NO_SUCH_NAME, name
        assert server.asked == []

    run(zone({}), ask)


def test_without_servers_nothing_is_asked() -> None:
    resolver = Resolver([])
    assert resolver.is_off
    assert asyncio.run(resolver.mx("example.org")) is Missing.NOT_ASKED
    assert resolver.known("example.org", "TXT") is Missing.NOT_ASKED


def test_reverse_names() -> None:
    assert reverse_name("192.0.2.1") == "1.2.0.192.in-addr.arpa"
    assert reverse_name("2001:db8::1").endswith("8.b.d.0.1.0.0.2.ip6.arpa")
