"""The office's books and what can be asked of them: by the office process, or by a command while none runs."""

from __future__ import annotations

import fcntl
import os
from typing import Any

from bdmta.clock import Clock, SystemClock
from bdmta.directory.calls import REGISTRY
from bdmta.directory.service import DirectoryService
from bdmta.errors import BdmtaError
from bdmta.journals import replay_unserved
from bdmta.log import quiet_log
from bdmta.office import audit, backups, logins, quarantine, records, wire  # noqa: F401 - enter their own calls, as do those below
from bdmta.outage import calls as outage_calls  # noqa: F401 - enters its own calls
from bdmta.outage.book import OutageBook
from bdmta.queue import calls as queue_calls  # noqa: F401 - enters its own calls
from bdmta.queue import calls_forwarding  # noqa: F401 - enters its own calls
from bdmta.requests import calls as request_calls  # noqa: F401 - enters its own calls
from bdmta.requests import calls_doing, calls_intake  # noqa: F401 - enter their own calls
from bdmta.service.privileges import as_user
from bdmta.site import Site
from storage.errors import StoreError


class Books:
    """Directory and ledger, open for writing, under the office's lock. One thread at a time."""

    def __init__(self, service: DirectoryService, lock_fd: int) -> None:
        self._service = service
        self._lock_fd = lock_fd
        self._logins_seen: int | None = None

    def call(self, name: str, arguments: dict[str, Any], actor: str, grounds: str = "") -> Any:
        """The result of the function called `name`; BdmtaError as it raises it. `grounds`: for the audit log."""
        function = REGISTRY.get(name)
        if function is None:
            raise BdmtaError(f"{name}: the office knows no such call; is an older bdmta running? restart it")
        return function(self._service.for_actor(actor, grounds), **arguments)

    def publish(self) -> None:
        """Write the snapshot that edges read."""
        self._service.publish()

    def import_facts(self) -> None:
        """Take what edges have written into the ledger, each fact once."""
        if self._service.ledger is not None:
            self._service.ledger.import_files(self._service.facts_dir)
            # also those that a question has imported meanwhile
            self._logins_seen = logins.note_uses(self._service, self._logins_seen)

    @property
    def outages(self) -> OutageBook:
        """The notices of outages."""
        assert self._service.outages is not None
        return self._service.outages

    def close(self) -> None:
        """Close the databases and give the lock back."""
        self._service.close()
        os.close(self._lock_fd)


def open_books(site: Site, clock: Clock, actor: str = "system") -> Books:
    """Take the office's lock and open its books. BdmtaError when another process holds them."""
    site.create_folders()
    fd = os.open(site.office_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise BdmtaError(
            f"{site.office_lock}: another bdmta is at work on this site; wait for it, or stop it first"
        ) from None
    try:
        return Books(DirectoryService.from_site(site, clock, actor=actor), fd)
    except StoreError as error:
        os.close(fd)
        raise BdmtaError(str(error)) from None
    except BaseException:
        os.close(fd)
        raise


def run_alone(site: Site, name: str, arguments: dict[str, Any], actor: str, grounds: str = "") -> Any:
    """Do one call with no office running: what a loss of power took comes back, then lock, open, call, close.

    As [server] user, where root asks: what is written is the server's.
    """
    server = site.config.server

    def answer() -> bytes:
        try:
            return wire.result(_run(site, name, arguments, actor, grounds))
        except Exception as error:
            return wire.failure(error)

    if server.user and os.geteuid() == 0:
        return wire.unpack(as_user(server.user, server.group, answer))
    return _run(site, name, arguments, actor, grounds)


def _run(site: Site, name: str, arguments: dict[str, Any], actor: str, grounds: str) -> Any:
    replay_unserved(site, quiet_log(site))
    books = open_books(site, SystemClock(), actor)
    try:
        return books.call(name, arguments, actor, grounds)
    finally:
        books.close()
