"""What all POP3 sessions of one edge share."""

from __future__ import annotations

from dataclasses import dataclass

from bdmta.session.server import SessionServer, SessionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Pop3Settings(SessionSettings):
    """Bounds and names, in the configuration's units."""

    idle_timeout_s: float = 600.0  # RFC 1939 §3: at least ten minutes
    max_errors: int = 50


@dataclass(slots=True, kw_only=True)
class Pop3Server(SessionServer):
    """The shared objects."""

    settings: Pop3Settings
