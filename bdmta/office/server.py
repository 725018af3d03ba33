"""The office process: holds the lock, serves commands one at a time, imports facts, keeps the snapshot published."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from bdmta.clock import Clock
from bdmta.errors import BdmtaError
from bdmta.journals import replay_journals, write_journal_figures
from bdmta.office import wire
from bdmta.office.addressbook import AddressBookWatch
from bdmta.office.calls import Books, open_books
from bdmta.office.duties import Desk, duties
from bdmta.office.timetable import Timetable, timetable_path
from bdmta.outage.duty import OutageDuty
from bdmta.site import Site
from bdmta.tasks import Tasks

if TYPE_CHECKING:
    from bdmta.web.compose import Pages

_IMPORT_EVERY_S = 1.0
_PAGES_S = 5.0


class Office:
    """One writer: every call and every import runs in one thread, in turn (contract 9)."""

    def __init__(self, site: Site, clock: Clock, log: Any) -> None:
        self._site = site
        self._clock = clock
        self._log = log
        self._one_writer = ThreadPoolExecutor(1, thread_name_prefix="office")
        self._tasks = Tasks(log)
        self._books: Books | None = None
        self._server: asyncio.Server | None = None
        self._stopping = asyncio.Event()
        self._pages: Pages | None = None
        self._outages: OutageDuty | None = None

    async def start(self, web: Sequence[tuple[str, socket.socket]] = ()) -> None:
        """Take the lock, open the books, publish the directory, listen. BdmtaError when another office is there.

        `web`: the listening sockets of the pages, with their listeners' names.
        """
        await self._in_turn(replay_journals, self._site, self._log)
        await self._in_turn(write_journal_figures, self._site)
        self._books = await self._in_turn(open_books, self._site, self._clock)
        await self._in_turn(self._books.publish)
        if os.path.exists(self._site.office_socket):
            os.unlink(self._site.office_socket)  # we hold the lock: whoever left it is gone
        self._server = await asyncio.start_unix_server(
            self._serve, self._site.office_socket, limit=wire.MAX_LINE_OCTETS
        )
        os.chmod(self._site.office_socket, 0o600)
        self._tasks.start(self._import_facts(), "import facts")
        self._outages = OutageDuty(self._site, self._clock, self._log, self._in_turn, self._books.outages)
        self._tasks.start(self._outages.run(self._stopping), "outages")
        desk = Desk(self._site, self._clock, self._log, self._ask)
        timetable = Timetable(duties(desk), timetable_path(self._site.data_dir), self._clock, self._tasks, self._log)
        self._tasks.start(timetable.run(self._stopping), "timetable")

        book = self._site.config.addressbook
        if book.targets or book.internal_targets:
            watch = AddressBookWatch(
                self._site.snapshot_path, lambda: desk.errand("addressbook", "publish"), self._clock, self._log
            )
            self._tasks.start(watch.run(self._stopping), "address book")
        if web:
            from bdmta.web.compose import Pages

            self._pages = Pages(self._site, self._clock, self._log, self._ask_as)
            self._pages.start(web)

    async def _ask_as(self, actor: str, name: str, /, *, grounds: str = "", **arguments: Any) -> Any:
        """As `_ask`, for a person on the pages."""
        assert self._books is not None
        return await self._in_turn(self._books.call, name, arguments, actor, grounds)

    async def _ask(self, name: str, **arguments: Any) -> Any:
        assert self._books is not None
        return await self._in_turn(self._books.call, name, arguments, "system")

    async def _in_turn(self, function: Any, *arguments: Any, **named: Any) -> Any:
        call = partial(function, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self._one_writer, call)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if not line:
                return
            try:
                asked = json.loads(line)
                assert self._books is not None
                answer = wire.result(
                    await self._in_turn(
                        self._books.call, asked["call"], asked["arguments"], asked["actor"], asked.get("grounds", "")
                    )
                )
            except BdmtaError as error:
                answer = wire.failure(error)
            except Exception as error:
                self._log.error("call failed", exc_info=True)
                answer = wire.failure(error)
            writer.write(answer)
            await writer.drain()
        except (ConnectionError, ValueError):
            return
        finally:
            writer.close()

    async def _import_facts(self) -> None:
        """What edges have written, into the ledger, about once a second; the last of it when stopping."""
        assert self._books is not None
        while True:
            try:
                await self._in_turn(self._books.import_facts)
            except Exception:
                self._log.error("facts not imported, they wait in their files", exc_info=True)
            if self._stopping.is_set():
                return
            try:
                await asyncio.wait_for(self._stopping.wait(), _IMPORT_EVERY_S)
            except TimeoutError:
                continue

    def reload(self) -> None:
        """SIGHUP: publish the directory anew, load the texts of notices."""
        if self._books is not None:
            self._tasks.start(self._in_turn(self._books.publish), "publish")
        if self._pages is not None:
            self._pages.reload()
        if self._outages is not None:
            self._outages.reload()

    async def stop(self) -> None:
        """Serve no more, import what is left, close the books, give the lock back."""
        if self._pages is not None:
            await self._pages.stop(_PAGES_S)
        if self._server is not None:
            self._server.close()
        self._stopping.set()
        await self._tasks.finish(10)
        if self._books is not None:
            await self._in_turn(self._books.close)
        self._one_writer.shutdown(wait=True)
        if os.path.exists(self._site.office_socket):
            os.unlink(self._site.office_socket)
