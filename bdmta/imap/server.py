"""What all IMAP sessions of one edge share, and what they need of the rest of the server."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol

from bdmta.auth import Failure, Login
from bdmta.clock import Clock
from storage.box import Mailboxes
from storage.incoming import Incoming

SWEEP_S = 0.5
SLOW_SWEEPS = 60  # each so many, folders with inotify are looked at too: the kernel may have dropped its word


class Authenticator(Protocol):
    """Who checks logins, with its waits after wrong ones."""

    async def login(self, user: str, password: str, remote_ip: str, protocol: str) -> Login | Failure:
        """The account, or why not."""


class Sessions(Protocol):
    """Sessions of an address, over all edges."""

    def enter(self, network: str) -> int:
        """Count one more; how many there are now."""

    def leave(self, network: str) -> None:
        """Count one less."""


class Facts(Protocol):
    """Where facts for the ledger go."""

    def write(self, facts: Sequence[Mapping[str, Any]]) -> None:
        """Append them."""


@dataclass(frozen=True, slots=True)
class Room:
    """A mailbox's quota; a limit of 0 is none."""

    used_octets: int
    used_letters: int
    limit_octets: int
    limit_letters: int


class Mail(Protocol):
    """Where an account's mailbox is."""

    def locate(self, address: str) -> tuple[str, str]:
        """The Maildir's folder and the index's file. Memory."""

    def room(self, address: str) -> Room:
        """The mailbox's quota. Blocks."""


@dataclass(frozen=True, slots=True)
class ImapSettings:
    """Bounds and names, in the configuration's units. `offset_s`: the zone of INTERNALDATE, BEFORE, ON and SINCE."""

    hostname: str
    idle_timeout_s: float = 1860.0
    login_timeout_s: float = 60.0
    max_line_octets: int = 65_536
    max_literal_octets: int = 52_428_800
    sessions_per_address: int = 100
    sessions_per_account: int = 40
    max_sessions: int = 5000
    max_failures: int = 5
    offset_s: int = 7 * 3600
    admits: Callable[[str], bool] = lambda remote_ip: True
    trusts: Callable[[str], bool] = lambda remote_ip: False
    """Exempt from the bounds on sessions."""
    plaintext_login: bool = False
    """Passwords are taken before TLS: for measuring on a loopback, never for people."""


def _nothing_withheld(address: str) -> frozenset[str]:
    return frozenset()


@dataclass(slots=True)
class ImapServer:
    """The shared objects. `fold` is the rule of the index's text; `withheld`: what an account is not offered."""

    settings: ImapSettings
    authenticator: Authenticator
    mailboxes: Mailboxes
    mail: Mail
    sessions: Sessions
    facts: Facts
    clock: Clock
    executor: Executor
    log: Any
    fold: Callable[[str], str]
    incoming: Callable[[], Incoming]
    tls: ssl.SSLContext | None = None
    alerts: Callable[[str], Iterable[str]] = lambda address: ()
    """The lines that an account is shown at login."""
    withheld: Callable[[str], frozenset[str]] = _nothing_withheld
    live: set[Any] = field(default_factory=set)
    accounts: Counter[str] = field(default_factory=Counter)
    draining: bool = False
    _sweeper: asyncio.TimerHandle | None = None
    _sweeps: int = 0

    def announce(self, text: str, is_for: Callable[[str], bool] = lambda address: True) -> int:
        """Tell every logged-in session whose account is meant, now: `* OK [ALERT] text` (RFC 3501 §7.1); how many."""
        return sum(protocol.alert(text) for protocol in list(self.live) if is_for(protocol.session.account))

    def entered(self, protocol: Any) -> None:
        """A connection came."""
        self.live.add(protocol)
        if self._sweeper is None:
            self._sweep()

    def left(self, protocol: Any) -> None:
        """A connection ended."""
        self.live.discard(protocol)
        if not self.live and self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    async def drain(self, grace_s: float) -> None:
        """No new sessions; those that wait end now, those at work behind their command, the rest when time is up."""
        loop = asyncio.get_running_loop()
        self.draining = True
        for protocol in list(self.live):
            protocol.shut_down()
        end_at = loop.time() + grace_s
        while self.live and loop.time() < end_at:  # noqa: ASYNC110 - once in a process's life
            await asyncio.sleep(0.02)
        for protocol in list(self.live):
            protocol.abort()
        await asyncio.sleep(0)

    def _sweep(self) -> None:
        """One timer for all sessions: an idle one costs none of its own."""
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(SWEEP_S, self._sweep)
        self._sweeps += 1
        now = loop.time()
        is_slow = self._sweeps % SLOW_SWEEPS == 0
        for protocol in list(self.live):
            if protocol.deadline < now:
                protocol.timed_out()
            else:
                protocol.tick(now, is_slow=is_slow)
