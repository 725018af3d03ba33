"""What each child process runs: `python -m bdmta.service.child SPEC` (JSON from the supervisor)."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from bdmta.clock import SystemClock
from bdmta.errors import BdmtaError
from bdmta.log import configure
from bdmta.service import allocator, privileges
from bdmta.service.sockets import adopt
from bdmta.site import Site
from bdmta.tasks import Tasks


def main() -> None:
    """Run one role until SIGTERM. Exit status 2: the configuration is wrong, and a restart would not help."""
    spec = json.loads(sys.argv[1])
    allocator.settle()
    privileges.die_with(spec["parent"])
    # Between now and the handlers below a signal must not kill us half-way; the parent repeats SIGTERM's meaning.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        site = Site.open(spec["config"])
        privileges.drop(site.config.server.user, site.config.server.group)
        privileges.die_with(spec["parent"])  # again: the kernel forgets it when credentials change
        log = configure(site.config.log.level, site.config.log.format, process=f"{spec['role']}{spec['number']}")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(spec, site, log))
    except BdmtaError as error:
        print(f"bdmta: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(error.exit_code) from None


async def _run(spec: dict[str, Any], site: Site, log: Any) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)

    def ready(reload: Callable[[], None]) -> None:
        gc.collect()
        gc.freeze()  # what is here stays: a full collection that looked at it would hold the loop for 50 ms
        loop.add_signal_handler(signal.SIGHUP, reload)
        os.write(spec["ready_fd"], b"ready\n")
        os.close(spec["ready_fd"])

    roles: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
        "edge": _edge,
        "office": _office,
        "courier": _courier,
    }
    tasks = Tasks(log)
    _start_memory_log(spec, tasks)
    await roles[spec["role"]](spec, site, log, stopping, ready)
    await tasks.finish(0)


def _start_memory_log(spec: dict[str, Any], tasks: Tasks) -> None:
    """The switch for debugging, see memory_log."""
    folder = os.environ.get("BDMTA_MEMORY_LOG")
    if not folder:
        return
    from bdmta.service import memory_log

    trace_count = int(os.environ.get("BDMTA_MEMORY_TRACE", "0"))
    tasks.start(memory_log.keep(folder, f"{spec['role']}{spec['number']}", trace_count), "memory log")


async def _edge(spec: dict[str, Any], site: Site, log: Any, stopping: asyncio.Event, ready: Any) -> None:
    from bdmta.service.edge import Edge

    # Threads that sort or search hand the interpreter back to the loop ten times as often as they would.
    sys.setswitchinterval(0.0005)
    edge = Edge(site, spec["number"], spec["edges"], SystemClock(), log)
    await edge.start(adopt([tuple(pair) for pair in spec["sockets"]]))
    ready(edge.reload)
    await stopping.wait()
    await edge.stop(site.config.server.grace_s)


async def _office(spec: dict[str, Any], site: Site, log: Any, stopping: asyncio.Event, ready: Any) -> None:
    from bdmta.office.server import Office

    office = Office(site, SystemClock(), log)
    await office.start(adopt([tuple(pair) for pair in spec["sockets"]]))
    ready(office.reload)
    await stopping.wait()
    await office.stop()


async def _courier(spec: dict[str, Any], site: Site, log: Any, stopping: asyncio.Event, ready: Any) -> None:
    from bdmta.service.courier import Courier

    courier = Courier(site, SystemClock(), log)
    await courier.start()
    ready(courier.reload)
    await stopping.wait()
    await courier.stop()


if __name__ == "__main__":
    main()
