"""The envelope of a letter: who hands it in, from whom, to whom; fixed once DATA begins."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from datetime import datetime

from bdmta.address import Address
from bdmta.chain import Ruling
from bdmta.clock import Clock
from bdmta.policy import Account, Direction
from bdmta.routing import Route

_serial = itertools.count()
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u to misread over the telephone


def new_reference(clock: Clock) -> str:
    """A letter's name in replies, logs and the ledger: sortable by time, unique over all processes of the machine."""
    number = (int(clock.time() * 1000) << 32) | ((os.getpid() & 0x3FFFFF) << 10) | (next(_serial) & 0x3FF)
    out = ""
    while number:
        number, digit = divmod(number, 32)
        out = _ALPHABET[digit] + out
    return out


@dataclass(frozen=True, slots=True)
class Recipient:
    """One accepted RCPT: as given (`address`), as looked up (`key`), where it leads, what was asked of DSNs."""

    address: Address
    key: str
    route: Route
    dsn_notify: tuple[str, ...] = ()
    dsn_orcpt: str = ""


@dataclass(slots=True)
class Earlier:
    """What policies have said before the letter itself was there: marks for it, and whose copy goes to Junk."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    junk: set[str] = field(default_factory=set)
    is_all_junk: bool = False
    junk_by: str = ""

    def add(self, ruling: Ruling) -> None:
        """Keep what a ruling of an earlier stage leaves to be done."""
        self.headers += ruling.headers
        self.junk |= ruling.quarantined
        self.is_all_junk |= ruling.is_all_quarantined
        self.junk_by = self.junk_by or ruling.quarantined_by


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """All that is known of a letter but its octets. `sender` None is the null reverse-path."""

    reference: str
    direction: Direction
    sender: Address | None
    recipients: tuple[Recipient, ...]
    received_at: datetime
    listener: str = ""
    protocol: str = "ESMTP"
    remote_ip: str | None = None
    is_trusted_network: bool = False
    helo: str = ""
    has_tls: bool = False
    account: Account | None = None
    smtputf8: bool = False
    body: str = "7BIT"
    dsn_ret: str = ""
    dsn_envid: str = ""
    earlier: tuple[Earlier, ...] = ()

    @property
    def sender_text(self) -> str:
        """The reverse-path as text; "" for the null one."""
        return "" if self.sender is None else str(self.sender)
