"""A switch for debugging memory: with BDMTA_MEMORY_LOG=DIR each child writes there, every ten seconds, what it holds.

One JSON line: the kernel's figure (RssAnon), malloc's own (mallinfo2: taken from the kernel, in use, kept free),
SQLite's, Python's blocks and collections. With BDMTA_MEMORY_TRACE=N besides, the N lines of code whose allocations
grew most between the second and the tenth minute (tracemalloc; much slower). Nothing runs without the variable.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import sys
import threading
import time
import tracemalloc
from pathlib import Path

_EVERY_S = 10.0
_TRACE_FROM_S, _TRACE_TO_S = 120.0, 600.0


class _Mallinfo2(ctypes.Structure):
    """struct mallinfo2 of glibc 2.33 and later (mallinfo(3)), over all arenas."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    )]  # fmt: skip


def _malloc() -> dict[str, float]:
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return {}
    libc.mallinfo2.restype = _Mallinfo2
    told = libc.mallinfo2()
    names = {"heap_mb": "arena", "mapped_mb": "hblkhd", "used_mb": "uordblks", "free_mb": "fordblks"}
    return {name: round(getattr(told, field) / 1e6, 2) for name, field in names.items()}


def _sqlite_mb() -> float:
    """What SQLite holds, caches of pages for the most part (sqlite3_memory_used); 0 where Python has one of its own."""
    try:
        library = ctypes.CDLL("libsqlite3.so.0")
    except OSError:
        return 0.0
    library.sqlite3_memory_used.restype = ctypes.c_int64
    return round(int(library.sqlite3_memory_used()) / 1e6, 2)


def _anonymous_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def held() -> dict[str, float]:
    """What this process holds at the moment."""
    return {
        "anonymous_mb": round(_anonymous_mb(), 2), **_malloc(), "sqlite_mb": _sqlite_mb(),
        "python_blocks": sys.getallocatedblocks(), "tracked": len(gc.get_objects()),
        "full_collections": gc.get_stats()[2]["collections"], "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
    }  # fmt: skip


async def keep(folder: str, name: str, trace_count: int) -> None:
    """Write a line every ten seconds until cancelled."""
    began, before = time.monotonic(), None
    if trace_count:
        tracemalloc.start()
    with open(os.path.join(folder, f"{name}.jsonl"), "a", buffering=1) as file:
        while True:
            await asyncio.sleep(_EVERY_S)
            at_s = time.monotonic() - began
            file.write(json.dumps({"at_s": round(at_s, 1), **held()}) + "\n")
            if trace_count and before is None and at_s > _TRACE_FROM_S:
                before = tracemalloc.take_snapshot()
            if before is not None and at_s > _TRACE_TO_S:
                grown = tracemalloc.take_snapshot().compare_to(before, "lineno")[:trace_count]
                file.write(json.dumps({"at_s": round(at_s, 1), "grown": [str(one) for one in grown]}) + "\n")
                trace_count, before = 0, None
                tracemalloc.stop()
