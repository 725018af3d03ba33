"""`scripts/bench all`: each part in a process of its own, one after the other, for half an hour and more.

Before the first: is there room for what they leave behind? A part that fails, hangs or dies stops no other; servers that it left
running are ended before the next begins, so that each finds its ports free and the machine to itself. The parts that fail are named
at the end, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from bench import results
from bench.extent import IS_QUICK, of
from bench.process import descendants

Say = Callable[[str], None]
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2): whoever is orphaned below this process becomes its child, not init's
_LIMIT_S = 5400.0  # of one part; the longest takes a ninth of it
_REST_S = of(60.0, 0.0)
_AFTER_REST = ("latency", "group", "send", "outage", "backup")
"""These make files by the thousand. For a minute after many were deleted ext4 passes over each of their inodes, one by one."""
_ROOM = {
    "smtp": (2.4, 85), "latency": (0.5, 60), "group": (0.3, 55), "memory": (0.7, 35), "send": (0.5, 40), "imap": (0.4, 40),
    "pop3": (0.2, 30), "idle": (3.7, 430), "addressbook": (0.1, 50), "outage": (2.1, 630), "queue": (0.5, 110),
    "growth": (5.0, 1200), "backup": (6.6, 420),
}  # fmt: skip
"""What each leaves behind, as measured with five rounds: gigabytes, and thousands of files and folders."""


def everything(words: Sequence[str], parts: Sequence[str], say: Say) -> None:
    """`scripts/bench all WORDS`. SystemExit when a part failed, or there is no room."""
    asked = _asked(words, parts)
    chosen = asked.only.split(",") if asked.only else list(parts)
    say(f"--- all: {', '.join(chosen)}; {prove_room(chosen)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    took: dict[str, str] = {}
    began = time.monotonic()
    for what in chosen:
        os.sync()
        if took and what in _AFTER_REST:
            time.sleep(_REST_S)
        say(f"--- {what}, {time.strftime('%H:%M:%S')}")
        start, free = time.monotonic(), _free()[0]
        why = run_part([sys.executable, "-m", "bench", what, *words_of(what, asked)], _LIMIT_S)
        took[what] = f"{'FAILED, ' + why if why else 'done'} in {time.monotonic() - start:.0f} s"
        say(f"--- {what}: {took[what]}; {max(0.0, free - _free()[0]):.1f} GB left behind")
    say("\n".join(f"--- {what}: {how}" for what, how in took.items()))
    say(f"--- all: {(time.monotonic() - began) / 60:.1f} minutes; results in {results.RESULTS}")
    if failed := [what for what, how in took.items() if how.startswith("FAILED")]:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _asked(words: Sequence[str], parts: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench all", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1 if IS_QUICK else 5)
    parser.add_argument("--port", type=int, default=21025)
    parser.add_argument("--warm", action="store_true", help="imap: without the cold rows, which take minutes")
    parser.add_argument("--only", default="", help="these parts, comma-separated")
    asked = parser.parse_args(words)
    unknown = set(filter(None, asked.only.split(","))) - set(parts)
    if unknown:
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    return asked


def words_of(what: str, asked: argparse.Namespace) -> list[str]:
    """What each part is called with: it knows no other words."""
    port, rounds = ["--port", str(asked.port)], ["--rounds", str(asked.rounds)]
    if what in ("policy", "addressbook", "queue", "mailauth"):
        return []
    if what in ("memory", "idle", "backup", "outage"):
        return port
    return [*port, *rounds, *(["--warm"] if what == "imap" and (asked.warm or IS_QUICK) else [])]


def prove_room(parts: Sequence[str]) -> str:
    """How much room they want and how much there is; SystemExit when that is too little."""
    share = of(1.0, 0.1)
    each = [_ROOM.get(part, (0.0, 0)) for part in parts]
    wanted_gb, wanted = 1 + share * sum(gb for gb, _ in each), 10 + share * sum(files for _, files in each)
    free_gb, files = _free()
    told = f"{wanted_gb:.1f} GB and {wanted:,.0f},000 files are wanted in {_folder()}, {free_gb:.1f} GB and {files:,},000 are free"
    if free_gb < wanted_gb or files < wanted:
        raise SystemExit(f"no room: {told}; make some, or choose parts by --only, or a place by BENCH_TMP=FOLDER")
    return told


def _folder() -> Path:
    return Path(os.environ.get("BENCH_TMP") or tempfile.gettempdir())


def _free() -> tuple[float, int]:
    """Gigabytes, and thousands of files; a file system without a fixed number of inodes has room for any."""
    told = os.statvfs(_folder())
    return shutil.disk_usage(_folder()).free / 1e9, told.f_favail // 1000 if told.f_files else 1_000_000


def run_part(command: Sequence[str], limit_s: float) -> str:
    """Run it to its end; "" when it went well, else why not. Nothing that it started runs any more on return.

    When this process is told to end (SIGTERM, Ctrl-C), the part is told so too and may stop its servers first.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    part = subprocess.Popen(command)
    try:
        code = part.wait(limit_s)
        return f"exit status {code}" if code else ""
    except subprocess.TimeoutExpired:
        return f"not done after {limit_s / 60:g} minutes"
    except KeyboardInterrupt:  # the terminal told the part as well
        with suppress(subprocess.TimeoutExpired):
            part.wait(90)
        raise
    finally:
        if part.poll() is None:
            part.terminate()
            with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                part.wait(90)
        end_all_below()


def end_all_below() -> None:
    """SIGKILL to whatever runs below this process, orphans among them (see PR_SET_CHILD_SUBREAPER), until nothing does."""
    me = os.getpid()
    while left := [pid for pid in descendants(me) if pid != me]:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        time.sleep(0.02)
