"""`bdmta serve`: the processes of a site, or all of it in one (`--workers 0`): the same code, another composition."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import uvloop

from bdmta.clock import SystemClock
from bdmta.errors import BdmtaError
from bdmta.log import configure
from bdmta.outage.page_process import PageKeeper
from bdmta.outage.published import OutageWatch
from bdmta.service.privileges import drop, sd_notify
from bdmta.service.sockets import bind, divided
from bdmta.service.supervise import Supervisor
from bdmta.site import Site
from bdmta.tasks import Tasks


def serve(site: Site, workers: int | None = None) -> int:
    """Run the site in the foreground; prints `ready` when every listener answers. Returns the exit status."""
    from bdmta.service.edge import PROTOCOLS
    from bdmta.service.sockets import WEB

    config = site.config
    count = config.server.workers if workers is None else workers
    if count < 0:
        count = len(os.sched_getaffinity(0))
    log = configure(config.log.level, config.log.format, process="supervisor" if count else "bdmta")
    _raise_descriptor_limit()
    site.create_folders()
    listeners = [listener for listener in config.listeners() if listener.protocol in PROTOCOLS | {WEB}]
    sockets = bind(listeners)
    page = PageKeeper(site, log)
    if count == 0:
        drop(config.server.user, config.server.group)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_all_in_one(site, *divided(sockets, listeners), log, page))
    protocols = {listener.name: listener.protocol for listener in listeners}
    for _, sock in sockets:
        os.set_inheritable(sock.fileno(), True)
    roles = [("office", 0), ("courier", 0), *(("edge", number) for number in range(count))]
    outages = OutageWatch(site.outage_dir, SystemClock())
    supervisor = Supervisor(
        site.config_path, sockets, protocols, roles, config.server.grace_s, log,
        lambda protocol: outages.current().stand_in(protocol), page,
    )  # fmt: skip
    return asyncio.run(supervisor.run())


async def _all_in_one(site: Site, sockets: Any, web: Any, log: Any, page: PageKeeper) -> int:
    from bdmta.office.server import Office
    from bdmta.service.courier import Courier
    from bdmta.service.edge import Edge

    clock = SystemClock()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    office, courier = Office(site, clock, log), Courier(site, clock, log)
    await office.start(web)
    await courier.start()
    edge = Edge(site, 0, 1, clock, log)
    await edge.start(sockets)

    def reload() -> None:
        for part in (office, courier, edge, page):
            part.reload()

    loop.add_signal_handler(signal.SIGHUP, reload)
    print("ready", flush=True)  # noqa: T201 - the line that scripts wait for
    sd_notify(f"READY=1\nMAINPID={os.getpid()}")
    tasks = Tasks(log)
    tasks.start(page.run(stopping, lambda: True), "status page")
    await stopping.wait()
    sd_notify("STOPPING=1")
    await edge.stop(site.config.server.grace_s)
    await courier.stop()
    await office.stop()
    await tasks.finish(10)
    return 0


def _raise_descriptor_limit() -> None:
    """As many descriptors as the hard limit allows: a session is one, and children inherit it."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError) as error:
        raise BdmtaError(f"cannot raise the limit of open files: {error}") from None
