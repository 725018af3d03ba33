"""Few arenas and no holes: what the allocator is told, and the switch that shows what a process holds."""

import asyncio
import json
import subprocess
import sys

import pytest

from bdmta.service import memory_log

_COUNT = """
import ctypes, os, sys, threading
from bdmta.service import allocator
if sys.argv[1] == "settled":
    allocator.settle()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
gate = threading.Barrier(9)
def work():
    assert libc.malloc(5000)
    gate.wait()
    gate.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
gate.wait()
stream = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stream)
libc.fflush(stream)
gate.wait()
"""


def arenas(how: str, **environment: str) -> int:
    """How many arenas eight threads have."""
    words = [sys.executable, "-c", _COUNT, how]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    return done.stdout.count("<heap nr=")


def test_threads_share_two_arenas_and_the_environment_wins():
    assert arenas("as it comes") > 4
    assert arenas("settled") == 2
    assert arenas("settled", MALLOC_ARENA_MAX="5") == 5


def test_what_a_process_holds_is_written_down(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_log, "_EVERY_S", 0.01)
    monkeypatch.setattr(memory_log, "_TRACE_FROM_S", 0.02)
    monkeypatch.setattr(memory_log, "_TRACE_TO_S", 0.2)
    kept = []

    async def run():
        async with asyncio.timeout(20):
            keeping = asyncio.ensure_future(memory_log.keep(str(tmp_path), "edge0", 3))
            while not (lines := _lines(tmp_path / "edge0.jsonl")) or "grown" not in lines[-1]:
                kept.append(bytes(1000))
                await asyncio.sleep(0.01)
            keeping.cancel()

    asyncio.run(run())
    lines = _lines(tmp_path / "edge0.jsonl")
    assert lines[0]["anonymous_mb"] > 5 and lines[0]["python_blocks"] > 10_000
    assert lines[0]["used_mb"] == pytest.approx(lines[0]["heap_mb"] - lines[0]["free_mb"], abs=0.1)
    assert any("test_memory.py" in line for line in lines[-1]["grown"])


def _lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
