"""The supervisor: binds the ports, starts the children, restarts the fallen, answers 421 while no edge lives.

It holds no mail and writes nothing; what it knows is which child runs. Children inherit the listening sockets and a
pipe on which each says `ready` once.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bdmta.outage.page_process import PageKeeper
from bdmta.service.privileges import sd_notify
from bdmta.service.sockets import WEB
from bdmta.service.stand_in import StandIn
from bdmta.tasks import Tasks

_BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_STEADY_S = 60.0
_WITHOUT_EDGE_S = 0.5


@dataclass(slots=True)
class Child:
    """One process that should be running: its role, its number, and how often it has fallen of late."""

    role: str
    number: int
    falls: int = 0
    process: asyncio.subprocess.Process | None = None
    is_ready: bool = False


class Supervisor:
    """Runs until SIGTERM or SIGINT; the exit status of `run` is the program's."""

    def __init__(
        self, config_path: str, sockets: Sequence[tuple[str, socket.socket]], protocols: Mapping[str, str],
        roles: Sequence[tuple[str, int]], grace_s: float, log: Any, announced: Callable[[str], bytes],
        page: PageKeeper,
    ) -> None:  # fmt: skip
        """`announced`: what a notice of an outage says, by protocol."""
        self._page = page
        self._config_path = config_path
        self._sockets = list(sockets)
        self._protocols = protocols
        spoken = [(protocols[name], sock) for name, sock in sockets if protocols[name] != WEB]
        self._stand_in = StandIn(spoken, announced)
        self._children = [Child(role, number) for role, number in roles]
        self._grace_s = grace_s
        self._log = log
        self._tasks = Tasks(log)
        self._stopping = asyncio.Event()
        self._announced = False

    async def run(self) -> int:
        """Start everything, print `ready` when every listener answers, and look after it all to the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        office = [child for child in self._children if child.role == "office"]
        for child in office:  # the directory is published before an edge looks for it
            await self._start(child)
        for child in self._children:
            if child not in office:
                await self._start(child)
        beside = self._tasks.start(self._page.run(self._stopping, lambda: self._announced), "status page")
        await self._stopping.wait()
        status = await self._stop()
        await asyncio.wait([beside], timeout=self._grace_s)
        return status

    async def _start(self, child: Child) -> None:
        read_fd, write_fd = os.pipe()
        sockets = [(n, s.fileno()) for n, s in self._sockets if self._serves(child.role, self._protocols[n])]
        spec = {
            "role": child.role, "number": child.number, "config": self._config_path, "ready_fd": write_fd,
            "sockets": sockets, "parent": os.getpid(), "edges": sum(c.role == "edge" for c in self._children),
        }  # fmt: skip
        try:
            child.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bdmta.service.child", json.dumps(spec),
                pass_fds=[write_fd, *(fd for _, fd in sockets)], stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        finally:
            os.close(write_fd)
        self._tasks.start(self._watch(child, child.process), f"watch {child.role} {child.number}")
        ready = self._tasks.start(self._await_ready(child, read_fd), f"ready {child.role} {child.number}")
        if child.role == "office":
            await ready

    @staticmethod
    def _serves(role: str, protocol: str) -> bool:
        return role == ("office" if protocol == WEB else "edge")

    async def _await_ready(self, child: Child, read_fd: int) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_fd, "rb")
        )
        try:
            if await reader.read(16) != b"ready\n":
                return
        finally:
            transport.close()
        child.is_ready = True
        if child.role == "edge":
            self._stand_in.stop()
        if not self._announced and all(c.is_ready for c in self._children):
            self._announced = True
            print("ready", flush=True)  # noqa: T201 - the line that scripts wait for
            sd_notify(f"READY=1\nMAINPID={os.getpid()}")
            self._log.info("ready", children=len(self._children))

    async def _watch(self, child: Child, process: asyncio.subprocess.Process) -> None:
        started = asyncio.get_running_loop().time()
        status = await process.wait()
        child.is_ready, child.process = False, None
        if self._stopping.is_set():
            return
        lived_s = asyncio.get_running_loop().time() - started
        child.falls = 1 if lived_s > _STEADY_S else child.falls + 1
        if status == 2 and not self._announced:
            self._log.error("cannot start", role=child.role, status=status)
            self._stopping.set()
            return
        wait_s = _BACKOFF_S[min(child.falls, len(_BACKOFF_S)) - 1]
        self._log.error("child ended, restarting", role=child.role, number=child.number, status=status, wait_s=wait_s)
        if child.role == "edge":
            self._tasks.start(self._stand_in_later(), "stand in")
        try:
            await asyncio.wait_for(self._stopping.wait(), wait_s)
        except TimeoutError:
            await self._start(child)

    # -- 421 while no edge lives

    async def _stand_in_later(self) -> None:
        await asyncio.sleep(_WITHOUT_EDGE_S)
        if self._stand_in.is_answering or self._stopping.is_set() or self._has_edge():
            return
        self._log.error("no edge is running, answering 421")
        self._stand_in.start()

    def _has_edge(self) -> bool:
        return any(child.is_ready for child in self._children if child.role == "edge")

    # -- signals

    def _reload(self) -> None:
        sd_notify("RELOADING=1")
        for child in self._children:
            if child.process is not None:
                child.process.send_signal(signal.SIGHUP)
        self._page.reload()
        sd_notify("READY=1")

    async def _stop(self) -> int:
        """Edges first, so that what they finish is still served; the office last."""
        sd_notify("STOPPING=1")
        failed = not self._announced
        self._stand_in.stop()
        for name, sock in self._sockets:
            self._log.debug("closing", listener=name)
            sock.close()
        for roles in (("edge",), ("courier",), ("office",)):
            await self._end([c for c in self._children if c.role in roles])
        return 1 if failed else 0

    async def _end(self, children: Sequence[Child]) -> None:
        running = [c.process for c in children if c.process is not None]
        for process in running:
            try:
                process.send_signal(signal.SIGTERM)
            except ProcessLookupError:
                continue
        waits = [asyncio.ensure_future(p.wait()) for p in running]
        if waits:
            _, late = await asyncio.wait(waits, timeout=self._grace_s + 2)
            if late:
                for process in running:
                    if process.returncode is None:
                        process.kill()
                await asyncio.wait(late, timeout=5)
