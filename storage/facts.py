"""Facts on their way to the ledger: an append-only file of JSON lines a process, imported by the office (contract 9).

A fact says who, whom, when and what became of it; never a subject, never content (contract 11). What is written
survives the process (`kill -9`); a line torn by it is found and passed over by the reader.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from storage.clock import Clock

FIELDS = ("at", "event", "reference", "message_id", "sender", "recipient", "detail")
LINE_OCTETS_MAX = 16_384
TEXT_MAX = 1_000
SUFFIX = ".jsonl"


class FactWriter:
    """The fact file of one process. Held by a lock while it grows, so that the office knows when it is complete."""

    def __init__(self, folder: str, clock: Clock, process_name: str, *, rotate_octets: int = 16 * 1024 * 1024) -> None:
        self._folder = folder
        self._clock = clock
        self._process_name = re.sub(r"[^A-Za-z0-9_-]", "_", process_name)
        self._rotate_octets = rotate_octets
        self._sequence = 0
        self._fd = -1
        self._octets = 0
        self._is_torn = False

    def write(self, facts: Sequence[Mapping[str, Any]]) -> None:
        """Append `facts` in one write; `at` (seconds since 1970) is set where it is missing. Raises OSError.

        Values that are too long are cut; a detail that is, is left out. After a failed write (no space) the torn line
        is closed before the next one.
        """
        if not facts:
            return
        lines = [self._line(fact) for fact in facts]
        if self._is_torn:
            lines.insert(0, b"\n")
        data = b"".join(lines)
        if self._fd < 0 or self._octets + len(data) > self._rotate_octets:
            self._open_next()
        self._is_torn = True
        done = os.write(self._fd, data)
        while done < len(data):  # only a disk that fills up writes less
            done += os.write(self._fd, data[done:])
        self._is_torn = False
        self._octets += len(data)

    def close(self) -> None:
        """Let the file go: it is complete."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _line(self, fact: Mapping[str, Any]) -> bytes:
        row = {name: _cut(fact[name]) for name in FIELDS if fact.get(name) not in (None, "", {})}
        row.setdefault("at", self._clock.time())
        line = _encoded(row)
        if len(line) > LINE_OCTETS_MAX:
            row["detail"] = {"cut": True}
            line = _encoded(row)
        return line

    def _open_next(self) -> None:
        """Open a file of its own name. The lock comes after the name is seen: if the office took the file, another."""
        self.close()
        while True:
            self._sequence += 1
            stamp = int(self._clock.time() * 1e6)
            name = f"{self._process_name}.{stamp:017d}.{os.getpid()}.{self._sequence}{SUFFIX}"
            path = os.path.join(self._folder, name)
            try:
                fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                continue
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:
                self._fd, self._octets, self._is_torn = fd, 0, False
                return
            os.close(fd)


def _cut(value: Any) -> Any:
    return value[:TEXT_MAX] if isinstance(value, str) else value


def _encoded(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, default=str, separators=(",", ":")).encode("ascii") + b"\n"
