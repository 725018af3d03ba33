"""An edge: the event loop that speaks with clients. Built here, object by object; `bdmta.app` puts edges in processes.

It writes the spool, the mailboxes and its own file of facts, and reads the published directory; it never opens a
database that somebody else writes (contract 9).
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bdmta.acceptance import Acceptance
from bdmta.auth import Authenticator
from bdmta.chain import Chain, load_chain
from bdmta.clock import Clock
from bdmta.config.listeners import ListenerConfig
from bdmta.delivery import Deliverer
from bdmta.directory.passwords import Passwords, load_key
from bdmta.directory.snapshot import SnapshotWatch
from bdmta.dns import Resolver
from bdmta.errors import BdmtaError
from bdmta.examine.pool import ExaminerPool
from bdmta.journals import open_journals
from bdmta.limits import SessionTable, Throttle
from bdmta.limits.network import Networks
from bdmta.mailauth.check import MailAuth
from bdmta.notices import Notices
from bdmta.office.client import OfficeClient
from bdmta.outage.heart import BEAT_EVERY_S, EdgeBeat
from bdmta.outage.published import OutageWatch
from bdmta.policy import Services
from bdmta.quarantine import Quarantine
from bdmta.queue.srs import SenderRewriting
from bdmta.routing import Router
from bdmta.service.reading import Reading
from bdmta.service.sockets import BACKLOG
from bdmta.service.tls import TlsContext
from bdmta.setup.accounts import pages_url
from bdmta.site import Site
from bdmta.smtp.adapter import SmtpProtocol
from bdmta.smtp.server import SmtpListener, SmtpServer, SmtpSettings
from bdmta.state import FileState
from bdmta.tasks import Tasks
from storage.commit import Commit
from storage.directory_forwarding import ForwardingWatch
from storage.facts import FactWriter
from storage.incoming import Incoming
from storage.quota import Quota
from storage.spool import Spool

_THREADS = 16
_HANDSHAKE_S = 30.0
_TLS_GOODBYE_S = 3.0  # for a client that does not say goodbye when we do
_OUTAGES_EVERY_S = 1.0
_SMTP = {"smtp", "submission", "submissions"}
_READING = {"imap", "imaps", "pop3", "pop3s"}
PROTOCOLS = _SMTP | _READING
"""What an edge serves; other listeners of the configuration belong to other processes."""


class Edge:
    """Everything one edge holds. `start` opens the listeners, `stop` drains them."""

    def __init__(self, site: Site, number: int, edges: int, clock: Clock, log: Any) -> None:
        config = site.config
        self.site = site
        self.clock = clock
        self.log = log
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
        self._tasks = Tasks(log)
        self._loop = asyncio.get_running_loop()
        self._servers: list[asyncio.Server] = []
        self._stopping = asyncio.Event()
        self._smtp_servers: list[SmtpServer] = []
        self._reading: Reading | None = None
        self._chains: dict[str, Chain] = {}
        self.tls = TlsContext(config.tls.cert, config.tls.key, config.tls.min_version)
        self.watch = SnapshotWatch(site.snapshot_path, clock)
        self.facts = FactWriter(site.facts_dir, clock, f"edge{number}")
        self.office = OfficeClient(site)
        spool = Spool(site.queue_dir, clock)
        self.quota = Quota(clock, self._executor)
        self.commit = Commit(
            mail_root=site.mail_root, spool=spool, host=config.server.hostname, clock=clock,
            executor=self._executor, quota=self.quota, reserve_octets=config.mail.reserve_octets,
            tmp_dir=site.incoming_dir, on_crossings=self._crossed, journals=open_journals(site, number, clock, log),
        )  # fmt: skip
        deliverer = Deliverer(
            self.commit, self.quota, site.mail_root, lambda address: self.watch.current().mailbox(address), log,
            ForwardingWatch(site.forwarding_path, clock),
        )  # fmt: skip
        offset = clock.now().astimezone(ZoneInfo(config.clock.timezone)).utcoffset() or timedelta()
        rewriting = SenderRewriting(site.srs_key, lambda domain: self.watch.current().is_local(domain), clock)
        separator = config.mail.subaddress_separator if config.mail.plus_addressing else ""
        self.router = Router(self.watch, separator, rewriting.original)
        self._notices = Notices(
            deliverer, self.router, clock, self._tasks, log, hostname=config.server.hostname, offset=offset,
            postmaster=lambda: self.watch.current().postmaster, state=FileState(site.state_dir, "notices", clock),
        )  # fmt: skip
        self.resolver = Resolver(config.dns.servers, config.dns.timeout_s, clock=clock)
        relays = Networks(config.limits.relay_networks)
        mail_auth = MailAuth(self.resolver, clock, self._executor, exempt=relays.__contains__)
        quarantine = Quarantine(site.quarantine_dir, clock, self._executor, holds=config.quarantine.delivery == "hold")
        self.acceptance = Acceptance(
            deliverer, self._notices, quarantine, self.facts, clock, self._executor, log,
            hostname=config.server.hostname,
            offset=offset, local_domains=self.router.local_domains, mail_auth=mail_auth,
        )  # fmt: skip
        self.trusted = Networks(config.limits.trusted_networks)
        self.sessions = SessionTable(os.path.join(site.run_dir, "sessions.table"), number, max(edges, 1))
        self.throttle = Throttle(os.path.join(site.run_dir, "throttle.table"), clock, config.limits.auth_backoff_s)
        self.authenticator = Authenticator(
            self.watch, Passwords(load_key(site.password_key)), self.throttle, clock,
            ThreadPoolExecutor(config.auth.parallelism, thread_name_prefix="password"), log,
            parallelism=config.auth.parallelism, cache_s=config.auth.cache_s,
            exempt=self.trusted.__contains__, renew=self._renew_hash,
            initial_s=config.auth.initial_password_days * 86_400.0,
            change_at=f": {pages}account/password" if (pages := pages_url(config)) else "",
        )  # fmt: skip
        self.examiner = ExaminerPool.for_site(site, log)
        self.outages = OutageWatch(site.outage_dir, clock)
        self._beat = EdgeBeat(site.outage_dir, number, clock)

    async def start(self, sockets: Sequence[tuple[str, socket.socket]]) -> None:
        """Load the chain, start the examiner, open the listeners; BdmtaError says what is wrong."""
        await self.examiner.start()
        listeners = {listener.name: listener for listener in self.site.config.listeners()}
        self._load_chains()
        for name, sock in sockets:
            factory = self._factory(listeners[name])
            context = self.tls.context if listeners[name].has_implicit_tls else None
            server = await asyncio.get_running_loop().create_server(
                factory, sock=sock, ssl=context, ssl_handshake_timeout=_HANDSHAKE_S if context else None,
                ssl_shutdown_timeout=_TLS_GOODBYE_S if context else None,
                backlog=BACKLOG,  # listen(2) is called again, and the last word counts
            )  # fmt: skip
            self._servers.append(server)
        self._tasks.start(self._watch_outages(), "outages")

    async def _watch_outages(self) -> None:
        """Say that we are alive, and show mail programs what the office has announced."""
        beat_at = float("-inf")
        while not self._stopping.is_set():
            if self.clock.monotonic() - beat_at >= BEAT_EVERY_S:
                beat_at = self.clock.monotonic()
                self._beat.beat(self.site.config.services)
            alerts = self.outages.fresh()
            if alerts and self._reading is not None:
                self._reading.announce(alerts)
            try:
                await asyncio.wait_for(self._stopping.wait(), _OUTAGES_EVERY_S)
            except TimeoutError:
                continue

    def _factory(self, listener: ListenerConfig) -> Callable[[], asyncio.BaseProtocol]:
        if listener.protocol in _READING:
            if self._reading is None:
                self._reading = Reading(self)
            return self._reading.factory(listener)
        if listener.protocol not in _SMTP:
            raise BdmtaError(f"{listener.name}: {listener.protocol} is not served by an edge")
        smtp = SmtpListener(
            name=listener.name, settings=self._settings(listener),
            is_submission=listener.protocol in ("submission", "submissions"), implicit_tls=listener.has_implicit_tls,
        )  # fmt: skip
        server = SmtpServer(
            chain=lambda: self._chains[listener.policies], router=self.router, acceptance=self.acceptance,
            authenticator=self.authenticator, sessions=self.sessions, clock=self.clock, log=self.log,
            executor=self._executor, incoming=self.incoming, tls=self.tls.context,
            outages=self.outages.current,
        )  # fmt: skip
        self._smtp_servers.append(server)
        return lambda: SmtpProtocol(server, smtp)

    def _settings(self, listener: ListenerConfig) -> SmtpSettings:
        config = self.site.config
        return SmtpSettings(
            hostname=listener.hostname,
            banner=config.smtp.banner,
            max_message_octets=listener.max_message_octets,
            max_line_octets=config.smtp.max_line_octets,
            max_recipients=config.smtp.max_recipients,
            max_errors=config.smtp.max_errors,
            max_commands=config.smtp.max_commands,
            max_received=config.smtp.max_received,
            idle_timeout_s=config.smtp.idle_timeout_s,
            data_timeout_s=config.smtp.data_timeout_s,
            data_total_s=config.smtp.data_total_timeout_s,
            sessions_per_address=config.limits.sessions_per_address,
            max_sessions=listener.max_sessions,
            trusted=self.trusted,
            relay=Networks(config.limits.relay_networks),
            admits=listener.admits,
        )

    def incoming(self) -> Incoming:
        """A letter about to arrive."""
        return Incoming(self.site.incoming_dir, self._executor, self.site.config.mail.memory_octets, self.commit.space)

    def _services(self, name: str) -> Services:
        return Services(
            clock=self.clock, examiner=self.examiner, state=FileState(self.site.state_dir, name, self.clock),
            log=self.log.bind(policy=name), resolver=self.resolver,
        )  # fmt: skip

    def _load_chains(self) -> None:
        files = {listener.policies for listener in self.site.config.listeners()} | {self.site.config.policies.file}
        self._chains = {file: load_chain(Path(file), self._services, self.log) for file in files}

    def reload(self) -> None:
        """SIGHUP: fresh chain, certificate and accounts; what is broken keeps the old one and says so."""
        self.watch.current(look_now=True)
        if self._reading is not None:
            self._reading.reload()
        for what, renew in (("policies", self._load_chains), ("certificate", self.tls.reload)):
            try:
                renew()
            except (BdmtaError, OSError, ssl.SSLError) as error:
                self.log.error("not reloaded, the old one stays", what=what, reason=str(error))
            else:
                self.log.info("reloaded", what=what)

    def _crossed(self, crossings: Sequence[tuple[str, int]]) -> None:
        """Told in the store's thread."""
        self._loop.call_soon_threadsafe(self._notices.crossed, crossings)

    def _renew_hash(self, address: str, hashed: str) -> None:
        self._tasks.start(self.office.send("renew_hash", address=address, renewed=hashed), "renew hash")

    async def stop(self, grace_s: float) -> None:
        """No new sessions; sessions between letters end with 421, those in DATA are finished within the grace."""
        self._stopping.set()
        for server in self._servers:
            server.close()
        for smtp in self._smtp_servers:
            smtp.draining = True
        drains = [smtp.live.drain(grace_s) for smtp in self._smtp_servers]
        if self._reading is not None:
            drains.append(self._reading.stop(grace_s))
        await asyncio.gather(*drains)
        await self._tasks.finish(5)
        await self.commit.drain()
        await self._loop.run_in_executor(self._executor, self.commit.close)
        await self.examiner.close()
        self._executor.shutdown(wait=True)
        self.facts.close()
