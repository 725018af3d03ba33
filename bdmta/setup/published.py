"""`bdmta check --dns`: does the world find this server?"""

from __future__ import annotations

import os
from collections.abc import Iterator

import dns.exception
import dns.nameserver
import dns.resolver

from bdmta.config import Config, split_server
from bdmta.setup import dkim
from bdmta.setup.finding import Finding, fail, ok, warn
from bdmta.site import Site

_CHECK = "dns"


def inspect_dns(site: Site) -> Iterator[Finding]:
    """The host's address, and for each domain MX, SPF and our DKIM key. Asks [dns] servers only; [] asks nobody."""
    config = site.config
    if not config.dns.servers:
        yield warn(_CHECK, "[dns] servers is empty: nothing is asked")
        return
    resolver = _resolver(config)
    hostname = config.server.hostname
    addresses = _ask(resolver, hostname, "A") + _ask(resolver, hostname, "AAAA")
    yield (
        ok(_CHECK, f"{hostname} is {', '.join(addresses)}") if addresses else fail(_CHECK, f"{hostname} has no address")
    )
    for domain in config.mail.domains:
        yield from _domain(site, resolver, domain)


def _domain(site: Site, resolver: dns.resolver.Resolver, domain: str) -> Iterator[Finding]:
    hostname, selector = site.config.server.hostname, site.config.dkim.selector
    hosts = [record.split()[-1].rstrip(".").lower() for record in _ask(resolver, domain, "MX")]
    if hostname in hosts:
        yield ok(_CHECK, f"{domain} MX names {hostname}")
    else:
        yield fail(_CHECK, f"{domain} MX names {', '.join(hosts) or 'nobody'}, not {hostname}")
    if any(text.startswith("v=spf1") for text in _texts(resolver, domain)):
        yield ok(_CHECK, f"{domain} publishes SPF")
    else:
        yield warn(_CHECK, f'{domain} publishes no SPF; add TXT {domain} "v=spf1 mx -all"')
    name = f"{selector}._domainkey.{domain}"
    wanted = _public_key(os.path.join(site.dkim_dir, f"{selector}.pem"))
    if wanted and wanted in [text.replace(" ", "") for text in _texts(resolver, name)]:
        yield ok(_CHECK, f"{name} is our key")
    else:
        yield warn(_CHECK, f"{name} is not our key; `bdmta dns records` shows what to publish")


def _public_key(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return dkim.record(file.read()).replace(" ", "")
    except (OSError, ValueError):
        return ""


def _resolver(config: Config) -> dns.resolver.Resolver:
    if "system" in config.dns.servers:
        resolver = dns.resolver.Resolver()
    else:
        resolver = dns.resolver.Resolver(configure=False)
        servers = [split_server(server) for server in config.dns.servers]
        resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in servers]
    resolver.lifetime = config.dns.timeout_s
    return resolver


def _ask(resolver: dns.resolver.Resolver, name: str, kind: str) -> list[str]:
    try:
        return [record.to_text() for record in resolver.resolve(name, kind, search=False)]
    except dns.exception.DNSException:
        return []


def _texts(resolver: dns.resolver.Resolver, name: str) -> list[str]:
    try:
        return [
            b"".join(record.strings).decode("ascii", "replace")
            for record in resolver.resolve(name, "TXT", search=False)
        ]
    except dns.exception.DNSException:
        return []
