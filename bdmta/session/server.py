"""What all sessions of one protocol and edge share, and what they need of the rest of the server."""

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


class Located(Protocol):
    """Where an account's mailbox is."""

    def locate(self, address: str) -> tuple[str, str]:
        """The Maildir's folder and the index's file. Memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """Bounds and names, in the configuration's units. Who is trusted is exempt from the bounds on sessions."""

    hostname: str
    idle_timeout_s: float
    login_timeout_s: float = 60.0
    sessions_per_address: int = 100
    max_sessions: int = 5000
    max_failures: int = 5
    admits: Callable[[str], bool] = lambda remote_ip: True
    trusts: Callable[[str], bool] = lambda remote_ip: False
    plaintext_login: bool = False
    """Passwords are taken before TLS: for measuring on a loopback, never for people."""


@dataclass(slots=True, kw_only=True)
class SessionServer:
    """The shared objects, and the connections there are."""

    settings: SessionSettings
    authenticator: Authenticator
    mailboxes: Mailboxes
    mail: Located
    sessions: Sessions
    facts: Facts
    clock: Clock
    executor: Executor
    log: Any
    tls: ssl.SSLContext | None = None
    live: set[Any] = field(default_factory=set)
    draining: bool = False
    _sweeper: asyncio.TimerHandle | None = None
    _sweeps: int = 0

    def entered(self, connection: Any) -> None:
        """A connection came."""
        self.live.add(connection)
        if self._sweeper is None:
            self._sweep()

    def left(self, connection: Any) -> None:
        """A connection ended."""
        self.live.discard(connection)
        if not self.live and self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    async def drain(self, grace_s: float) -> None:
        """No new sessions; those that wait end now, those at work behind their command, the rest when time is up."""
        loop = asyncio.get_running_loop()
        self.draining = True
        for connection in list(self.live):
            connection.shut_down()
        end_at = loop.time() + grace_s
        while self.live and loop.time() < end_at:  # noqa: ASYNC110 - once in a process's life
            await asyncio.sleep(0.02)
        for connection in list(self.live):
            connection.abort()
        await asyncio.sleep(0)

    def _sweep(self) -> None:
        """One timer for all sessions: an idle one costs none of its own."""
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(SWEEP_S, self._sweep)
        self._sweeps += 1
        now = loop.time()
        is_slow = self._sweeps % SLOW_SWEEPS == 0
        for connection in list(self.live):
            if connection.deadline < now:
                connection.timed_out()
            else:
                connection.tick(now, is_slow=is_slow)
