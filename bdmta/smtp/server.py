"""What all SMTP sessions of one edge share: settings, directory, chain, the way on for accepted letters."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from bdmta.acceptance import Acceptance
from bdmta.auth import Authenticator
from bdmta.chain import Chain
from bdmta.clock import Clock
from bdmta.limits import SessionTable
from bdmta.limits.live import Live
from bdmta.limits.network import Networks
from bdmta.outage.published import Outages
from bdmta.routing import Route, Router
from storage.incoming import Incoming


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """Bounds and names of one listener, in the configuration's units."""

    hostname: str
    banner: str = "bdmta"
    max_message_octets: int = 52_428_800
    max_line_octets: int = 65_536
    max_command_octets: int = 2048
    max_recipients: int = 1000
    max_errors: int = 20
    max_commands: int = 10_000
    max_received: int = 100
    idle_timeout_s: float = 300.0
    data_timeout_s: float = 180.0
    data_total_s: float = 3600.0
    sessions_per_address: int = 100
    max_sessions: int = 4000
    trusted: Networks = field(default_factory=lambda: Networks(()))
    relay: Networks = field(default_factory=lambda: Networks(()))
    admits: Callable[[str], bool] = lambda remote_ip: True


@dataclass(frozen=True, slots=True)
class SmtpListener:
    """One port. `is_submission`: AUTH is offered and demanded; `implicit_tls`: TLS from the first octet (465)."""

    name: str
    settings: SmtpSettings
    is_submission: bool = False
    implicit_tls: bool = False


@dataclass(slots=True)
class SmtpServer:
    """The shared objects. `chain` gives the one in force: a letter takes it at MAIL and keeps it (contract 8)."""

    chain: Callable[[], Chain]
    router: Router
    acceptance: Acceptance
    authenticator: Authenticator
    sessions: SessionTable
    clock: Clock
    executor: Executor
    log: Any
    incoming: Callable[[], Incoming]
    tls: ssl.SSLContext | None = None
    outages: Callable[[], Outages] = Outages
    live: Live = field(default_factory=Live)
    draining: bool = False

    def stopped_for(self, route: Route) -> tuple[str, ...]:
        """What a notice says to mail for these mailboxes, when all of them are of agencies that it stops."""
        agencies = self.outages().agencies
        if not agencies or route.outside or not route.mailboxes:
            return ()
        said = [agencies.get(entry.agency) for entry in route.mailboxes]
        return said[0] if all(said) and said[0] is not None else ()

    def local_domains(self) -> Sequence[str]:
        """Domains whose mail is kept here."""
        return self.router.local_domains()
