"""Where a domain's mail goes next: the operator's routes, else mail exchangers by DNS (RFC 5321 §5.1, RFC 7505)."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from bdmta.config.credentials import Login, read_credentials
from bdmta.config.schema import Transport
from bdmta.config.values import split_route
from bdmta.dns import Answer, Missing, Mx, Resolver, TempFail
from bdmta.errors import ConfigError
from bdmta.queue.outcome import Outcome, deferred, failed

MAX_EXCHANGERS = 20  # a stranger's zone may name hundreds
MAX_ADDRESSES = 8


class Tls(IntEnum):
    """How much TLS a way needs: what is offered, any, or a certificate that proves the host's name."""

    MAY = 0
    ENCRYPT = 1
    VERIFY = 2


@dataclass(frozen=True, slots=True)
class Exchanger:
    """A host to try; its addresses are looked up when its turn comes."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Way:
    """How a destination is reached: exchangers in the order to try, what TLS they need, a login or none."""

    exchangers: tuple[Exchanger, ...]
    tls: Tls = Tls.MAY
    login: Login | None = None
    by_sts: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One line of `[transport] routes`; `host` "" is by DNS."""

    pattern: str
    host: str
    port: int
    tls: Tls
    login: Login | None


class StsPolicies(Protocol):
    """What MTA-STS asks of a domain's exchangers; `bdmta.queue.sts.StsPolicies` fetches it."""

    async def exchangers_allowed(self, domain: str) -> tuple[str, ...] | None:
        """The patterns of an enforced policy; None when there is none to obey."""


def read_routes(transport: Transport) -> dict[str, Route]:
    """The routes by pattern. Raises ConfigError for a login that is wanted and not there."""
    logins = read_credentials(transport.credentials, "transport")
    routes = {}
    for line in transport.routes:
        pattern, host, port, options = split_route(line)
        login = logins.get(host) if options.get("auth") == "yes" else None
        if options.get("auth") == "yes" and login is None:
            raise ConfigError(f"[transport] routes: {line!r} wants a login, and credentials has none for {host!r}")
        tls = Tls[options.get("tls", "may").upper()]
        if login is not None:
            tls = max(tls, Tls.ENCRYPT)  # a password is never sent in the clear
        routes[pattern] = Route(pattern, host, port or transport.port, tls, login)
    return routes


class NextHops:
    """Answers where mail for a domain goes; asks DNS when no route says it."""

    def __init__(
        self, transport: Transport, resolver: Resolver, hostname: str, *,
        sts: StsPolicies | None = None, chance: random.Random | None = None,
    ) -> None:  # fmt: skip
        self._routes = read_routes(transport)
        self._port = transport.port
        self._versions = transport.ip_versions
        self._resolver = resolver
        self._own = {hostname.lower(), transport.helo.lower() or hostname.lower()}
        self._sts = sts
        self._chance = chance or random.Random()

    def route(self, domain: str) -> Route | None:
        """The route for `domain`: its own, else that of the nearest `.parent`, else `*`."""
        found = self._routes.get(domain)
        rest = domain
        while found is None and "." in rest:
            rest = rest.partition(".")[2]
            found = self._routes.get(f".{rest}")
        return found if found is not None else self._routes.get("*")

    def destination(self, domain: str) -> str:
        """What the domain's letters share their connections and limits by: the fixed next hop, else the domain."""
        route = self.route(domain)
        return f"[{route.host}]:{route.port}" if route is not None and route.host else domain

    async def way(self, domain: str) -> Way | Outcome:
        """How `domain` is reached, or why not: deferred for now, failed for good."""
        route = self.route(domain)
        if route is not None and route.host:
            return Way((Exchanger(route.host, route.port),), route.tls, route.login)
        tls = route.tls if route is not None else Tls.MAY
        if domain.startswith("["):
            return self._literal(domain, tls)
        hosts = await self._exchangers(domain)
        if isinstance(hosts, Outcome):
            return hosts
        patterns = await self._sts.exchangers_allowed(domain) if self._sts is not None else None
        if patterns is not None:
            hosts = [host for host in hosts if any(matches(host, pattern) for pattern in patterns)]
            if not hosts:
                return deferred("4.7.5", f"no mail exchanger of {domain} is in its MTA-STS policy")
            return Way(tuple(Exchanger(host, self._port) for host in hosts), Tls.VERIFY, by_sts=True)
        return Way(tuple(Exchanger(host, self._port) for host in hosts), tls)

    def _literal(self, domain: str, tls: Tls) -> Way | Outcome:
        """An address literal, if it is one of the open Internet: ours and private ones take a route."""
        text = domain[1:-1].removeprefix("IPv6:").removeprefix("ipv6:")
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return failed("5.1.2", f"{domain} is no address")
        if not address.is_global:
            return failed("5.1.2", f"{domain} is not an address of the open Internet")
        return Way((Exchanger(str(address), self._port),), tls)

    async def _exchangers(self, domain: str) -> list[str] | Outcome:
        found = await self._resolver.mx(domain)
        if found is Missing.NOT_ASKED:
            return deferred("4.4.3", f"no name server is configured, and no route leads to {domain}")
        if found is Missing.NO_SUCH_NAME:
            return failed("5.1.2", f"the domain {domain} does not exist")
        if isinstance(found, TempFail):
            return deferred("4.4.3", f"the mail exchangers of {domain} cannot be found out: {found.reason}")
        if not isinstance(found, Answer):
            return [domain]  # the implicit MX, RFC 5321 §5.1
        return self._sorted(domain, found.records)

    def _sorted(self, domain: str, records: Sequence[Mx]) -> list[str] | Outcome:
        """By preference, equals shuffled; nothing that prefers us or ranks below us (RFC 5321 §5.1: loops)."""
        if all(not mx.host for mx in records):
            return failed("5.1.10", f"the domain {domain} takes no mail (null MX)")
        usable = [mx for mx in records if mx.host]
        ours = min((mx.preference for mx in usable if mx.host.lower() in self._own), default=None)
        if ours is not None:
            usable = [mx for mx in usable if mx.preference < ours]
            if not usable:
                return failed("5.4.6", f"mail for {domain} leads back to this server, which does not know the domain")
        self._chance.shuffle(usable)
        usable.sort(key=lambda mx: mx.preference)
        return [mx.host.lower() for mx in usable[:MAX_EXCHANGERS]]

    async def addresses(self, exchanger: Exchanger) -> list[str] | Outcome:
        """The addresses of a host, IPv6 and IPv4 as configured, IPv6 first; or why there is none."""
        host = exchanger.host
        if literal := _literal_address(host):
            return [literal]
        if host == "localhost":
            return ["127.0.0.1"]  # RFC 6761 §6.3: never asked of anyone
        asked = [self._resolver.aaaa(host) if v == 6 else self._resolver.a(host) for v in self._versions]
        answers = await asyncio.gather(*asked)
        found = [address for answer in answers if isinstance(answer, Answer) for address in answer.records]
        if found:
            self._chance.shuffle(found)
            found.sort(key=lambda address: ":" not in address)
            return found[:MAX_ADDRESSES]
        if Missing.NOT_ASKED in answers:
            return deferred("4.4.3", f"no name server is configured to find {host}")
        if any(isinstance(answer, TempFail) for answer in answers):
            return deferred("4.4.3", f"the address of {host} cannot be found out now")
        return failed("5.4.4", f"the mail exchanger {host} has no address")


@functools.lru_cache(maxsize=4096)
def _literal_address(host: str) -> str:
    """The address that `host` is; "": it is a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""


def matches(host: str, pattern: str) -> bool:
    """A host name fits a pattern of an MTA-STS policy: the whole name, or one label for `*.` (RFC 8461 §4.1)."""
    host, pattern = host.lower().rstrip("."), pattern.lower().rstrip(".")
    if pattern.startswith("*."):
        return host.partition(".")[2] == pattern[2:]
    return host == pattern
