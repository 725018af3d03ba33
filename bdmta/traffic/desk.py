"""What a reader's program remembers of one mailbox between sessions, and what is noted of the letters it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bdmta.traffic.latency import Meter
from bdmta.traffic.ledger import Entry, Ledger, State, body_of, digest
from bdmta.traffic.letter import Expect, id_line
from bdmta.traffic.look import Copy, Reader
from bdmta.traffic.population import Account
from bdmta.traffic.verdict import Fault

_OWN_NUMBERS_FROM = 1_000_000_000
_FAULTS_KEPT = 1000


@dataclass
class Notes:
    """What all readers of a run share: the digests of what was sent, the moment of each 250, faults seen in reading."""

    ledger: Ledger
    meter: Meter
    monotonic: Callable[[], float]
    time: Callable[[], float]
    sent: dict[int, tuple[str, bool]] = field(default_factory=dict)
    """Digest of each letter on its way or answered, and whether it may be rewritten."""
    answered: dict[int, float] = field(default_factory=dict)
    """When its 250 came, monotonic."""
    faults: list[Fault] = field(default_factory=list)
    read_count: int = 0
    own_count: int = 0
    errors: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reader = Reader(self.ledger.label)

    def read(self, octets: bytes, account: Account, by: str) -> int | None:
        """A letter was read whole: compare it with what was sent. Its number, None for letters of others."""
        copy: Copy | None = self.reader.copy(octets, account.address, by, 0.0)
        if copy is None or copy.number >= _OWN_NUMBERS_FROM:
            return None
        self.read_count += 1
        sent, may_change = self.sent.get(copy.number, ("", True))
        if sent and not may_change and copy.digest != sent and len(self.faults) < _FAULTS_KEPT:
            self.faults.append(Fault("corrupted", copy.number, account.address, f"as {by} read it"))
        return copy.number

    def seen(self, head: bytes, by: str) -> None:
        """A header was told of by itself: how long after the 250."""
        number = self.reader.number(head)
        if number is not None and number in self.answered:
            self.meter.add(by, max(0.0, self.monotonic() - self.answered[number]))

    def failed(self, what: str) -> None:
        """A session ended otherwise than it should; counted by what was said."""
        if len(self.errors) < _FAULTS_KEPT:
            self.errors[what] = self.errors.get(what, 0) + 1

    def own(self, account: Account, folder: str, text: bytes) -> tuple[Entry, bytes]:
        """A letter that a program files itself (APPEND): an entry, doubtful until `kept`, and the octets."""
        self.own_count += 1
        number = _OWN_NUMBERS_FROM + self.own_count
        octets = id_line(self.ledger.label, number) + text
        now = self.time()
        entry = Entry(
            number=number, kind="append", expect=Expect.ACCEPT, what=folder, digest=digest(octets),
            body_digest=digest(body_of(octets)), octets=len(octets), due_at=now, answered_at=now, code=0, reply="",
            states={account.address: State.DOUBTFUL}, folders=(folder,),
        )  # fmt: skip
        self.ledger.entries[number] = entry
        return entry, octets

    def kept(self, entry: Entry) -> None:
        """APPEND was answered OK: it must be there."""
        entry.states = dict.fromkeys(entry.states, State.ACCEPTED)
        entry.answered_at = self.time()
        self.ledger.add(entry)


@dataclass
class Desk:
    """One account at one program."""

    account: Account
    next_uid: int = 1
    known_ids: set[bytes] = field(default_factory=set)
    folders: tuple[str, ...] = ()
