"""What to publish for each domain: the records, and a zone fragment that a name server reads (RFC 1035 §5)."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bdmta.mailauth.keyring import Keyring, record_of
from bdmta.site import Site

Need: TypeAlias = Literal["must", "should", "may"]

_STRING_OCTETS = 255  # RFC 1035 §3.3
_SRV = {
    "submissions": "_submissions._tcp", "submission": "_submission._tcp", "imaps": "_imaps._tcp", "imap": "_imap._tcp",
    "pop3s": "_pop3s._tcp", "pop3": "_pop3._tcp",
}  # fmt: skip
"""RFC 6186 §3, RFC 8314 §5.1."""
_STS_MAX_AGE_S = 604_800


@dataclass(frozen=True, slots=True)
class Record:
    """One record to publish. `value` as in a zone, TXT without its quotes; "" where only the operator knows it."""

    domain: str
    name: str
    kind: str
    value: str
    need: Need
    note: str


def wanted(site: Site) -> list[Record]:
    """Every record for every domain, the host's own first."""
    config = site.config
    hostname = config.server.hostname
    records = list(_host(site))
    keys = Keyring(config.dkim.dir, config.dkim.selector)
    for domain in config.mail.domains:
        records += [
            Record(domain, domain, "MX", f"10 {hostname}.", "must", "letters for the domain come here"),
            Record(domain, domain, "TXT", _spf(config.transport.source_addresses), "must", "who may send (RFC 7208)"),
        ]
        for entry in keys.published(domain):
            value = record_of(keys.private_key(entry.selector))
            need: Need = "must" if entry.state == "active" else "should"
            note = {"active": "signs", "next": "will sign; publish it before the rotation", "retired": "signs no more"}
            name = f"{entry.selector}._domainkey.{domain}"
            records.append(Record(domain, name, "TXT", value, need, f"DKIM key, {note[entry.state]} (RFC 6376)"))
        records += _more(site, domain)
    return records


def _host(site: Site) -> Iterator[Record]:
    hostname, domain = site.config.server.hostname, site.config.primary_domain
    addresses = {a for listener in site.config.listeners() if listener.protocol == "smtp" for a in listener.addresses}
    public = [ipaddress.ip_address(a) for a in sorted(addresses) if ipaddress.ip_address(a).is_global]
    for address in public:
        kind = "A" if address.version == 4 else "AAAA"
        yield Record(domain, hostname, kind, str(address), "must", "this server")
    if not public:
        yield Record(domain, hostname, "A", "", "must", "this server: put its public address here")
    yield Record(domain, "", "PTR", f"{hostname}.", "should", "the reverse name of that address, set by its provider")


def _spf(sources: Iterable[str]) -> str:
    own = "".join(f" ip{ipaddress.ip_address(source).version}:{source}" for source in sources)
    return f"v=spf1 mx{own} -all"


def _more(site: Site, domain: str) -> Iterator[Record]:
    hostname = site.config.server.hostname
    reports = f"mailto:postmaster@{domain}"
    mailbox = site.config.dmarc.mailbox
    rua = f"mailto:{mailbox}" if mailbox.endswith(f"@{domain}") else reports
    yield Record(
        domain, f"_dmarc.{domain}", "TXT", f"v=DMARC1; p=quarantine; adkim=r; aspf=r; rua={rua}", "should",
        "what others do with forgeries (RFC 7489); p=none to look first, p=reject in the end",
    )  # fmt: skip
    policy = sts_policy(hostname)
    yield Record(
        domain, f"_mta-sts.{domain}", "TXT", f"v=STSv1; id={hashlib.sha256(policy.encode()).hexdigest()[:16]}", "may",
        f"with the policy at https://mta-sts.{domain}/.well-known/mta-sts.txt (RFC 8461)",
    )  # fmt: skip
    yield Record(
        domain, f"_smtp._tls.{domain}", "TXT", f"v=TLSRPTv1; rua={reports}", "may", "reports on TLS (RFC 8460)"
    )
    ports = {listener.protocol: listener.port for listener in site.config.listeners()}
    for protocol, service in _SRV.items():
        if protocol in ports:
            value = f"{0 if protocol.endswith('s') else 10} 1 {ports[protocol]} {hostname}."
            yield Record(
                domain, f"{service}.{domain}", "SRV", value, "may", "mail programs set themselves up (RFC 6186)"
            )


def sts_policy(hostname: str) -> str:
    """The MTA-STS policy file, CRLF line ends (RFC 8461 §3.2)."""
    return f"version: STSv1\r\nmode: enforce\r\nmx: {hostname}\r\nmax_age: {_STS_MAX_AGE_S}\r\n"


def fragment(records: Iterable[Record]) -> str:
    """The records as lines of a zone; those whose value only the operator knows are comments."""
    lines: list[str] = []
    domain = ""
    for record in records:
        if record.domain != domain:
            domain = record.domain
            lines += ["" if not lines else "\n", f"; {domain}"]
        lines.append(f"; {record.need}: {record.note}")
        if not record.value:
            lines.append(f"; {record.name}. 3600 IN {record.kind} ADDRESS")
        elif not record.name:
            lines.append(f"; ADDRESS.in-addr.arpa. 3600 IN {record.kind} {record.value}")
        else:
            value = quoted(record.value) if record.kind == "TXT" else record.value
            lines.append(f"{record.name}. 3600 IN {record.kind} {value}")
    return "\n".join(line for line in lines if line).replace("\n\n\n", "\n\n") + "\n"


def quoted(text: str) -> str:
    """A TXT value as strings of at most 255 octets in quotes."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return " ".join(f'"{text[at : at + _STRING_OCTETS]}"' for at in range(0, len(text), _STRING_OCTETS))
