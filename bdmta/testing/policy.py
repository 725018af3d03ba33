"""PolicyContext: ask one policy in a test, with nothing around it but a clock, a state and a real examiner.

with PolicyContext(Greylist, delay_s=60) as p:
    p.clock.advance(61)
    assert await p.rcpt("minhnv@binhduong.gov.vn", sender="a@example.org") == Defer(...)
"""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from typing import Any

import structlog

from bdmta.clock import Clock
from bdmta.examine.inventory import Inventory
from bdmta.message import Message, scan
from bdmta.policy import Direction, Facts, Policy, Services, Stage, Verdict
from bdmta.testing.clock import FakeClock


class MemoryState:
    """A policy's state, kept in a dictionary and forgotten by the clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[str, float]] = {}

    def get(self, key: str) -> str | None:
        """The value, or None when it is unknown or too old."""
        value, until = self._kept.get(key, ("", 0.0))
        return value if until > self._clock.time() else None

    def put(self, key: str, value: str, ttl_s: int) -> None:
        """Remember `value` for `ttl_s` seconds."""
        self._kept[key] = (value, self._clock.time() + ttl_s)


class InlineExaminer:
    """The examiner's own code, run in the test's process."""

    async def inventory(self, message: Message) -> Inventory:
        """Every file in the letter."""
        take = importlib.import_module("bdmta.examine.walk").take_inventory
        inventory: Inventory = take(message)
        return inventory

    async def texts(self, message: Message) -> tuple[tuple[str, str], ...]:
        """The words of every attached document."""
        read = importlib.import_module("bdmta.examine.wording").texts
        found: tuple[tuple[str, str], ...] = tuple(read(message.octets))
        return found


class PolicyContext:
    """One policy of `module` (or of an import path), built with `options`; closes nothing, so `with` is optional."""

    def __init__(self, module: Any, examiner: Any = None, **options: Any) -> None:
        module = importlib.import_module(module) if isinstance(module, str) else module
        self.clock = FakeClock()
        self.state = MemoryState(self.clock)
        self.services = Services(
            clock=self.clock,
            examiner=examiner or InlineExaminer(),
            state=self.state,
            log=structlog.get_logger(),
        )
        self.policy: Policy = module.Policy(module.Config(**options), self.services)

    def __enter__(self) -> PolicyContext:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def facts(self, **known: Any) -> Facts:
        """Facts of an inbound letter, changed by `known`."""
        given: dict[str, Any] = {
            "direction": Direction.INBOUND,
            "received_at": datetime(2026, 1, 5, 1, 0, tzinfo=UTC),
            "reference": "test",
            "mail_from": "someone@example.org",
            "rcpt_to": ("minhnv@binhduong.gov.vn",),
            "local_domains": frozenset({"binhduong.gov.vn"}),
        }
        return Facts(**(given | known))

    async def data(self, octets: bytes, **known: Any) -> Verdict:
        """The verdict at the end of DATA on the letter `octets`."""
        message = scan(octets)
        return await self.policy.decide(Stage.DATA, self.facts(message=message, size=len(octets), **known))

    async def rcpt(self, recipient: str, **known: Any) -> Verdict:
        """The verdict on one recipient."""
        return await self.policy.decide(Stage.RCPT, self.facts(recipient=recipient, **known))

    async def mail(self, sender: str, **known: Any) -> Verdict:
        """The verdict on the reverse-path."""
        return await self.policy.decide(Stage.MAIL, self.facts(mail_from=sender, **known))
