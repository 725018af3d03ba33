"""What is published beside what should be: `bdmta dns check`, and what must be there for `bdmta check --dns`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from bdmta.dns import Answer, Mx, Outcome, Resolver, TempFail
from bdmta.mailauth import spf
from bdmta.mailauth.dmarc import read_record
from bdmta.mailauth.key import KeyUnusable, read_key
from bdmta.mailauth.results import Result
from bdmta.mailauth.tags import TagError
from bdmta.setup.finding import Finding, fail, ok, warn
from bdmta.setup.zone import Record, wanted
from bdmta.site import Site

State: TypeAlias = Literal["ok", "missing", "differs", "unknown"]
_CHECK = "dns"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One record to publish, what stands there, and how far they agree. `unknown`: it could not be asked now."""

    record: Record
    state: State
    published: tuple[str, ...]
    detail: str


async def compare(site: Site, resolver: Resolver) -> list[Comparison]:
    """Every wanted record beside what is published. Asks [dns] servers only."""
    hostname = site.config.server.hostname
    addresses = [*_records(await resolver.a(hostname)), *_records(await resolver.aaaa(hostname))]
    compared = []
    for record in wanted(site):
        compared.append(await _compare(record, resolver, hostname, addresses))
    return compared


async def _compare(record: Record, resolver: Resolver, hostname: str, addresses: list[str]) -> Comparison:
    if record.kind == "PTR":
        return await _reverse(record, resolver, hostname, addresses)
    outcome = await resolver.lookup(record.name, record.kind)
    if isinstance(outcome, TempFail):
        return Comparison(record, "unknown", (), f"{record.name} {record.kind} cannot be asked now: {outcome.reason}")
    found = _records(outcome)
    if record.kind in ("A", "AAAA"):
        if record.value and record.value in found:
            return Comparison(record, "ok", tuple(found), f"{hostname} is {', '.join(found)}")
        if not record.value and addresses:
            return Comparison(record, "ok", tuple(addresses), f"{hostname} is {', '.join(addresses)}")
        return _other(record, found, f"{hostname} has no address", f"{hostname} is {', '.join(found)}")
    if record.kind == "MX":
        return _exchangers(record, found, hostname)
    if record.kind == "SRV":
        return _service(record, [str(text) for text in found])
    texts = [text.decode("ascii", "replace") for text in found]
    if record.name.startswith("_dmarc."):
        return _dmarc(record, found, texts)
    if "._domainkey." in record.name:
        return _key(record, found, texts)
    return await _text(record, texts, resolver, hostname, addresses)


def _records(outcome: Outcome[Any]) -> list[Any]:
    return list(outcome.records) if isinstance(outcome, Answer) else []


def _other(record: Record, found: list[str], missing: str, differs: str) -> Comparison:
    return Comparison(record, "differs" if found else "missing", tuple(found), differs if found else missing)


def _exchangers(record: Record, found: list[Mx], hostname: str) -> Comparison:
    hosts = [mx.host.lower() for mx in sorted(found)]
    texts = tuple(f"{mx.preference} {mx.host}." for mx in sorted(found))
    if hostname in hosts:
        return Comparison(record, "ok", texts, f"{record.name} MX names {hostname}")
    state: State = "differs" if hosts else "missing"
    return Comparison(record, state, texts, f"{record.name} MX names {', '.join(hosts) or 'nobody'}, not {hostname}")


def _service(record: Record, found: list[str]) -> Comparison:
    if any(text.split()[2:] == record.value.split()[2:] for text in map(str.lower, found)):
        return Comparison(record, "ok", tuple(found), f"{record.name} leads here")
    return _other(record, found, f"{record.name} is not published", f"{record.name} leads elsewhere")


def _dmarc(record: Record, found: list[bytes], texts: list[str]) -> Comparison:
    """Any readable policy will do: which one is the operator's to choose."""
    try:
        policies = [read for read in map(read_record, found) if read is not None]
    except TagError as error:
        return Comparison(record, "differs", tuple(texts), f"{record.name} cannot be read: {error}")
    if len(policies) == 1:
        return Comparison(record, "ok", tuple(texts), f"{record.name} asks for {policies[0].policy}")
    many = f"{record.name} has {len(policies)} records, which count as none"
    return _other(record, [str(policy) for policy in policies], f"{record.name} is not published", many)


def _key(record: Record, found: list[bytes], texts: list[str]) -> Comparison:
    ours = read_key(record.value.encode())
    for text in found:
        try:
            published = read_key(text)
        except KeyUnusable:
            continue
        if published.key == ours.key:
            return Comparison(record, "ok", tuple(texts), f"{record.name} is our key")
    state: State = "differs" if found else "missing"
    detail = f"{record.name} is not our key; `bdmta dns records` shows what to publish"
    return Comparison(record, state, tuple(texts), detail)


async def _text(
    record: Record, texts: list[str], resolver: Resolver, hostname: str, addresses: list[str]
) -> Comparison:  # fmt: skip
    version = record.value.partition(" ")[0].rstrip(";")
    own = [text for text in texts if text.lower().startswith(version.lower())]
    if not own:
        add = f'add TXT {record.name} "{record.value}"'
        what = "publishes no SPF" if version == "v=spf1" else "is not published"
        return Comparison(record, "missing", tuple(own), f"{record.name} {what}; {add}")
    if version != "v=spf1":
        return Comparison(record, "ok", tuple(own), f"{record.name} is published")
    if len(own) > 1:
        return Comparison(record, "differs", tuple(own), f"{record.name} has {len(own)} SPF records, which is an error")
    for address in addresses:
        result = await spf.check(resolver, address, f"postmaster@{record.name}", hostname)
        if result.result is Result.TEMPERROR:
            return Comparison(record, "unknown", tuple(own), f"{record.name} SPF: {result.reason}")
        if result.result is not Result.PASS:
            said = f"{result.result} {result.reason}".strip()
            return Comparison(record, "differs", tuple(own), f"{record.name} SPF says {said} of {address} ({hostname})")
    return Comparison(record, "ok", tuple(own), f"{record.name} publishes SPF")


async def _reverse(record: Record, resolver: Resolver, hostname: str, addresses: list[str]) -> Comparison:
    names: list[str] = []
    for address in addresses:
        outcome = await resolver.ptr(address)
        found = [str(name).lower() for name in _records(outcome)]
        names += found
        if isinstance(outcome, TempFail):
            return Comparison(record, "unknown", (), f"the reverse name of {address} cannot be asked now")
        if hostname not in found:
            state: State = "differs" if found else "missing"
            detail = f"{address} is called {', '.join(found) or 'nothing'}, not {hostname}; many hosts refuse such mail"
            return Comparison(record, state, tuple(names), detail)
    if not addresses:
        return Comparison(record, "unknown", (), f"{hostname} has no address that could lead back")
    return Comparison(record, "ok", tuple(names), f"{', '.join(addresses)} lead back to {hostname}")


def compare_now(site: Site) -> list[Comparison] | None:
    """`compare` for commands; None when [dns] servers is empty and nobody may be asked."""
    dns = site.config.dns
    if not dns.servers:
        return None
    return asyncio.run(compare(site, Resolver(dns.servers, dns.timeout_s)))


def inspect_dns(site: Site) -> Iterator[Finding]:
    """The host's address, and for each domain MX, SPF and our DKIM keys. Asks [dns] servers only; [] asks nobody."""
    compared = compare_now(site)
    if compared is None:
        yield warn(_CHECK, "[dns] servers is empty: nothing is asked")
        return
    for one in compared:
        if one.record.need != "must":
            continue
        if one.state == "ok":
            yield ok(_CHECK, one.detail)
        elif one.record.kind == "TXT":
            yield warn(_CHECK, one.detail)
        else:
            yield fail(_CHECK, one.detail)
