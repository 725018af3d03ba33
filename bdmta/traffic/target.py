"""The server under test: where its services are, who has a mailbox, how its certificate is believed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from bdmta.errors import UsageError
from bdmta.traffic.population import Account
from bdmta.traffic.wire import Endpoint, TlsSettings


@dataclass(frozen=True)
class Target:
    """What a run needs to know. A service that is None is not spoken to."""

    accounts: Sequence[Account]
    tls: TlsSettings
    smtp: Endpoint | None = None
    submission: Endpoint | None = None
    imap: Endpoint | None = None
    pop3: Endpoint | None = None
    maildir: str = ""
    layout: str = "{domain}/{local}"
    timeout_s: float = 60.0

    @property
    def endpoints(self) -> list[Endpoint]:
        """Those that are given."""
        return [one for one in (self.smtp, self.submission, self.imap, self.pop3) if one is not None]


def guard(target: Target, *, may_leave: bool) -> None:
    """Refuse to load machines by mistake: UsageError unless everything is on loopback or it was said explicitly."""
    if not target.endpoints:
        raise UsageError("no service to speak to; give --site DIR, or --smtp, --submission, --imap, --pop3")
    for one in target.endpoints:
        if not may_leave and not one.is_loopback:
            raise UsageError(
                f"{one} is another machine; --not-loopback allows it, and is for servers that are yours to load"
            )


@dataclass(frozen=True)
class SiteFound:
    """A bdmta site: its services' ports, mailboxes' root and certificate authority."""

    services: dict[str, Endpoint]
    maildir: str
    ca_file: str


def read_site(folder: str) -> SiteFound:
    """What `--site DIR` saves typing: read from the site's own bdmta.toml. Raises ConfigError, UsageError."""
    from bdmta.site import Site

    path = os.path.join(folder, "bdmta.toml")
    if not os.path.exists(path):
        raise UsageError(f"--site {folder}: no bdmta.toml in it")
    site = Site.open(path)
    services: dict[str, Endpoint] = {}
    for listener in site.config.listeners():
        host = listener.addresses[0]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(host), str(host))  # noqa: S104 - read, not bound
        services.setdefault(listener.protocol, Endpoint(listener.protocol, host, listener.port))
    return SiteFound(services, site.mail_root, os.path.join(folder, "tls", "ca.pem"))
