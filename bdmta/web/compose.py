"""The pages of one site, put together: application, guard, server. Lives in the office's process."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from bdmta.auth import Authenticator
from bdmta.clock import Clock
from bdmta.directory.addressbook import BookReader
from bdmta.directory.passwords import Passwords, load_key
from bdmta.directory.snapshot import SnapshotWatch
from bdmta.errors import BdmtaError
from bdmta.limits import Throttle
from bdmta.limits.network import Networks
from bdmta.metrics import read_figures
from bdmta.service.tls import TlsContext
from bdmta.setup.accounts import pages_url
from bdmta.site import Site
from bdmta.web.application import make_application
from bdmta.web.clients import Offer
from bdmta.web.guard import Guard, Rate
from bdmta.web.house import House
from bdmta.web.server import WebServer
from bdmta.web.sessions import Sessions
from bdmta.web.shelf import Shelf
from storage.facts import FactWriter

_THREADS = 2


class Pages:
    """`start` serves, `stop` ends. `ask` as in `House`."""

    def __init__(self, site: Site, clock: Clock, log: Any, ask: Callable[..., Awaitable[Any]]) -> None:
        config = site.config
        self._log = log
        self._tls = TlsContext(config.tls.cert, config.tls.key, config.tls.min_version)
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="pages")
        self._facts = FactWriter(site.facts_dir, clock, "web")
        self._reader = BookReader(site, clock)
        self._shelf = Shelf(self._reader.book, self._reader.generation)
        trusted = Networks(config.limits.trusted_networks)
        proxies = Networks(config.web.proxy_networks)
        authenticator = Authenticator(
            SnapshotWatch(site.snapshot_path, clock), Passwords(load_key(site.password_key)),
            Throttle(os.path.join(site.run_dir, "throttle.table"), clock, config.limits.auth_backoff_s), clock,
            self._executor, log, parallelism=_THREADS, cache_s=0, exempt=trusted.__contains__,
        )  # fmt: skip
        house = House(
            ask=ask, authenticator=authenticator,
            sessions=Sessions(clock, config.web.idle_timeout_s, config.web.session_s), shelf=self._shelf,
            offer=Offer.of(config), clock=clock, log=log, url=pages_url(config), domain=config.primary_domain,
            postmaster=config.postmaster, is_book_public=config.addressbook.on_pages, record=self._record,
            off_loop=self._off_loop, figures=partial(read_figures, site),
            metrics_networks=Networks(config.web.metrics_networks),
        )  # fmt: skip
        guard = Guard(
            make_application(house), plain=Networks(config.web.plain_networks), proxies=proxies, exempt=trusted,
            rate=Rate(config.web.requests_per_minute, clock), url=pages_url(config),
        )  # fmt: skip
        listeners = {listener.name: listener for listener in config.listeners()}
        self._server = WebServer(
            guard, self._tls.context, log, admits=lambda name, ip: listeners[name].admits(ip),
            exempt=lambda ip: ip in proxies or ip in trusted,
        )  # fmt: skip

    def _record(self, facts: Sequence[Any]) -> None:
        try:
            self._facts.write(facts)
        except OSError as error:
            self._log.error("fact not written", reason=str(error))

    async def _off_loop(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    def start(self, sockets: Sequence[tuple[str, socket.socket]]) -> None:
        """Answer from now on."""
        self._server.start(sockets)

    def reload(self) -> None:
        """SIGHUP: the certificate anew; a broken one keeps the old."""
        try:
            self._tls.reload()
        except (BdmtaError, OSError, ssl.SSLError) as error:
            self._log.error("not reloaded, the old one stays", what="certificate of the pages", reason=str(error))

    async def stop(self, grace_s: float) -> None:
        """No new requests; those that are being answered may end within the grace."""
        await self._server.stop(grace_s)
        self._shelf.close()
        self._executor.shutdown(wait=True)
        self._reader.close()
        self._facts.close()
