"""The status page's process. It belongs to nobody: SIGKILL of every other process leaves it answering.

With `[outage] status_page = "serve"`, `bdmta serve` binds its port and starts it in a session of its own, finds it
again at the next start (it holds a lock), and ends it when it ends in order itself. It ends by itself when the site's
configuration is gone, or when mail has been dead for a day. With "own", its systemd unit runs `bdmta status-page`, and
nothing of this applies.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from bdmta.clock import Clock, SystemClock
from bdmta.errors import BdmtaError
from bdmta.log import configure
from bdmta.service import privileges
from bdmta.service.sockets import bind_one
from bdmta.site import Site

LOCK = "page.lock"
LOG = "page.log"
_LOG_OCTETS = 1 << 20
_KEEP_EVERY_S = 5.0
_END_S = 5.0
_DEAD_FOR_S = 86_400.0


def bind_page(site: Site) -> list[socket.socket]:
    """The listening sockets of the page. BdmtaError names an address that is taken."""
    return [bind_one("status page", address, port) for address, port in site.config.status_page_endpoints]


def page_pid(site: Site) -> int | None:
    """The process that serves the page now; None: there is none."""
    try:
        fd = os.open(os.path.join(site.outage_dir, LOCK), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(fd, 32).split()
        return int(text[0]) if text and text[0].isdigit() else None
    else:
        return None
    finally:
        os.close(fd)


class PageKeeper:
    """For `bdmta serve`: has the page running, and ends it in the end. Mail never fails for its sake."""

    def __init__(self, site: Site, log: Any) -> None:
        """Binds the port, while that is still allowed."""
        self._site = site
        self._log = log
        self._is_ours = site.config.outage.status_page == "serve"
        self._sockets: list[socket.socket] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._has_complained = False
        if self._is_ours and page_pid(site) is None:
            self._bind()

    def _bind(self) -> bool:
        try:
            self._sockets = bind_page(self._site)
        except BdmtaError as error:
            if not self._has_complained:
                self._log.error("no status page; tried again quietly", reason=str(error))
            self._has_complained = True
            return False
        self._has_complained = False
        return True

    async def run(self, stopping: asyncio.Event, was_well: Callable[[], bool]) -> None:
        """Until `stopping`; then the page ends, unless the service never came up: a page that an earlier one started
        stays, as mail is still down.
        """
        while self._is_ours and not stopping.is_set():
            try:
                self._keep()
            except OSError:
                self._log.error("status page not started, tried again", exc_info=True)
            try:
                await asyncio.wait_for(stopping.wait(), _KEEP_EVERY_S)
            except TimeoutError:
                continue
        if self._is_ours and (was_well() or self._process is not None):
            await asyncio.to_thread(self._end)

    def reload(self) -> None:
        """SIGHUP: the texts anew, in the page that runs, whoever started it."""
        pid = page_pid(self._site) if self._is_ours else None
        if pid is not None:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGHUP)

    def _keep(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        if page_pid(self._site) is not None or not (self._sockets or self._bind()):
            return
        fds = [sock.fileno() for sock in self._sockets]
        # Not our stderr: whoever waits for the end of our output would wait for the page's too.
        log = os.open(
            os.path.join(self._site.outage_dir, LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        if os.fstat(log).st_size > _LOG_OCTETS:
            os.ftruncate(log, 0)
        spec = json.dumps({"config": self._site.config_path, "sockets": fds})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bdmta.outage.page_process", spec], pass_fds=fds, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, cwd="/",
        )  # fmt: skip
        os.close(log)

    def _end(self) -> None:
        for sock in self._sockets:
            sock.close()
        process = self._process
        pid = process.pid if process is not None and process.poll() is None else page_pid(self._site)
        if pid is None:
            return
        try:
            os.kill(pid, signal.SIGTERM)
        except OSError:
            return
        end_at = time.monotonic() + _END_S
        while time.monotonic() < end_at:
            if process.poll() is not None if process is not None else page_pid(self._site) is None:
                return
            time.sleep(0.02)


def run(site: Site, sockets: Sequence[socket.socket], clock: Clock, log: Any, *, is_own: bool) -> None:
    """Serve the page until SIGTERM. BdmtaError when another process does already, or the texts are wrong."""
    import uvloop

    from bdmta.outage.broadcast import means_of
    from bdmta.outage.page_server import Shown, serve

    os.makedirs(site.outage_dir, mode=0o700, exist_ok=True)
    lock = os.open(os.path.join(site.outage_dir, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BdmtaError("the status page of this site is running already") from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    shown = Shown(site, means_of(site, clock, log).texts, clock, log)

    def ended() -> str:
        if is_own:
            return ""
        if not os.path.exists(site.config_path):
            return "the site is gone"
        silent = shown.silent_since
        return "mail has been dead for a day" if silent is not None and clock.time() - silent > _DEAD_FOR_S else ""

    async def answer() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, shown.reload)
        await serve(shown, sockets, ended, log)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(answer())


def main() -> None:
    """Started by `bdmta serve`, with the sockets as descriptors."""
    spec = json.loads(sys.argv[1])
    try:
        site = Site.open(spec["config"])
        privileges.drop(site.config.server.user, site.config.server.group)
        log = configure(site.config.log.level, site.config.log.format, process="status-page")
        run(site, [socket.socket(fileno=fd) for fd in spec["sockets"]], SystemClock(), log, is_own=False)
    except BdmtaError as error:
        print(f"bdmta: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
