"""A DNS world as one dict, served over UDP and TCP on loopback, for what asks real sockets (the whole program, peers).

    async with DnsServer({
        "example.org": {"MX": [(10, "mail.example.org")], "TXT": ["v=spf1 mx -all"]},
        "mail.example.org": {"A": ["127.0.0.2"]},
        "alias.example.org": {"CNAME": ["mail.example.org"]},
        "broken.example": TempFail("SERVFAIL"),
        "silent.example": TempFail("no answer in time"),
    }) as server: ...  # server.address is "127.0.0.1:PORT", as `[dns] servers` has it

The world is the one of `FakeResolver`: what is not in it does not exist (NXDOMAIN). A `TempFail` whose reason is
`SERVFAIL` is answered so; one with any other reason is never answered. `asked` holds every question.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from bdmta.dns import Mx, TempFail
from bdmta.testing.resolver import World

_TTL_S = 300
_CHASED = 8
_PIECE_OCTETS = 255  # RFC 1035 §3.3: a string of a TXT record


class DnsServer:
    """Answers for the whole world; may be changed while it runs: `server.world[...] = ...`."""

    def __init__(self, world: World, *, address: str = "127.0.0.1", port: int = 0) -> None:
        self.world = {_key(name): kinds for name, kinds in world.items()}
        self.asked: list[tuple[str, str]] = []
        self._host = address
        self.port = port

    @property
    def address(self) -> str:
        """As `[dns] servers` has it."""
        return f"{self._host}:{self.port}"

    async def __aenter__(self) -> DnsServer:
        loop = asyncio.get_running_loop()
        for _ in range(50):  # one number that is free for both
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.setblocking(False)
            udp.bind((self._host, self.port))
            port = udp.getsockname()[1]
            try:
                self._tcp = await asyncio.start_server(self._serve_tcp, self._host, port)
            except OSError:
                udp.close()
                if self.port:
                    raise
                continue
            self.port = port
            self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), sock=udp)
            return self
        raise OSError("no port is free for UDP and TCP")

    async def __aexit__(self, *unused: object) -> None:
        self._udp.close()
        self._tcp.close()

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                answer = self.answer(await reader.readexactly(size), None)
                if answer is None:
                    continue
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, question: bytes, max_octets: int | None) -> bytes | None:
        """The answer in octets, None for silence; `max_octets` where the question came by UDP without EDNS."""
        try:
            asked = dns.message.from_wire(question)
        except dns.exception.DNSException:
            return None
        response = dns.message.make_response(asked)
        response.flags |= dns.flags.AA | dns.flags.RA
        for query in asked.question[:1]:
            if not self._fill(response, query.name, query.rdtype):
                return None
        limit = 65_535 if max_octets is None else max(asked.payload or 0, max_octets)
        try:
            return response.to_wire(max_size=limit)
        except dns.exception.TooBig:
            response = dns.message.make_response(asked)
            response.flags |= dns.flags.TC
            return response.to_wire()

    def _fill(self, response: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> bool:
        """False: say nothing at all."""
        wanted = dns.rdatatype.to_text(kind)
        self.asked.append((_key(name.to_text()), wanted))
        for _ in range(_CHASED):
            found = self.world.get(_key(name.to_text()))
            if found is None:
                response.set_rcode(dns.rcode.NXDOMAIN)
                return True
            records = found if isinstance(found, TempFail) else found.get(wanted, found.get("CNAME", ()))
            if isinstance(records, TempFail):
                response.set_rcode(dns.rcode.SERVFAIL)
                return records.reason == "SERVFAIL"
            if not records:
                return True
            answered = wanted if not isinstance(found, TempFail) and wanted in found else "CNAME"
            response.answer.append(_rrset(name, answered, records))
            if answered == wanted:
                return True
            name = dns.name.from_text(str(records[0]))
        return True


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        answer = self._server.answer(data, 512)
        if answer is not None:
            self._transport.sendto(answer, addr)


def _key(name: str) -> str:
    return name.lower().rstrip(".")


def _rrset(name: dns.name.Name, kind: str, records: Sequence[Any]) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(name, _TTL_S, [_rdata(kind, record) for record in records])


def _rdata(kind: str, record: Any) -> dns.rdata.Rdata:
    if kind == "MX":
        preference, host = (record.preference, record.host) if isinstance(record, Mx) else record
        return dns.rdata.from_text(dns.rdataclass.IN, kind, f"{preference} {_absolute(host)}")
    if kind == "TXT":
        octets = record.encode() if isinstance(record, str) else record
        pieces = [octets[at : at + _PIECE_OCTETS] for at in range(0, len(octets), _PIECE_OCTETS)] or [b""]
        return dns.rdata.from_text(dns.rdataclass.IN, kind, " ".join(map(_quoted, pieces)))
    if kind in ("CNAME", "PTR", "NS"):
        return dns.rdata.from_text(dns.rdataclass.IN, kind, _absolute(str(record)))
    return dns.rdata.from_text(dns.rdataclass.IN, kind, str(record))


def _absolute(host: str) -> str:
    return host if host.endswith(".") else f"{host}."


def _quoted(octets: Iterable[int]) -> str:
    return '"' + "".join(chr(o) if 32 <= o < 127 and o not in (34, 92) else f"\\{o:03d}" for o in octets) + '"'
