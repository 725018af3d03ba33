"""MTA-STS: what a receiving domain says of its exchangers and their TLS, by DNS and HTTPS (RFC 8461).

A policy that was fetched holds for its `max_age`, whatever DNS says meanwhile (§5.1: an attacker may silence it).
One that cannot be fetched is none, and is not asked for again for some minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import Any

from bdmta.clock import Clock
from bdmta.dns import Answer, Resolver
from bdmta.policy import State

MAX_POLICY_OCTETS = 65_536  # §3.3 suggests 64 KiB
MAX_AGE_S = 31_557_600
_FETCH_S = 60.0  # §3.3: a minute
_AGAIN_S = 300.0
_CACHED_COUNT = 20_000
_MAX_PATTERNS = 100
_ID = re.compile(rb"v=STSv1\s*;(?:.*;)?\s*id\s*=\s*([A-Za-z0-9]{1,32})\s*;?", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """One domain's policy; `mode` is enforce, testing or none."""

    mode: str
    patterns: tuple[str, ...]
    max_age_s: int
    id: str = ""
    fetched_at: float = 0.0


def parse_policy(text: str) -> StsPolicy | None:
    """The policy in a file (§3.2); None when it is none: unknown fields are passed over, the first of two holds."""
    found: dict[str, str] = {}
    patterns: list[str] = []
    for line in text.splitlines()[:1000]:
        key, colon, value = line.partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "mx" and len(patterns) < _MAX_PATTERNS:
            patterns.append(value.lower().rstrip("."))
        else:
            found.setdefault(key, value)
    if found.get("version") != "STSv1" or found.get("mode") not in ("enforce", "testing", "none"):
        return None
    if not re.fullmatch(r"\d{1,10}", found.get("max_age", "")):
        return None
    if (found["mode"] != "none" and not patterns) or not all(map(_HOST.fullmatch, patterns)):
        return None
    return StsPolicy(found["mode"], tuple(patterns), min(int(found["max_age"]), MAX_AGE_S))


class StsPolicies:
    """The policies of others, asked for when mail for them leaves; kept in `keep` over restarts."""

    def __init__(
        self, resolver: Resolver, clock: Clock, log: Any, *, port: int = 443, ca_file: str = "",
        keep: State | None = None,
    ) -> None:  # fmt: skip
        """`keep`: a `bdmta.policy.State`; its loss means that policies are fetched again."""
        self._resolver = resolver
        self._clock = clock
        self._log = log
        self._port = port
        self._ca_file = ca_file
        self._keep = keep
        self._cache: OrderedDict[str, tuple[float, StsPolicy | None]] = OrderedDict()
        self._flights: dict[str, asyncio.Future[StsPolicy | None]] = {}

    async def exchangers_allowed(self, domain: str) -> tuple[str, ...] | None:
        """The patterns of an enforced policy; None when there is none to obey."""
        policy = await self._policy(domain)
        return policy.patterns if policy is not None and policy.mode == "enforce" else None

    async def _policy(self, domain: str) -> StsPolicy | None:
        known = self._cache.get(domain)
        if known is not None and known[0] > self._clock.time():
            return known[1]
        flight = self._flights.get(domain)
        if flight is None:
            flight = self._flights[domain] = asyncio.ensure_future(self._renewed(domain))
            flight.add_done_callback(lambda _: self._flights.pop(domain, None))
        return await asyncio.shield(flight)

    async def _renewed(self, domain: str) -> StsPolicy | None:
        """The policy that holds now; looked at again after a while."""
        now = self._clock.time()
        old = self._kept(domain, now)
        answer = await self._resolver.txt(f"_mta-sts.{domain}")
        policy = old
        if isinstance(answer, Answer):
            ids = [found[1].decode() for record in answer.records if (found := _ID.fullmatch(record.strip()))]
            if len(ids) == 1 and (old is None or old.id != ids[0]):
                fetched = await self._fetched(domain)
                if fetched is not None:
                    policy = StsPolicy(fetched.mode, fetched.patterns, fetched.max_age_s, ids[0], now)
                    self._put(domain, policy)
        self._cache[domain] = (now + _AGAIN_S, policy)
        while len(self._cache) > _CACHED_COUNT:
            self._cache.popitem(last=False)
        return policy

    def _kept(self, domain: str, now: float) -> StsPolicy | None:
        text = self._keep.get(domain) if self._keep is not None else None
        policy = self._cache.get(domain, (0.0, None))[1]
        if text is not None:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                row = json.loads(text)
                policy = StsPolicy(**{**row, "patterns": tuple(row["patterns"])})
        return policy if policy is not None and now < policy.fetched_at + policy.max_age_s else None

    def _put(self, domain: str, policy: StsPolicy) -> None:
        if self._keep is not None and policy.max_age_s:
            self._keep.put(domain, json.dumps(asdict(policy)), policy.max_age_s)

    async def _fetched(self, domain: str) -> StsPolicy | None:
        """The policy by HTTPS, from a host whose certificate proves its name; None when that fails (the log says)."""
        try:
            async with asyncio.timeout(_FETCH_S):
                return parse_policy(await self._get(f"mta-sts.{domain}"))
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            self._log.warning("MTA-STS policy not fetched", domain=domain, reason=str(error) or type(error).__name__)
            return None

    async def _get(self, host: str) -> str:
        """The body of the well-known file: a 200 of text/plain, no redirect, bounded (§3.3)."""
        address = await self._address(host)
        context = await asyncio.to_thread(ssl.create_default_context, cafile=self._ca_file or None)
        reader, writer = await asyncio.open_connection(
            address, self._port, ssl=context, server_hostname=host, limit=MAX_POLICY_OCTETS
        )
        try:
            request = f"GET /.well-known/mta-sts.txt HTTP/1.0\r\nHost: {host}\r\nAccept: text/plain\r\n\r\n"
            writer.write(request.encode("ascii"))
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, *fields = head.split("\r\n")
            kinds = [field.partition(":")[2].strip() for field in fields if field.lower().startswith("content-type:")]
            if status.split(" ")[1:2] != ["200"] or not kinds or not kinds[0].lower().startswith("text/plain"):
                raise ValueError(f"not a policy: {status[:100]!r}")
            body = b""
            while block := await reader.read(MAX_POLICY_OCTETS):
                body += block
                if len(body) > MAX_POLICY_OCTETS:
                    raise ValueError("the policy is too long")
            return body.decode("utf-8")
        finally:
            writer.close()

    async def _address(self, host: str) -> str:
        for ask in (self._resolver.a, self._resolver.aaaa):
            answer = await ask(host)
            if isinstance(answer, Answer):
                return answer.records[0]
        raise OSError(f"{host} has no address")
