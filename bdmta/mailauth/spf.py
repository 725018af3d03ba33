"""Check SPF (RFC 7208) by pyspf, which asks nobody itself: what it wants to know and we do not, we ask and begin anew.

So there is no thread that waits for a name server, no module-wide hook to replace, and a domain whose records are
cached is checked in one go without leaving the loop. The limits of §4.6.4 are pyspf's; the size of records, the number
of questions and the processor time are bounded here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from concurrent.futures import Executor
from typing import Any

import spf as pyspf

from bdmta.dns import Answer, Mx, Outcome, Resolver, TempFail
from bdmta.mailauth.results import Result, SpfResult

_MAX_RECORD_OCTETS = 4096
_MAX_MACRO_CHARACTERS = 512  # pyspf looks for bad macros once a label, over the whole term
_MAX_QUESTIONS = 150  # ten terms of ten names each (§4.6.4), their records, and some room
_MAX_ROUNDS = 60
_INLINE_CPU_S = 0.01
_MULTI_LABEL = re.compile(r"(?=.{3,253}\Z)[^.\s\[\]:@/]{1,63}(?:\.[^.\s\[\]:@/]{1,63})+\Z")

Memo = dict[tuple[str, str], Outcome[Any]]


class _Unasked(Exception):
    """Something must be asked first."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(name, kind)
        self.question = (name, kind)


class _Check(pyspf.query):  # type: ignore[misc]
    """One run of pyspf over what is known."""

    def __init__(self, ip: str, sender: str, helo: str, memo: Memo) -> None:
        super().__init__(i=ip, s=sender, h=helo, strict=True)
        self._memo = memo

    def dns(self, name: str, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:
        """What is known of this question; `_Unasked` when nothing is."""
        name = str(name).rstrip(".").lower()
        if not all(0 < len(label) < 64 for label in name.split(".")):
            return []
        found = self._memo.get((name, qtype))
        if found is None:
            raise _Unasked(name, qtype)
        if isinstance(found, TempFail):
            raise pyspf.TempError(f"DNS {found.reason}")
        if isinstance(found, Answer):
            return [_as_pyspf(record) for record in found.records]
        if not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > pyspf.MAX_VOID_LOOKUPS:
                raise pyspf.PermError("too many lookups that find nothing")
        return []

    def dns_spf(self, domain: str) -> str | None:
        """The domain's record; one that is longer than any honest one is an error."""
        record: str | None = super().dns_spf(domain)
        if record is not None and len(record) > _MAX_RECORD_OCTETS:
            raise pyspf.PermError("the record is too long")
        return record

    def validated_ptrs(self) -> list[str]:
        """Names of the client that lead back to it; a server that fails is no match, no error (§5.5)."""
        names = []
        try:
            ptrs = self.dns_ptr(self.i)[: pyspf.MAX_PTR]
        except pyspf.TempError:
            return []
        for name in ptrs:
            try:
                if self.cidrmatch(self.dns_a(name, self.A), self.cidrmax):
                    names.append(name)
            except pyspf.TempError:
                continue
        return names

    def expand(self, s: str, stripdot: bool = True) -> str:
        """Macros expanded, in terms of sane length."""
        if "%" in s and len(s) > _MAX_MACRO_CHARACTERS:
            raise pyspf.PermError("the term is too long")
        expanded: str = super().expand(s, stripdot)
        return expanded

    def get_explanation(self, spec: str) -> None:
        """Never fetched: what a stranger has to say about itself is told to nobody."""


def _as_pyspf(record: Any) -> Any:
    if isinstance(record, Mx):
        return record.preference, record.host
    return (record,) if isinstance(record, bytes) else record


async def check(resolver: Resolver, ip: str, sender: str, helo: str, executor: Executor | None = None) -> SpfResult:
    """May `ip` send for `sender` (an address; "" for the null reverse-path: then HELO is asked about)? Never raises.

    The caller bounds the time; each question has the resolver's own bound.
    """
    identity, domain = ("mailfrom", sender.rpartition("@")[2]) if sender else ("helo", helo)
    domain = domain.lower().rstrip(".")
    if resolver.is_off:
        return SpfResult(result=Result.NONE, domain=domain, identity=identity)
    if _MULTI_LABEL.match(domain) is None or not _is_address(ip):  # §4.3
        return SpfResult(result=Result.NONE, reason="no domain to ask about", identity=identity)
    if not sender:
        sender = f"postmaster@{domain}"
    local = sender.rpartition("@")[0].replace("@", ".")  # pyspf would part a quoted local part at its first @
    result, reason = await _rounds(resolver, ip, f"{local}@{domain}", helo, executor)
    return SpfResult(result=result, reason=reason, domain=domain, identity=identity)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


async def _rounds(resolver: Resolver, ip: str, sender: str, helo: str, executor: Executor | None) -> tuple[Result, str]:
    memo = _Known(resolver)
    spent_s = 0.0
    for _ in range(_MAX_ROUNDS):
        begun = time.thread_time()
        if spent_s < _INLINE_CPU_S:
            found = _run(ip, sender, helo, memo)
            spent_s += time.thread_time() - begun
        else:  # a record made to be slow is nobody else's concern
            found = await asyncio.get_running_loop().run_in_executor(executor, _run, ip, sender, helo, memo)
        if not isinstance(found, _Unasked):
            return found
        if len(memo) > _MAX_QUESTIONS:
            return Result.PERMERROR, "too many lookups"
        await _ask(resolver, memo, *found.question, ":" in ip)
    return Result.PERMERROR, "too many lookups"


class _Known(Memo):
    """What this check has learned, and what the resolver's cache holds; one answer a question for the whole check."""

    def __init__(self, resolver: Resolver) -> None:
        super().__init__()
        self._resolver = resolver

    def get(self, key: tuple[str, str], default: Any = None) -> Any:
        """The outcome of a question, or None."""
        found = super().get(key)
        if found is None and (found := self._resolver.known(*key)) is not None:
            self[key] = found
        return found


def _run(ip: str, sender: str, helo: str, memo: Memo) -> tuple[Result, str] | _Unasked:
    try:
        result, _, said = _Check(ip, sender, helo, memo).check()
        return Result(result), said if result in ("permerror", "temperror") else ""
    except _Unasked as unasked:
        return unasked
    except pyspf.PermError as error:
        return Result.PERMERROR, str(error)
    except Exception as error:  # pyspf asserts, and trips over odd text; a stranger's record is to blame
        return Result.PERMERROR, type(error).__name__


async def _ask(resolver: Resolver, memo: Memo, name: str, kind: str, is_ipv6: bool) -> None:
    """Ask one question; the addresses of MX and PTR names at once, since they are asked for next."""
    outcome = memo[name, kind] = await resolver.lookup(name, kind)
    if kind not in ("MX", "PTR") or not isinstance(outcome, Answer):
        return
    hosts = [record.host if isinstance(record, Mx) else str(record) for record in outcome.records[:10]]
    family = "AAAA" if is_ipv6 else "A"
    keys = [(host.rstrip(".").lower(), family) for host in hosts if host]
    wanted = [key for key in dict.fromkeys(keys) if memo.get(key) is None]
    for key, found in zip(wanted, await asyncio.gather(*(resolver.lookup(*key) for key in wanted)), strict=True):
        memo[key] = found
