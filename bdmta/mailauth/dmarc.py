"""DMARC (RFC 7489): does SPF or DKIM speak for the domain in From, and if not, what does its owner ask for?"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from bdmta.dns import Answer, Missing, Resolver, TempFail
from bdmta.mailauth.publicsuffix import organisational_domain
from bdmta.mailauth.results import DkimResult, DmarcResult, Result, SpfResult
from bdmta.mailauth.tags import TagError, parse_tags, unspaced
from bdmta.message import Message
from bdmta.message.addresses import mailboxes

_POLICIES = ("none", "quarantine", "reject")
_MAX_RECORD_OCTETS = 4096
_MAX_AUTHOR_DOMAINS = 5
_MAX_URIS = 5
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\Z")

Roll = Callable[[], float]
"""A number from 0 up to 1, for the letters that `pct=` leaves out."""


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """A published record, with its defaults filled in (§6.3)."""

    policy: str
    subdomain_policy: str
    missing_policy: str
    """`np=` (RFC 9091): for subdomains that do not exist."""
    is_dkim_strict: bool
    is_spf_strict: bool
    percent: int
    aggregate_uris: tuple[str, ...]


@lru_cache(maxsize=2048)
def read_record(octets: bytes) -> DmarcRecord | None:
    """The record in a TXT record, None when it is none of DMARC's (§6.6.3); TagError when it is one, but broken."""
    if not octets.startswith(b"v=DMARC1") or octets[8:9] not in (b"", b";", b" ", b"\t"):
        return None
    if len(octets) > _MAX_RECORD_OCTETS:
        raise TagError("the record is too long")
    tags = parse_tags(octets)
    uris = tuple(uri for uri in map(unspaced, tags.get("rua", "").split(",")) if uri.lower().startswith("mailto:"))
    policy = tags.get("p", "").lower()
    if policy not in _POLICIES:
        if not uris:
            raise TagError("p= is missing or unknown")
        policy = "none"  # §6.6.3: who wants reports has at least that
    subdomain = tags.get("sp", policy).lower()
    subdomain = subdomain if subdomain in _POLICIES else policy
    missing = tags.get("np", subdomain).lower()
    return DmarcRecord(
        policy, subdomain, missing if missing in _POLICIES else subdomain, tags.get("adkim", "r").lower() == "s",
        tags.get("aspf", "r").lower() == "s", _percent(tags.get("pct", "100")), uris[:_MAX_URIS],
    )  # fmt: skip


def _percent(text: str) -> int:
    return min(int(text), 100) if text.isdecimal() and len(text) <= 3 else 100


async def evaluate(
    message: Message, spf: SpfResult, dkim: Sequence[DkimResult], resolver: Resolver, roll: Roll = random.random
) -> DmarcResult:
    """The verdict for the letter's author. With several author domains (rare, and a trick) the severest (§6.6.1)."""
    if resolver.is_off:
        return DmarcResult(result=Result.NONE)
    domains = _author_domains(message)
    if not domains:
        return DmarcResult(result=Result.PERMERROR, reason="From has no domain")
    if len(domains) > _MAX_AUTHOR_DOMAINS:
        return DmarcResult(result=Result.PERMERROR, reason="From has many domains")
    verdicts = [await _evaluate(domain, spf, dkim, resolver, roll) for domain in domains]
    return max(verdicts, key=_severity)


def _severity(verdict: DmarcResult) -> tuple[int, bool]:
    return _POLICIES.index(verdict.disposition), verdict.result is not Result.PASS


def _author_domains(message: Message) -> list[str]:
    """The domains of all authors in all From fields, as ASCII; what is no domain is left out."""
    domains: dict[str, None] = {}
    for header in message.headers:
        if header.name == "from":
            for box in mailboxes(header.value, 20):
                domain = box.domain.lower().rstrip(".")
                if domain and not domain.isascii():
                    try:
                        domain = domain.encode("idna").decode("ascii")
                    except UnicodeError:
                        continue
                if _DOMAIN.match(domain) is not None:
                    domains[domain] = None
    return list(domains)


async def _evaluate(
    domain: str, spf: SpfResult, dkim: Sequence[DkimResult], resolver: Resolver, roll: Roll
) -> DmarcResult:
    try:
        found = await find_record(domain, resolver)
    except TagError as error:
        return DmarcResult(result=Result.PERMERROR, reason=str(error), domain=domain)
    if isinstance(found, TempFail):
        return DmarcResult(
            result=Result.TEMPERROR, reason=f"the record cannot be had now: {found.reason}", domain=domain
        )
    if found is None:
        return DmarcResult(result=Result.NONE, domain=domain)
    record, place = found
    policy = record.policy if place == domain else record.subdomain_policy
    if place != domain and record.missing_policy != policy and await resolver.a(domain) is Missing.NO_SUCH_NAME:
        policy = record.missing_policy
    known = DmarcResult(
        result=Result.PASS, domain=domain, record_domain=place, policy=policy,
        by_dkim=any(r.result is Result.PASS and _aligned(r.domain, domain, record.is_dkim_strict) for r in dkim),
        by_spf=spf.result is Result.PASS and _aligned(spf.domain, domain, record.is_spf_strict),
    )  # fmt: skip
    if known.by_dkim or known.by_spf:
        return known
    if _undecided(domain, spf, dkim, record):
        return replace(known, result=Result.TEMPERROR, reason="SPF or DKIM cannot be had now")
    return replace(known, result=Result.FAIL, disposition=_sampled(policy, record.percent, roll))


def _undecided(domain: str, spf: SpfResult, dkim: Sequence[DkimResult], record: DmarcRecord) -> bool:
    """It may pass another time: a result that would count is a temporary error."""
    return (spf.result is Result.TEMPERROR and _aligned(spf.domain, domain, record.is_spf_strict)) or any(
        r.result is Result.TEMPERROR and (not r.domain or _aligned(r.domain, domain, record.is_dkim_strict))
        for r in dkim
    )


async def find_record(domain: str, resolver: Resolver) -> tuple[DmarcRecord, str] | TempFail | None:
    """The record for `domain` and where it stands: there or at its organisational domain (§6.6.3).

    TagError: it is broken. Two records at one place are none.
    """
    for place in dict.fromkeys((domain, organisational_domain(domain))):
        name = f"_dmarc.{place}"
        answer = resolver.known(name, "TXT") or await resolver.txt(name)
        if isinstance(answer, TempFail):
            return answer
        if isinstance(answer, Answer):
            records = [r for r in map(read_record, answer.records[:20]) if r is not None]
            if len(records) == 1:
                return records[0], place
            if records:
                return None
    return None


def _aligned(signer: str, author: str, is_strict: bool) -> bool:
    """The two are one domain, or with relaxed alignment of one organisation (§3.1)."""
    if signer == author:
        return True
    return not is_strict and bool(signer) and organisational_domain(signer) == organisational_domain(author)


def _sampled(policy: str, percent: int, roll: Roll) -> str:
    """The policy for this letter: one step softer for those that `pct=` leaves out (§6.6.4)."""
    if percent >= 100 or policy == "none" or roll() * 100 < percent:
        return policy
    return "quarantine" if policy == "reject" else "none"
