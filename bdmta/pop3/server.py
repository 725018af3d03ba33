"""What all POP3 sessions of one edge share, and what they need of the rest of the server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol

from bdmta.auth import Failure, Login
from bdmta.clock import Clock
from storage.box import Mailboxes

SWEEP_S = 0.5


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


class Mail(Protocol):
    """Where an account's mailbox is."""

    def locate(self, address: str) -> tuple[str, str]:
        """The Maildir's folder and the index's file. Memory."""


@dataclass(frozen=True, slots=True)
class Pop3Settings:
    """Bounds and names, in the configuration's units."""

    hostname: str
    idle_timeout_s: float = 600.0  # RFC 1939 §3: at least ten minutes
    login_timeout_s: float = 60.0
    sessions_per_address: int = 100
    max_sessions: int = 5000
    max_failures: int = 5
    max_errors: int = 50
    admits: Callable[[str], bool] = lambda remote_ip: True
    trusts: Callable[[str], bool] = lambda remote_ip: False
    plaintext_login: bool = False
    """Passwords are taken before TLS: for measuring on a loopback, never for people."""


@dataclass(slots=True)
class Pop3Server:
    """The shared objects."""

    settings: Pop3Settings
    authenticator: Authenticator
    mailboxes: Mailboxes
    mail: Mail
    sessions: Sessions
    facts: Facts
    clock: Clock
    executor: Executor
    log: Any
    tls: ssl.SSLContext | None = None
    live: set[Any] = field(default_factory=set)
    draining: bool = False
    _sweeper: asyncio.TimerHandle | None = None

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
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(SWEEP_S, self._sweep)
        now = loop.time()
        for protocol in list(self.live):
            if protocol.deadline < now:
                protocol.timed_out()
