"""The courier: sends the queue, finishes group letters that a fallen edge left, brings copies that waited for room.

What there is to do the lookout tells it; this makes the parts and keeps the rounds.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bdmta.clock import Clock
from bdmta.directory.snapshot import SnapshotWatch
from bdmta.dns import Resolver
from bdmta.errors import BdmtaError
from bdmta.mailauth.leaving import LeavingSigner
from bdmta.mailauth.sign import Signer
from bdmta.metrics import write_registry
from bdmta.queue.absence import Absences
from bdmta.queue.carrier import Carrier
from bdmta.queue.dispatch import Dispatcher
from bdmta.queue.dsn import Reporting
from bdmta.queue.figures import QueueFigures
from bdmta.queue.hops import NextHops
from bdmta.queue.link import LinkSettings
from bdmta.queue.local import LocalCopies
from bdmta.queue.lookout import Lookout
from bdmta.queue.places import Bounds
from bdmta.queue.reports import Postman, Reports
from bdmta.queue.schedule import Schedule
from bdmta.queue.srs import SenderRewriting, make_srs_key
from bdmta.queue.sts import StsPolicies
from bdmta.routing import Router
from bdmta.site import Site
from bdmta.state import FileState
from bdmta.tasks import Tasks
from storage.commit import Commit
from storage.directory_forwarding import ForwardingWatch
from storage.errors import StoreError
from storage.facts import FactWriter
from storage.quota import Quota
from storage.spool import Spool

_EVERY_S = 15.0
_THREADS = 8


class Courier:
    """One a site. Whatever it was killed in is taken up again: each letter is sent at least once."""

    def __init__(self, site: Site, clock: Clock, log: Any) -> None:
        config = site.config
        self._site = site
        self._log = log
        self._clock = clock
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="courier")
        self._tasks = Tasks(log)
        self._stopping = asyncio.Event()
        self.spool = Spool(site.queue_dir, clock)
        self._quota = Quota(clock, self._executor)
        self._watch = SnapshotWatch(site.snapshot_path, clock)
        self._facts = FactWriter(site.facts_dir, clock, "courier")
        self._commit = Commit(
            mail_root=site.mail_root, spool=self.spool, host=config.server.hostname, clock=clock,
            executor=self._executor, quota=self._quota, reserve_octets=config.mail.reserve_octets,
            tmp_dir=site.incoming_dir,
        )  # fmt: skip
        offset = clock.now().astimezone(ZoneInfo(config.clock.timezone)).utcoffset() or timedelta()
        self._offset_s = int(offset.total_seconds())
        self._figures = QueueFigures()
        self.dispatcher = self._dispatcher()
        self._lookout = Lookout(self.spool, self.dispatcher, self._commit, clock, self._executor, log)

    def _dispatcher(self) -> Dispatcher:
        config, queue = self._site.config, self._site.config.queue
        router = Router(self._watch, config.mail.subaddress_separator if config.mail.plus_addressing else "")
        hostname = config.server.hostname
        postman = Postman(
            self.spool, self._commit, router, self._site.mail_root, self._clock, self._executor, hostname=hostname,
            offset_s=self._offset_s,
        )  # fmt: skip
        reports = Reports(
            postman, self.spool, self._clock, self._executor, self._log, self._facts,
            lambda: Reporting(hostname, self._watch.current().postmaster, self._offset_s, float(queue.lifetime_s)),
        )  # fmt: skip
        local = LocalCopies(
            self.spool, self._commit, self._quota, self._watch, self._site.mail_root, self._executor, self._log
        )
        resolver = Resolver(config.dns.servers, config.dns.timeout_s, clock=self._clock)
        make_srs_key(self._site.srs_key)
        rewriting = SenderRewriting(self._site.srs_key, local.is_local, self._clock)
        hops = NextHops(config.transport, resolver, hostname, sts=self._sts(resolver))
        carrier = Carrier(hops, self._link_settings(), local, rewriting)
        absences = Absences(
            postman, self.spool, ForwardingWatch(self._site.forwarding_path, self._clock), self._watch.current,
            FileState(self._site.state_dir, "absence", self._clock), self._clock, self._executor, self._log,
            hostname=hostname, offset_s=self._offset_s, again_s=queue.absence_reply_s,
        )  # fmt: skip
        return Dispatcher(
            self.spool, carrier, reports, self._facts, self._clock, self._executor, self._log,
            schedule=Schedule(
                float(queue.retry_first_s), float(queue.retry_longest_s), float(queue.lifetime_s),
                float(queue.delay_notice_s),
            ),
            bounds=Bounds(
                queue.connections, queue.destination_connections, queue.connection_letters, float(queue.idle_s)
            ),
            signer=self._signer(), answer=absences.answer, journal_dir=self._site.journal_dir, figures=self._figures,
        )  # fmt: skip

    def _signer(self) -> LeavingSigner | None:
        """Our signature; None, and an error in the log, when the keys cannot be read: mail leaves all the same."""
        dkim = self._site.config.dkim
        try:
            signer = Signer(
                dkim.dir, dkim.selector, lambda: self._watch.current().domains, self._clock, self._executor, self._log
            )
        except BdmtaError as error:
            self._log.error("letters leave unsigned", reason=str(error))
            return None
        return LeavingSigner(signer, self._executor, self._log)

    def _sts(self, resolver: Resolver) -> StsPolicies | None:
        transport = self._site.config.transport
        if not transport.mta_sts:
            return None
        return StsPolicies(
            resolver, self._clock, self._log, port=transport.mta_sts_port, ca_file=transport.ca_file,
            keep=FileState(self._site.state_dir, "mta-sts", self._clock),
        )  # fmt: skip

    def _link_settings(self) -> LinkSettings:
        config, queue = self._site.config, self._site.config.queue
        sources = config.transport.source_addresses
        return LinkSettings(
            helo=config.transport.helo or config.server.hostname, connect_s=float(queue.connect_timeout_s),
            reply_s=float(queue.reply_timeout_s), data_s=float(queue.data_timeout_s),
            source_v4=next((a for a in sources if ":" not in a), ""),
            source_v6=next((a for a in sources if ":" in a), ""), ca_file=config.transport.ca_file,
        )  # fmt: skip

    async def start(self) -> None:
        """Begin: what is new at once, what was left behind as it is read."""
        self.dispatcher.start()
        self._lookout.start()
        if not self._lookout.hears:
            self._log.warning("no inotify: new letters leave at the next round", every_s=_EVERY_S)
        self._tasks.start(self._rounds(), "courier")

    async def _rounds(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._lookout.round()
            except (StoreError, OSError):
                self._log.error("round failed, another follows", exc_info=True)
            await self._write_figures()
            try:
                await asyncio.wait_for(self._stopping.wait(), _EVERY_S)
            except TimeoutError:
                continue

    async def _write_figures(self) -> None:
        """`metrics/queue.prom`, for /metrics."""
        try:
            self.dispatcher.take_figures()
            await self._off_loop(write_registry, self._site, "queue", self._figures.registry)
        except OSError as error:
            self._log.error("figures not written", reason=str(error))

    async def _off_loop(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    def reload(self) -> None:
        """SIGHUP: the directory is looked at anew by itself, as are the keys."""
        self._watch.current(look_now=True)

    async def stop(self) -> None:
        """Take up no more letters, finish those in hand."""
        self._stopping.set()
        await self._lookout.stop()
        await self.dispatcher.stop()
        await self._tasks.finish(10)
        self._executor.shutdown(wait=True)
        self._facts.close()
