"""IMAP and POP3 in an edge: the mailboxes it has open, and the listeners' factories."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from bdmta.config.listeners import ListenerConfig
from bdmta.delivery import limit_of
from bdmta.imap import ImapServer, ImapSettings, Room, make_imap_protocol
from bdmta.imap.notice import AlertFile, alert_path, withheld_by_account
from bdmta.imap.render import rules
from bdmta.outage.published import Alert
from bdmta.pop3 import Pop3Server, Pop3Settings, make_pop3_protocol
from storage.box import Mailboxes
from storage.box_quota import LimitedQuota
from storage.maildir import mailbox_dir
from storage.quota import Limit, Quota
from storage.settling import Settling

if TYPE_CHECKING:
    from bdmta.service.edge import Edge

_THREADS = 8
_NO_LIMIT = Limit(0, 0)


class PublishedMail:
    """Where the mailboxes of the published directory are, and how full they may get."""

    def __init__(self, edge: Edge) -> None:
        self._mail_root = edge.site.mail_root
        self._index_dir = edge.site.index_dir
        self._watch = edge.watch
        self._quota: Quota = edge.quota
        self._addresses: dict[str, str] = {}  # by the Maildir's folder, of mailboxes that somebody opened

    def locate(self, address: str) -> tuple[str, str]:
        """The Maildir's folder and the index's file, which lies outside of it (contract 5)."""
        folder = mailbox_dir(self._mail_root, address)
        self._addresses[folder] = address
        return folder, os.path.join(self._index_dir, os.path.relpath(folder, self._mail_root) + ".db")

    def room(self, address: str) -> Room:
        """What the mailbox holds and may hold. Blocks when its letters must be summed."""
        folder, _ = self.locate(address)
        limit, used = self.limit(folder), self._quota.usage(folder)
        return Room(used.octets, used.letters, limit.octets, limit.letters)

    def limit(self, folder: str) -> Limit:
        """The quota of the mailbox in `folder`."""
        address = self._addresses.get(folder)
        entry = self._watch.current().mailbox(address) if address is not None else None
        return limit_of(entry) if entry is not None else _NO_LIMIT


class Reading:
    """The IMAP and POP3 servers of one edge; all its sessions share the open mailboxes."""

    def __init__(self, edge: Edge) -> None:
        site, config = edge.site, edge.site.config
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="read")
        mail = PublishedMail(edge)
        self._mailboxes = Mailboxes(
            rules=rules(fold_diacritics=config.imap.fold_diacritics), clock=edge.clock, host=config.server.hostname,
            executor=self._executor, quota=LimitedQuota(edge.quota, mail.limit),
            settling=Settling(site.journal_dir, site.mail_root), journal=edge.commit.place_now,
        )  # fmt: skip
        os.makedirs(site.index_dir, mode=0o700, exist_ok=True)
        offset = edge.clock.now().astimezone(ZoneInfo(config.clock.timezone)).utcoffset() or timedelta()
        self._alerts = AlertFile(alert_path(site.state_dir))
        self._edge = edge
        self._imap = ImapServer(
            settings=ImapSettings(
                hostname=config.server.hostname,
                idle_timeout_s=config.imap.idle_timeout_s,
                login_timeout_s=config.imap.login_timeout_s,
                max_line_octets=config.imap.max_line_octets,
                max_literal_octets=config.imap.max_literal_octets,
                sessions_per_address=config.limits.sessions_per_address,
                max_sessions=config.limits.max_sessions,
                offset_s=int(offset.total_seconds()),
                trusts=edge.trusted.__contains__,
            ),
            authenticator=edge.authenticator, mailboxes=self._mailboxes, mail=mail, sessions=edge.sessions,
            facts=edge.facts, clock=edge.clock, executor=self._executor, log=edge.log, fold=self._mailboxes.rules.fold,
            incoming=edge.incoming, tls=edge.tls.context, alerts=self._alerts_of,
            withheld=withheld_by_account(config.imap.withheld),
        )  # fmt: skip
        self._pop3 = Pop3Server(
            settings=Pop3Settings(
                hostname=config.server.hostname,
                idle_timeout_s=config.pop3.idle_timeout_s,
                login_timeout_s=config.pop3.login_timeout_s,
                sessions_per_address=config.limits.sessions_per_address,
                max_sessions=config.limits.max_sessions,
                trusts=edge.trusted.__contains__,
            ),
            authenticator=edge.authenticator, mailboxes=self._mailboxes, mail=mail, sessions=edge.sessions,
            facts=edge.facts, clock=edge.clock, executor=self._executor, log=edge.log, tls=edge.tls.context,
        )  # fmt: skip

    def factory(self, listener: ListenerConfig) -> Callable[[], asyncio.Protocol]:
        """What makes the listener's protocols."""
        tls = listener.has_implicit_tls
        if listener.protocol in ("imap", "imaps"):
            return make_imap_protocol(self._imap, implicit_tls=tls, admits=listener.admits)
        return make_pop3_protocol(self._pop3, implicit_tls=tls, admits=listener.admits)

    def announce(self, alerts: Sequence[Alert]) -> None:
        """Show what has been announced just now to the sessions that are there; how many, is a fact for the ledger."""
        for alert in alerts:
            told = self._imap.announce(alert.text, partial(self._is_for, alert))
            if told:
                detail = {"announcement": alert.key, "sessions": told}
                self._edge.acceptance.record([{"event": "alerted", "at": self._edge.clock.time(), "detail": detail}])

    def _is_for(self, alert: Alert, address: str) -> bool:
        return alert.is_for(self._agency(address))

    def _alerts_of(self, address: str) -> list[str]:
        return [*self._edge.outages.at_login(self._agency(address)), *self._alerts.lines()]

    def _agency(self, address: str) -> str:
        entry = self._edge.watch.current().mailbox(address) if address else None
        return entry.agency if entry is not None else ""

    def reload(self) -> None:
        """SIGHUP: sessions that are there are shown what is new in the alert file."""
        for line in self._alerts.fresh():
            self._imap.announce(line)

    async def stop(self, grace_s: float) -> None:
        """End the sessions, each behind the command it is at, and let the mailboxes go."""
        await asyncio.gather(self._imap.drain(grace_s), self._pop3.drain(grace_s))
        await self._mailboxes.run(self._mailboxes.close)
        self._executor.shutdown(wait=True)
