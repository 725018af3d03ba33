"""Who can log in, and the settings to type into a mail program (Điều 15)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bdmta.config import Config

_SECURITY = {
    "submission": "STARTTLS", "submissions": "SSL/TLS", "imap": "STARTTLS", "imaps": "SSL/TLS", "pop3": "STARTTLS",
    "pop3s": "SSL/TLS",
}  # fmt: skip
_OFFERED = {"imaps": "IMAP", "pop3s": "POP3", "submissions": "SMTP", "submission": "SMTP"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A mailbox and the password to log in with."""

    address: str
    name: str
    kind: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One line of what Thunderbird asks for."""

    protocol: str
    server: str
    port: int
    security: str


def connections(config: Config) -> Sequence[Connection]:
    """What to type into a mail program, the safest first: IMAP, POP3, SMTP. The user name is the whole address."""
    found: list[Connection] = []
    for protocol, shown in _OFFERED.items():
        for listener in config.listeners():
            if listener.protocol == protocol:
                server = _reachable(config, listener.addresses[0])
                found.append(
                    Connection(protocol=shown, server=server, port=listener.port, security=_SECURITY[protocol])
                )
    return found


def pages_url(config: Config) -> str:
    """The address of the pages as people are told it, with / at its end; "" where none are offered."""
    if config.web.url:
        return config.web.url
    for listener in config.listeners():
        if listener.protocol == "web":
            port = "" if listener.port in (80, 443) else f":{listener.port}"
            return f"https://{_reachable(config, listener.addresses[0])}{port}/"
    return ""


def _reachable(config: Config, address: str) -> str:
    return "localhost" if address in ("127.0.0.1", "::1") else config.server.hostname
