"""What strangers' octets pass through, each step watched: no exception, no more than two seconds of CPU."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bdmta.address import parse_address
from bdmta.chain import Chain, load_chain
from bdmta.clock import SystemClock
from bdmta.edits import finish, refuse_foreign_author
from bdmta.envelope import Envelope, Recipient
from bdmta.examine import codec
from bdmta.examine.bounds import Bounds
from bdmta.examine.errors import NeedsWorker
from bdmta.examine.pool import ExaminerPool
from bdmta.examine.walk import take_inventory
from bdmta.examine.wording import texts
from bdmta.log import configure
from bdmta.message import scan
from bdmta.message.addresses import mailboxes
from bdmta.message.write import field
from bdmta.policy import Account, Direction, Facts, Services, Stage
from bdmta.routing import Route
from bdmta.smtp.data import DataReader
from bdmta.testing.policy import InlineExaminer, MemoryState

MOST_S = 2.0
_POLICIES = Path(__file__).parents[2] / "conf/policies.toml"
_WORKER_BOUNDS = Bounds(seconds=1.5)
_ME, _TO = "ngocttb@binhduong.gov.vn", "sonv@binhduong.gov.vn"


class Hang(BaseException):
    """Two seconds of CPU are over; no `except Exception` on the way hides it."""


def _over(*unused: object) -> None:
    raise Hang(f"more than {MOST_S} s of CPU")


class Targets:
    """Asked of every letter: `check` raises whatever goes wrong."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._pool = ExaminerPool(bounds=_WORKER_BOUNDS)
        self._runner = asyncio.Runner()
        self._inline = self._chain(InlineExaminer())
        self._beside = self._chain(self._pool)
        self.checks: dict[str, Callable[[bytes], None]] = {
            "DATA": self.data, "scan": self.scan, "fields": self.fields, "inventory": self.inventory,
            "words": self.words, "policies": self.policies, "workers": self.workers,
        }  # fmt: skip
        signal.signal(signal.SIGVTALRM, _over)
        self._runner.run(self._pool.start())

    def close(self) -> None:
        """End the workers."""
        self._runner.run(self._pool.close())
        self._runner.close()

    def check(self, name: str, octets: bytes) -> None:
        """One check under the clock."""
        signal.setitimer(signal.ITIMER_VIRTUAL, MOST_S)
        try:
            self.checks[name](octets)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _chain(self, examiner: Any) -> Chain:
        log = configure("critical", "console")

        def services(name: str) -> Services:
            return Services(clock=self._clock, examiner=examiner, state=MemoryState(self._clock), log=log)

        return load_chain(_POLICIES, services, log)

    def data(self, octets: bytes) -> None:
        """However it is cut, what is read is the same, without bare line ends, and ends where it ends."""
        stuffed = octets.replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n"
        for normalise in (False, True):
            readings = []
            for step in (len(stuffed), 1 + len(octets) % 71):
                reader = DataReader(50_000_000, 100_000, normalise=normalise)
                taken = b"".join(
                    reader.feed(stuffed[at : at + step]) for at in range(0, len(stuffed), step) if not reader.ended
                )
                assert reader.ended
                if reader.flaw is None:
                    assert b"\n" not in taken.replace(b"\r\n", b"")
                readings.append(None if reader.flaw else taken)  # of several flaws either may be told
            assert readings[0] == readings[1], readings

    def scan(self, octets: bytes) -> None:
        """The structure, every header, every part; spans lie within the letter."""
        message = scan(octets)
        for part in message.walk():
            assert 0 <= part.start <= part.end <= len(octets)
            part.decoded(1 << 20)
            str(part.names), part.charset, part.disposition, part.transfer_encoding
            for header in part.headers:
                assert isinstance(header.text, str)
                mailboxes(header.value)

    def fields(self, octets: bytes) -> None:
        """What we write of a stranger's words is lines of one field, or refused by ValueError."""
        for header in scan(octets).headers:
            for name in ("subject", "from", "x-bdmta-warning"):
                try:
                    written = field(name, header.text)
                except ValueError:
                    continue
                lines = written.split(b"\r\n")
                assert lines[-1] == b""
                assert all(line.startswith((b" ", b"\t")) for line in lines[1:-1]), written
                assert b"\n" not in written.replace(b"\r\n", b"") and b"\r" not in written.replace(b"\r\n", b"")
                assert max(map(len, lines)) <= 998
                (back,) = scan(written + b"\r\n").headers
                assert back.name == name

    def inventory(self, octets: bytes) -> None:
        """As an edge takes it and as a worker does."""
        inventory = take_inventory(scan(octets), _WORKER_BOUNDS)
        assert codec.decode(codec.encode(inventory)) == inventory
        try:
            assert take_inventory(scan(octets), is_edge=True).items == inventory.items
        except NeedsWorker:
            pass

    def words(self, octets: bytes) -> None:
        """Of the letter's documents."""
        texts(octets, _WORKER_BOUNDS)

    def policies(self, octets: bytes) -> None:
        """The default chain in both directions, and the letter as it would be kept."""
        self._runner.run(self._ruled(octets, self._inline))

    def workers(self, octets: bytes) -> None:
        """The same with real workers; one that dies is a failure."""
        self._runner.run(self._ruled(octets, self._beside))

    async def _ruled(self, octets: bytes, chain: Chain) -> None:
        began = time.process_time()
        for direction in (Direction.INBOUND, Direction.SUBMISSION):
            message = scan(octets)
            facts = _facts(direction, message, len(octets))
            ruling = await chain.rule(Stage.DATA, facts)
            failed = [(step.step, step.error) for step in ruling.steps if step.error]
            assert not failed, failed
            refuse_foreign_author(facts.account, message)
            reply = ruling.reply()
            if reply is not None:
                told = reply.encode()
                assert told.endswith(b"\r\n") and len(told) <= 4096
                assert all(
                    re.fullmatch(rb"[245]\d\d[ -][\x20-\x7e]{0,506}", line) for line in told.split(b"\r\n")[:-1]
                ), told
                continue
            final = finish(_envelope(facts), ruling, message, hostname="mail.binhduong.gov.vn", offset_s=25200)
            kept = scan(b"".join(final.pieces()))
            if direction is Direction.SUBMISSION:
                assert not kept.all("bcc")
        assert time.process_time() - began < MOST_S


def _facts(direction: Direction, message: Any, size: int) -> Facts:
    account = None
    if direction is Direction.SUBMISSION:
        account = Account(address=_ME, kind="person", agency=None, may_send_as=frozenset({_ME}))
    return Facts(
        direction=direction, received_at=datetime(2026, 1, 5, 1, 0, tzinfo=UTC), reference="fuzz", listener="fuzz",
        remote_ip="192.0.2.1", helo="fuzz", account=account, mail_from="a@dian.example", rcpt_to=(_TO,), size=size,
        message=message, local_domains=frozenset({"binhduong.gov.vn"}), smtputf8=None,
    )  # fmt: skip


def _envelope(facts: Facts) -> Envelope:
    to = parse_address(_TO)
    return Envelope(
        reference="fuzz", direction=facts.direction, sender=parse_address("a@dian.example"),
        recipients=(Recipient(to, to.key, Route()),), received_at=facts.received_at, listener="fuzz",
        remote_ip=facts.remote_ip, helo="fuzz", account=facts.account, has_tls=True,
    )  # fmt: skip
