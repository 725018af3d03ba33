"""What each process of a service holds, taken every few seconds: memory, descriptors, threads."""

from __future__ import annotations

import json
import os
import statistics
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field

from bench.process import anonymous_octets, cpu_s, descendants


@dataclass
class Sample:
    """One process group (`edge`, `office`, ...) at one moment."""

    at_s: float
    anonymous_mb: float
    descriptors: int
    threads: int
    processes: int


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
        found: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for pid in descendants(self.pid):
            try:
                threads = len(os.listdir(f"/proc/{pid}/task"))
                found[role(pid)].append((anonymous_octets(pid), len(os.listdir(f"/proc/{pid}/fd")), threads))
            except OSError:
                continue
        at_s = time.monotonic() - self._start
        for name, rows in found.items():
            octets, descriptors, threads = (sum(column) for column in zip(*rows, strict=True))
            self.by_role[name].append(Sample(at_s, octets / 1e6, descriptors, threads, len(rows)))


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
