"""What a server's processes cost: CPU and memory, read from the kernel."""

from __future__ import annotations

import os
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
_WHOLE_PROCESS = 2  # CPUCLOCK_SCHED of the kernel's posix-timers.h: clock_getcpuclockid(3), which Python does not have


def descendants(pid: int) -> list[int]:
    """The process and everything below it."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += children.get(one, [])
    return found


def cpu_s(pid: int) -> float:
    """User and system seconds of the process and all below it: to the microsecond while they live; those of ended
    children in hundredths, as their parents have them.
    """
    total = 0.0
    for one in descendants(pid):
        try:
            total += time.clock_gettime((~one << 3) | _WHOLE_PROCESS)
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[13:15]) / TICK
    return total


def anonymous_octets(pid: int) -> int:
    """Anonymous memory of one process, a page that several share counted in parts; 0 when it has ended."""
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    for line in told.splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) * 1024
    return 0
