"""Ask DNS, and nobody but the configured servers: typed answers, one bound on the time, a bounded cache.

Nothing here raises for what a server says: an answer is `Answer`, `Missing` (no such name, no such record, or nobody
was asked) or `TempFail`. Questions that are under way are asked once, however many wait for them.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeAlias, TypeVar

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
import dns.reversename

from bdmta.clock import Clock, SystemClock
from bdmta.config.values import split_server

T = TypeVar("T")

_MAX_TTL_S = 86_400
_MAX_NEGATIVE_TTL_S = 900
_FAILURE_TTL_S = 5.0  # a dead server costs the first question its time, not each of the questions behind it
_MAX_RECORDS = 256
_CACHE_OCTETS = 16 * 1024 * 1024  # strangers choose what is asked, and how long the answers are
_ENTRY_OCTETS = 300
_MAX_QUESTIONS = 256  # under way at once; more would only drown the name server's socket
_EDNS_OCTETS = 1232  # what passes unfragmented everywhere (DNS flag day 2020)


class Missing(Enum):
    """There is no such record. `NOT_ASKED`: no server is configured, and nothing is known."""

    NO_SUCH_NAME = "no such name"
    NO_DATA = "no such record"
    NOT_ASKED = "no server to ask"


@dataclass(frozen=True, slots=True)
class TempFail:
    """It could not be found out now: a time-out, SERVFAIL, a broken answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """At least one record; good for `ttl_s` seconds from when it was asked for."""

    records: tuple[T, ...]
    ttl_s: float


@dataclass(frozen=True, slots=True, order=True)
class Mx:
    """One MX record; `host` without the final dot, "" for the null MX (RFC 7505)."""

    preference: int
    host: str


Outcome: TypeAlias = Answer[T] | Missing | TempFail
_Reader: TypeAlias = Callable[[Any], Any]


def _name(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True) if len(name) > 1 else ""


_READERS: dict[str, _Reader] = {
    "A": lambda record: record.address,
    "AAAA": lambda record: record.address,
    "MX": lambda record: Mx(record.preference, _name(record.exchange)),
    "TXT": lambda record: b"".join(record.strings),
    "PTR": lambda record: _name(record.target),
    "CNAME": lambda record: _name(record.target),
    "NS": lambda record: _name(record.target),
}


class Resolver:
    """One a process. Never blocks the loop; a question takes `timeout_s` at most, all servers and TCP included."""

    def __init__(
        self, servers: Sequence[str], timeout_s: float = 5.0, *, clock: Clock | None = None,
        cache_count: int = 20_000, cache_octets: int = _CACHE_OCTETS,
    ) -> None:  # fmt: skip
        """`servers`: "127.0.0.1:5300", "[::1]:53", or "system" for /etc/resolv.conf; none: nothing is ever asked."""
        self._timeout_s = float(timeout_s)
        self._clock = clock or SystemClock()
        self._cache: OrderedDict[tuple[str, str], tuple[float, Outcome[Any]]] = OrderedDict()
        self._cache_count = cache_count
        self._max_cache_octets = cache_octets
        self._cache_octets = 0
        self._flights: dict[tuple[str, str], asyncio.Future[Outcome[Any]]] = {}
        self._room = asyncio.Semaphore(_MAX_QUESTIONS)
        self._asker = _asker(servers, self._timeout_s) if servers else None
        self.is_off = not servers
        """No server is configured: every question is answered `Missing.NOT_ASKED` at once."""

    async def mx(self, name: str) -> Outcome[Mx]:
        """Mail exchangers, in no order; a null MX is a record whose host is "" (RFC 7505)."""
        return await self._ask(name, "MX")

    async def txt(self, name: str) -> Outcome[bytes]:
        """Text records, each with its strings joined (RFC 7208 §3.3)."""
        return await self._ask(name, "TXT")

    async def a(self, name: str) -> Outcome[str]:
        """IPv4 addresses."""
        return await self._ask(name, "A")

    async def aaaa(self, name: str) -> Outcome[str]:
        """IPv6 addresses."""
        return await self._ask(name, "AAAA")

    async def ptr(self, address: str) -> Outcome[str]:
        """The names of an IP address; they prove nothing until they lead back. ValueError: it is no address."""
        return await self._ask(reverse_name(address), "PTR")

    async def lookup(self, name: str, kind: str) -> Outcome[Any]:
        """Records of any type: those with a method of their own as that gives them, others in presentation form."""
        return await self._ask(name, kind.upper())

    def known(self, name: str, kind: str) -> Outcome[Any] | None:
        """What the cache holds, without asking; None when it must be asked for."""
        if self._asker is None:
            return Missing.NOT_ASKED
        return self._cached((name.rstrip(".").lower(), kind))

    def _cached(self, key: tuple[str, str]) -> Outcome[Any] | None:
        held = self._cache.get(key)
        if held is None or held[0] <= self._clock.monotonic():
            return None
        self._cache.move_to_end(key)
        return held[1]

    async def _ask(self, name: str, kind: str) -> Outcome[Any]:
        if self._asker is None:
            return Missing.NOT_ASKED
        key = (name.rstrip(".").lower(), kind)
        found = self._cached(key)
        if found is not None:
            return found
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.ensure_future(self._fetch(self._asker, key))
            flight.add_done_callback(lambda _: self._flights.pop(key, None))
        return await asyncio.shield(flight)  # who gives up waiting does not take the answer from the others

    async def _fetch(self, asker: dns.asyncresolver.Resolver, key: tuple[str, str]) -> Outcome[Any]:
        outcome: Outcome[Any]
        try:
            async with asyncio.timeout(self._timeout_s + 0.5), self._room:
                outcome, ttl_s = await self._resolve(asker, *key)
        except TimeoutError:
            outcome, ttl_s = TempFail("no answer in time"), _FAILURE_TTL_S
        self._keep(key, self._clock.monotonic() + ttl_s, outcome)
        return outcome

    def _keep(self, key: tuple[str, str], until: float, outcome: Outcome[Any]) -> None:
        old = self._cache.pop(key, None)
        if old is not None:
            self._cache_octets -= _octets(old[1])
        self._cache[key] = (until, outcome)
        self._cache_octets += _octets(outcome)
        while len(self._cache) > self._cache_count or self._cache_octets > self._max_cache_octets:
            _, gone = self._cache.popitem(last=False)
            self._cache_octets -= _octets(gone[1])

    async def _resolve(self, asker: dns.asyncresolver.Resolver, name: str, kind: str) -> tuple[Outcome[Any], float]:
        try:
            asked = dns.name.from_text(name)
            answer = await asker.resolve(asked, kind, search=False, raise_on_no_answer=False, lifetime=self._timeout_s)
        except dns.resolver.NXDOMAIN as error:
            responses: dict[Any, dns.message.Message] = error.responses()  # type: ignore[no-untyped-call]
            return Missing.NO_SUCH_NAME, _negative_ttl(responses.values())
        except dns.exception.Timeout:
            return TempFail("no answer in time"), _FAILURE_TTL_S
        except dns.resolver.NoNameservers:
            return TempFail("the name servers failed"), _FAILURE_TTL_S
        except (dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel, dns.name.BadEscape, UnicodeError):
            return Missing.NO_SUCH_NAME, _MAX_NEGATIVE_TTL_S  # what cannot be a name is none
        except dns.name.IDNAException:
            return Missing.NO_SUCH_NAME, _MAX_NEGATIVE_TTL_S
        except Exception as error:  # whatever a server's octets do to the parser, it is no answer
            return TempFail(type(error).__name__), _FAILURE_TTL_S
        if answer.rrset is None:
            return Missing.NO_DATA, _negative_ttl([answer.response])
        ttl_s = float(min(answer.rrset.ttl, _MAX_TTL_S))
        read = _READERS.get(kind, lambda record: record.to_text())
        return Answer(tuple(read(record) for record in list(answer.rrset)[:_MAX_RECORDS]), ttl_s), ttl_s


def _octets(outcome: Outcome[Any]) -> int:
    """About what an entry of the cache takes."""
    records = outcome.records if isinstance(outcome, Answer) else ()
    return _ENTRY_OCTETS + sum(len(r) + 60 if isinstance(r, bytes | str) else 200 for r in records)


def reverse_name(address: str) -> str:
    """The name under in-addr.arpa or ip6.arpa; ValueError when `address` is none."""
    return dns.reversename.from_address(str(ipaddress.ip_address(address))).to_text(omit_final_dot=True)


def _negative_ttl(responses: Iterable[dns.message.Message]) -> float:
    """How long an absence may be believed: the SOA's TTL and minimum, whichever is less (RFC 2308 §5)."""
    times = [
        float(min(rrset.ttl, rrset[0].minimum))
        for response in responses
        for rrset in response.authority
        if rrset.rdtype == dns.rdatatype.SOA and len(rrset)
    ]
    return min([*times, float(_MAX_NEGATIVE_TTL_S)]) if times else 60.0


def _asker(servers: Sequence[str], timeout_s: float) -> dns.asyncresolver.Resolver:
    """A resolver of dnspython over these servers in this order, without its search list or cache."""
    asker = dns.asyncresolver.Resolver(configure=False)
    nameservers: list[str | dns.nameserver.Nameserver] = []
    for server in servers:
        if server == "system":
            nameservers += _system_servers()
        else:
            host, port = split_server(server)
            nameservers.append(dns.nameserver.Do53Nameserver(host, port))
    asker.nameservers = nameservers
    asker.timeout = max(0.5, min(2.0, timeout_s / max(2, len(nameservers))))
    asker.lifetime = timeout_s
    asker.use_edns(0, 0, _EDNS_OCTETS)
    return asker


def _system_servers() -> list[str | dns.nameserver.Nameserver]:
    """Those of /etc/resolv.conf; none when it names none (every question then fails for now)."""
    try:
        return list(dns.resolver.Resolver(configure=True).nameservers)
    except dns.exception.DNSException:
        return []
