"""What was found out about a letter's origin: plain values, which policies see as `facts.auth`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Result(StrEnum):
    """The words of RFC 8601 §2.7."""

    NONE = "none"
    PASS = "pass"  # noqa: S105 - a result
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    POLICY = "policy"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True, kw_only=True)
class DkimResult:
    """One signature. Only `pass` means that `domain` signed what the reader sees; the domain is in lower case."""

    result: Result
    reason: str = ""
    domain: str = ""
    selector: str = ""
    algorithm: str = ""
    identity: str = ""
    signature: str = ""
    """The first characters of `b=`, which tell several signatures apart (RFC 6008)."""
    is_testing: bool = False
    """The key says `t=y`: the signer is trying things out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpfResult:
    """Whether the client's address may send for `domain`, which is that of MAIL FROM or else of HELO."""

    result: Result
    reason: str = ""
    domain: str = ""
    identity: str = "mailfrom"


@dataclass(frozen=True, slots=True, kw_only=True)
class DmarcResult:
    """Whether SPF or DKIM passed for the domain in From, and what its owner asks for when neither did."""

    result: Result
    reason: str = ""
    domain: str = ""
    """The domain in From, in lower case; "" when there is none or several."""
    record_domain: str = ""
    """Where the record was found: `domain` or its organisational domain."""
    policy: str = ""
    """`none`, `quarantine`, `reject`: what the record asks for this domain; "" without a record."""
    disposition: str = "none"
    """What to do with this letter: `policy`, softened for the letters that `pct=` leaves out, when it failed; else
    `none`.
    """
    by_dkim: bool = False
    """A signature that passes is aligned with From."""
    by_spf: bool = False
    """SPF passes for a domain aligned with From."""


_NO_SPF = SpfResult(result=Result.NONE)
_NO_DMARC = DmarcResult(result=Result.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthResults:
    """All of it for one letter. With no server to ask everything is `none`."""

    spf: SpfResult = _NO_SPF
    dkim: tuple[DkimResult, ...] = ()
    dmarc: DmarcResult = _NO_DMARC


def as_detail(auth: AuthResults, applied: str) -> dict[str, Any]:
    """What the ledger keeps of it, for DMARC reports: domains and results. `applied`: what DMARC did to the letter."""
    dmarc = auth.dmarc
    return {
        "from": dmarc.domain, "record": dmarc.record_domain, "dmarc": str(dmarc.result), "applied": applied,
        "asked": dmarc.disposition, "by_dkim": dmarc.by_dkim, "by_spf": dmarc.by_spf,
        "spf": [str(auth.spf.result), auth.spf.domain, auth.spf.identity],
        "dkim": [[str(one.result), one.domain, one.selector] for one in auth.dkim],
    }  # fmt: skip


NOTHING_KNOWN = AuthResults()
"""What is said when nobody is asked."""
