"""Organisational domains by the public suffix list (RFC 7489 §3.2), which comes with its package: nothing is asked."""

from __future__ import annotations

from functools import lru_cache

from publicsuffixlist import PublicSuffixList


@lru_cache(maxsize=1)
def _list() -> PublicSuffixList:
    return PublicSuffixList()


@lru_cache(maxsize=10_000)
def organisational_domain(domain: str) -> str:
    """`binhduong.gov.vn` for `mail.so.binhduong.gov.vn`; a public suffix is its own. Lower case, ASCII."""
    if len(domain) > 253:
        return domain
    found = _list().privatesuffix(domain)
    return found if found else domain


def is_public_suffix(domain: str) -> bool:
    """Nobody's own domain, such as `vn` or `gov.vn`."""
    return len(domain) <= 253 and _list().privatesuffix(domain) is None
