"""What each process of a service holds, taken every few seconds: memory, descriptors, threads."""

from __future__ import annotations

import json
import os
import re
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from bdmta.journals import JOURNALS_COUNT
from bench.process import anonymous_octets, cpu_s, descendants

_KEPT = (
    (re.compile(r".*/mail/.+/new"), JOURNALS_COUNT + 1, 256 * (JOURNALS_COUNT + 1)),
    (re.compile(r".*/index/.+\.db(-wal|-shm)?"), 1, 32 * 3),
)
"""What an edge keeps open between letters, each a bounded cache: folders, by its store and by each of its journals
(storage.open_dirs), and the files of indexes (storage.box). How often the same path at most, and how many in all.
"""


@dataclass
class Sample:
    """One process group (`edge`, `office`, ...) at one moment. `descriptors`: without the `kept` ones, see `kept_open`."""

    at_s: float
    anonymous_mb: float
    descriptors: int
    threads: int
    processes: int
    kept: int = 0
    largest_mb: float = 0.0

    @property
    def judged_mb(self) -> float:
        """The memory of its largest process: of four workers two may idle until a burst comes, and then fill up."""
        return self.largest_mb or self.anonymous_mb


@dataclass
class Sampler:
    """A thread that looks at all processes below `pid` every `every_s`. `by_role` holds what it saw."""

    pid: int
    every_s: float = 5.0
    by_role: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))

    def __enter__(self) -> Sampler:
        self._ended = threading.Event()
        self._start = time.monotonic()
        self._cpu = cpu_s(self.pid)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._ended.set()
        self._thread.join()
        self.cpu_s = cpu_s(self.pid) - self._cpu

    def _run(self) -> None:
        while not self._ended.wait(self.every_s):
            self.take()

    def take(self) -> None:
        """Look once."""
        found: dict[str, list[tuple[int, ...]]] = defaultdict(list)
        for pid in descendants(self.pid):
            try:
                threads = len(os.listdir(f"/proc/{pid}/task"))
                paths = _open_paths(pid)
                kept = kept_open(paths)
                found[role(pid)].append((anonymous_octets(pid), len(paths) - kept, threads, kept))
            except OSError:
                continue
        at_s = time.monotonic() - self._start
        for name, rows in found.items():
            octets, descriptors, threads, kept = (sum(column) for column in zip(*rows, strict=True))
            largest_mb = max(row[0] for row in rows) / 1e6
            self.by_role[name].append(Sample(at_s, octets / 1e6, descriptors, threads, len(rows), kept, largest_mb))


def _open_paths(pid: int) -> list[str]:
    """What each descriptor is of; "" when it was closed meanwhile."""
    paths = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            paths.append(os.readlink(f"/proc/{pid}/fd/{number}"))
        except FileNotFoundError:
            paths.append("")
    return paths


def kept_open(paths: Iterable[str]) -> int:
    """How many of these descriptors the caches of folders and indexes account for.

    They fill at the pace of the traffic, which is no leak; a path that is open more often than they open it is, and so
    is one of a removed file (` (deleted)`), and whatever is beyond their limits.
    """
    counts = Counter(paths)
    return sum(
        min(most, sum(min(count, times) for path, count in counts.items() if kind.fullmatch(path)))
        for kind, times, most in _KEPT
    )


def role(pid: int) -> str:
    """What a process of bdmta is, by its command line: supervisor, edge 0, edge 1, office, courier, examiner."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read().decode("utf-8", "replace").split("\0")
    for word in words:
        if '"role"' in word:
            try:
                told = json.loads(word)
                return f"edge {told['number']}" if told["role"] == "edge" else str(told["role"])
            except (ValueError, KeyError):
                continue
    if "serve" in words:
        return "supervisor"
    return next((word.rpartition(".")[2] for word in words if word.startswith("bdmta.")), words[0].rpartition("/")[2])


def part(samples: list[Sample], start: float, end: float) -> list[Sample]:
    """Those between two shares of the time."""
    last = samples[-1].at_s
    return [one for one in samples if start * last <= one.at_s <= end * last]


def median(samples: list[Sample], name: str) -> float:
    """Of one of its numbers."""
    return statistics.median(getattr(one, name) for one in samples)
