"""A queue of its own for tests: a real spool and real sinks, a clock that moves when told, DNS as one dict."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bdmta.config.schema import Transport
from bdmta.queue.carrier import Carrier
from bdmta.queue.dispatch import Dispatcher
from bdmta.queue.figures import QueueFigures
from bdmta.queue.hops import NextHops
from bdmta.queue.link import LinkSettings
from bdmta.queue.outcome import Outcome, Result
from bdmta.queue.places import Bounds
from bdmta.queue.schedule import Schedule
from bdmta.testing.clock import FakeClock
from bdmta.testing.resolver import FakeResolver
from storage.letter import Letter
from storage.spool import Spool
from storage.spool_entry import QueueEntry, QueueRecipient

SENDER = "minhnv@binhduong.gov.vn"
LETTER = f"Return-Path: <{SENDER}>\r\nFrom: <{SENDER}>\r\nSubject: Test\r\n\r\nXin chào.\r\n".encode()


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def _keep(self, event: str, **more: Any) -> None:
        self.lines.append((event, more))

    info = warning = error = _keep


class LocalStub:
    """Mail for binhduong.gov.vn stays here: the mailbox of this name has room or has none."""

    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.has_room = True

    def is_local(self, domain: str) -> bool:
        return domain == "binhduong.gov.vn"

    async def deliver(self, entry: QueueEntry, recipient: QueueRecipient) -> Outcome:
        if not self.has_room:
            return Outcome(Result.DEFERRED, 0, "4.2.2", "full")
        self.delivered.append(recipient.address)
        return Outcome(Result.SENT, 250, "2.1.5", "delivered")


class AsItIs:
    def sender(self, sender: str, via: str) -> str:
        return sender


class QueueUnderTest:
    """`async with QueueUnderTest(tmp_path, world, sinks' port) as queue:`; `put` letters, `advance` the clock."""

    def __init__(self, folder, world=None, *, port=25, routes=(), schedule=None, bounds=None, seconds=1.0, signer=None,
                 transport=None, sts=None, rewriter=None, ca_file="") -> None:  # fmt: skip
        folder.mkdir(exist_ok=True)
        self.clock = FakeClock()
        self.log = Log()
        self.facts: list[dict[str, Any]] = []
        self.reports: list[tuple[str, str, str]] = []
        self.local = LocalStub()
        self.spool = Spool(str(folder), self.clock)
        self.resolver = FakeResolver(world or {})
        self.executor = ThreadPoolExecutor(4)
        hops = NextHops(
            Transport(port=port, routes=tuple(routes), **(transport or {})), self.resolver, "mail.binhduong.gov.vn",
            sts=sts, chance=random.Random(1),
        )  # fmt: skip
        settings = LinkSettings(
            "mail.binhduong.gov.vn", connect_s=seconds, reply_s=seconds, data_s=seconds, ca_file=ca_file
        )
        self.carrier = Carrier(hops, settings, self.local, rewriter or AsItIs())
        self.schedule = schedule or Schedule()
        self.figures = QueueFigures()
        self.dispatcher = Dispatcher(
            self.spool, self.carrier, lambda entry, due: self._report(entry, due), self, self.clock, self.executor, self.log,
            schedule=self.schedule, bounds=bounds or Bounds(idle_s=0.2), signer=signer, chance=random.Random(1),
            figures=self.figures,
        )  # fmt: skip

    def write(self, facts) -> None:
        self.facts += facts

    async def _report(self, entry, due) -> None:
        self.reports += [(str(report), recipient.address, recipient.state["status"]) for report, recipient in due]

    async def __aenter__(self):
        self.dispatcher.start()
        return self

    async def __aexit__(self, *unused) -> None:
        await self.dispatcher.stop(0.5)
        self.executor.shutdown(wait=False)

    def put(
        self, *addresses: str, octets: bytes = LETTER, sender: str = SENDER, entry_id: str = "", learn=True, **fields
    ) -> QueueEntry:
        recipients = tuple(a if isinstance(a, QueueRecipient) else QueueRecipient(a) for a in addresses)
        entry = QueueEntry(
            entry_id or self.spool.new_id(), sender, recipients, Letter.from_octets([octets]),
            received_at=self.clock.time(), **fields,
        )  # fmt: skip
        self.spool.put_sync(entry)
        if learn:
            self.dispatcher.learn(self.spool.load(entry.id))
        return entry

    async def settle(self) -> None:
        await self.dispatcher.settle()

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.dispatcher.wake()
        await self.settle()

    def state(self, entry: QueueEntry, number: int = 0) -> dict[str, Any]:
        return dict(self.spool.load(entry.id).recipients[number].state)

    def ids(self) -> list[str]:
        return self.spool.list()

    def events(self) -> list[tuple[str, str]]:
        return [(fact["event"], fact["recipient"]) for fact in self.facts]
