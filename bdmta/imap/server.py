"""What all IMAP sessions of one edge share, and what they need of the rest of the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from bdmta.session.server import Located, SessionServer, SessionSettings
from storage.incoming import Incoming


@dataclass(frozen=True, slots=True)
class Room:
    """A mailbox's quota; a limit of 0 is none."""

    used_octets: int
    used_letters: int
    limit_octets: int
    limit_letters: int


class Mail(Located, Protocol):
    """Where an account's mailbox is, and how full."""

    def room(self, address: str) -> Room:
        """The mailbox's quota. Blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapSettings(SessionSettings):
    """`offset_s`: the zone of INTERNALDATE, BEFORE, ON and SINCE."""

    idle_timeout_s: float = 1860.0
    max_line_octets: int = 65_536
    max_literal_octets: int = 52_428_800
    sessions_per_account: int = 40
    offset_s: int = 7 * 3600


def _nothing_withheld(address: str) -> frozenset[str]:
    return frozenset()


@dataclass(slots=True, kw_only=True)
class ImapServer(SessionServer):
    """The shared objects. `fold` is the rule of the index's text; `withheld`: what an account is not offered."""

    settings: ImapSettings
    mail: Mail
    fold: Callable[[str], str]
    incoming: Callable[[], Incoming]
    alerts: Callable[[str], Iterable[str]] = lambda address: ()
    """The lines that an account is shown at login."""
    withheld: Callable[[str], frozenset[str]] = _nothing_withheld
    accounts: Counter[str] = field(default_factory=Counter)

    def announce(self, text: str, is_for: Callable[[str], bool] = lambda address: True) -> int:
        """Tell every logged-in session whose account is meant, now: `* OK [ALERT] text` (RFC 3501 §7.1); how many."""
        return sum(connection.alert(text) for connection in list(self.live) if is_for(connection.session.account))
