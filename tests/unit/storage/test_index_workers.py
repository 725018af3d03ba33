"""Worker processes of the index: they work, they fail singly, they go when nobody needs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.index_workers import Workers
from tests.unit.storage.box_support import World


def test_work_is_done_elsewhere_and_errors_come_back() -> None:
    workers = Workers(1)
    pid = workers.submit(os.getpid).result(20)
    assert pid != os.getpid()
    with pytest.raises(ZeroDivisionError):
        workers.submit(divmod, 1, 0).result(20)
    assert workers.submit(os.getpid).result(20) == pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises((EOFError, OSError)):
        workers.submit(os.getpid).result(20)
    assert workers.submit(os.getpid).result(20) != pid
    workers.shutdown()
    assert workers.idle_count == 0


def test_idle_processes_end() -> None:
    workers = Workers(1, idle_s=0.01)
    pid = workers.submit(os.getpid).result(20)
    end_at = time.monotonic() + 5
    while workers.idle_count and time.monotonic() < end_at:
        time.sleep(0.005)
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end_at:
        time.sleep(0.005)
    assert not Path(f"/proc/{pid}").exists()
    workers.shutdown()


def test_workers_die_with_a_parent_that_was_killed() -> None:
    code = (
        f"import sys, os, time; sys.path[:] = {sys.path!r}\n"
        "from storage.index_workers import Workers\n"
        "w = Workers(1)\nprint(w.submit(os.getpid).result(), flush=True)\ntime.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end_at = time.monotonic() + 5
    while (
        Path(f"/proc/{pid}/cmdline").exists()
        and Path(f"/proc/{pid}/cmdline").read_bytes()
        and time.monotonic() < end_at
    ):
        time.sleep(0.005)
    assert not Path(f"/proc/{pid}").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()


def test_many_letters_are_read_by_workers(tmp_path: Path) -> None:
    world = World(str(tmp_path))
    for _ in range(450):
        world.deliver()
    boxes = world.process()
    boxes.builders = Workers(2)
    view = boxes.mailbox(world.path, world.index).open_view("INBOX")
    assert view.box.prepare(view.columns.uid) == 450
    assert view.box.fields(view.columns, "subject") == [f"letter {n}" for n in range(1, 451)]
    world.close()
    boxes.builders.shutdown()
