"""All of a letter's origin in one call: SPF, DKIM and DMARC, under one bound on the time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TypeVar

from bdmta.clock import Clock
from bdmta.dns import Resolver
from bdmta.envelope import Envelope
from bdmta.mailauth import dkim, dmarc, spf
from bdmta.mailauth.publicsuffix import is_public_suffix
from bdmta.mailauth.results import (
    NOTHING_KNOWN,
    AuthResults,
    DkimResult,
    DmarcResult,
    Result,
    SpfResult,
)
from bdmta.message import Message
from bdmta.policy import Direction

T = TypeVar("T")
TOTAL_S = 15.0


class MailAuth:
    """One an edge. `check` never raises for what a letter or a server says."""

    def __init__(
        self, resolver: Resolver, clock: Clock, executor: Executor | None = None, *,
        exempt: Callable[[str], bool] = lambda _: False, total_s: float = TOTAL_S, roll: dmarc.Roll = random.random,
    ) -> None:  # fmt: skip
        """`exempt`: clients who may relay; what they hand in has been checked where it came in, or is their own."""
        self._resolver = resolver
        self._clock = clock
        self._executor = executor
        self._exempt = exempt
        self._total_s = total_s
        self._roll = roll
        if not resolver.is_off:
            is_public_suffix("vn")  # reading the list takes a while, which no letter should wait for

    async def check(self, envelope: Envelope, message: Message, skip_octets: int) -> AuthResults | None:
        """What is known of the letter's origin; None when it is not asked (submission, our own, a relay's).

        `skip_octets`: the trace fields that we have put on top. Without a server everything is `none` at once.
        """
        ip = envelope.remote_ip
        if envelope.direction is not Direction.INBOUND or (ip is not None and self._exempt(ip)):
            return None
        if self._resolver.is_off:
            return NOTHING_KNOWN
        if any(header.name == "dkim-signature" for header in message.headers):
            found, signatures = await asyncio.gather(self._spf(envelope), self._dkim(message, skip_octets))
        else:
            found, signatures = await self._spf(envelope), ()
        late = DmarcResult(result=Result.TEMPERROR, reason="no answer in time")
        verdict = await self._bounded(dmarc.evaluate(message, found, signatures, self._resolver, self._roll), late)
        if ip is None and verdict.result is Result.FAIL:  # half of the evidence is missing
            verdict = DmarcResult(result=Result.NONE, reason="the client is not known", domain=verdict.domain)
        return AuthResults(spf=found, dkim=signatures, dmarc=verdict)

    async def _spf(self, envelope: Envelope) -> SpfResult:
        if envelope.remote_ip is None:
            return SpfResult(result=Result.NONE)
        late = SpfResult(
            result=Result.TEMPERROR, reason="no answer in time",
            domain=envelope.sender.domain if envelope.sender is not None else envelope.helo.lower(),
        )  # fmt: skip
        return await self._bounded(
            spf.check(self._resolver, envelope.remote_ip, envelope.sender_text, envelope.helo, self._executor), late
        )

    async def _dkim(self, message: Message, skip_octets: int) -> tuple[DkimResult, ...]:
        late = (DkimResult(result=Result.TEMPERROR, reason="no answer in time"),)
        return await self._bounded(
            dkim.verify(message, self._resolver, self._clock.time(), self._executor, skip_octets=skip_octets), late
        )

    async def _bounded(self, work: Awaitable[T], late: T) -> T:
        try:
            async with asyncio.timeout(self._total_s):
                return await work
        except TimeoutError:
            return late
