"""`scripts/bench queue`: how long a courier takes to know 100,000 letters that wait, and what they cost it in memory.

The courier runs in a process of its own, on a site whose spool holds the letters (10,000 domains, each tried once and
deferred). Measured twice: with the files in the page cache, and after the cache has been dropped.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import results
from bench.extent import of
from bench.process import anonymous_octets
from storage.clock import SystemClock
from storage.spool_entry import QueueEntry, QueueRecipient, render_entry

COUNT = of(100_000, 10_000)
_LINKS = 50_000  # an inode takes 65,000 names


def fill(folder: Path, count: int, start: int = 0) -> None:
    """Entries `start` to `count` that wait for an hour; their letters of 4 KiB share a few inodes."""
    now = time.time()
    first = folder
    for number in range(start, count):
        entry_id = f"{int((now - 600) * 1e6) + number:014x}-1-{number:x}"
        message = folder / f"{entry_id}.msg"
        if number in (start, number // _LINKS * _LINKS):
            message.write_bytes(b"From: a@test.local\r\nSubject: x\r\n\r\n" + b"x" * 70 + b"\r\n" * 56)
            first = message
        else:
            os.link(first, message)
        state = {
            "attempts": 1, "last_at": now - 500, "next_at": now + 3600, "code": 0, "status": "4.4.1",
            "last_reply": "Connect call failed ('192.0.2.1', 25)", "host": "mx.example[192.0.2.1]",
        }  # fmt: skip
        recipient = QueueRecipient(f"somebody{number}@d{number % 10_000}.example", state=state)
        entry = QueueEntry(
            entry_id, f"sender{number}@test.local", (recipient,), direction="submission", received_at=now - 600,
            size_octets=4096,
        )  # fmt: skip
        aside = folder.parent / "filling.env"
        aside.write_bytes(render_entry(entry))
        aside.rename(folder / f"{entry_id}.env")  # whole at once, if a courier looks on


async def _courier(config: str, count: int) -> None:
    """Run in the process that is measured: prints what came out."""
    import structlog

    from bdmta.service.courier import Courier
    from bdmta.site import Site

    site = Site.open(config)
    courier = Courier(site, SystemClock(), structlog.get_logger())
    before = anonymous_octets(os.getpid())
    start = time.monotonic()
    await courier.start()
    while len(courier.dispatcher) < count:
        await asyncio.sleep(0.01)
    took_s = time.monotonic() - start
    after = anonymous_octets(os.getpid())
    with open(f"/proc/{os.getpid()}/status") as file:
        peak_kib = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    print(took_s, before, after, peak_kib * 1024, flush=True)
    os._exit(0)


def main(say: Callable[[str], None]) -> None:
    """`scripts/bench queue`."""
    top = Path(tempfile.mkdtemp(prefix="bdmta-bench.", dir=os.environ.get("BENCH_TMP")))
    site = top / "site"
    subprocess.run([sys.executable, "-m", "bdmta", "init", str(site), "--domain", "test.local"], check=True)
    fill(site / "queue", COUNT)
    lines = []
    for state in ("in the cache", "cold"):
        if state == "cold":
            os.sync()
            Path("/proc/sys/vm/drop_caches").write_text("3")
        done = subprocess.run(
            [sys.executable, "-m", "bench.queue_load", str(site / "bdmta.toml"), str(COUNT)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        took_s, before, after, peak = map(float, done.stdout.split())
        lines.append(
            f"{COUNT:,} letters that wait, files {state}: known after {took_s:.1f} s; the courier's anonymous memory grew "
            f"from {before / 1e6:.0f} to {after / 1e6:.0f} MB (at most {peak / 1e6:.0f} MB resident, code included)."
        )
        say(lines[-1])
    results.write("queue", "\n\n".join(lines) + "\n\nAt most 10 s and 200 MB are wanted.")
    say(f"left in {top}; remove it when you like")


if __name__ == "__main__":
    asyncio.run(_courier(sys.argv[1], int(sys.argv[2])))
