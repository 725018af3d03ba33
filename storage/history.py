"""A history that can only grow: one JSON object a line, each bound to the one before it by its digest.

`{"n": 3, "at": …, …, "was": <digest of line 2>}`. Whoever changes, removes or puts in a line breaks the chain at that
place, and `read_history` says where. Readable with cat; read without a lock, beside its one writer.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from storage.errors import Corrupt, Locked
from storage.files import fsync_dir, store_error, write_all

_START = "0" * 32
_MAX_OCTETS = 256 << 20
_RESERVED = ("n", "was")


def read_history(path: str) -> list[dict[str, Any]]:
    """Every entry, oldest first, without its chain; none when there is no file. A torn last line was never promised.

    Raises Corrupt, which names the line that does not follow from the one before; StoreError.
    """
    return [entry for entry, _ in _entries(_octets(path), path)]


class History:
    """The one writer of a history, under a lock. Not for several threads."""

    def __init__(self, path: str) -> None:
        """Open or make the file; cut a torn last line. Raises Locked, Corrupt, StoreError."""
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise store_error(error, f"cannot open {path}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            octets = _octets(path)
            self.entries = [entry for entry, _ in _entries(octets, path)]
            whole = octets.rfind(b"\n") + 1
            if whole < len(octets):
                os.ftruncate(self._fd, whole)
            self._end = whole
            self._last = _digest(octets[:whole].rsplit(b"\n", 2)[-2]) if whole else _START
            fsync_dir(os.path.dirname(path) or ".")
        except BlockingIOError:
            os.close(self._fd)
            raise Locked(f"{path}: another process writes it") from None
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, *entries: Mapping[str, Any]) -> None:
        """Add `entries`, durable when it returns: all of them or, when it raises StoreError, none."""
        if not entries:
            return
        lines, last, number = [], self._last, len(self.entries)
        for entry in entries:
            if any(name in entry for name in _RESERVED):
                raise ValueError(f"{_RESERVED} belong to the chain")
            number += 1
            row = {"n": number, **entry, "was": last}
            line = json.dumps(row, ensure_ascii=False, separators=(", ", ": ")).encode("utf-8", "replace")
            last = _digest(line)
            lines.append(line + b"\n")
        octets = b"".join(lines)
        try:
            write_all(self._fd, [octets])
            os.fsync(self._fd)
        except OSError as error:
            try:
                os.ftruncate(self._fd, self._end)
            except OSError:
                pass
            raise store_error(error, f"cannot write {self._path}") from error
        self._end += len(octets)
        self._last = last
        self.entries += [json.loads(json.dumps(dict(entry))) for entry in entries]

    def close(self) -> None:
        """Let the file and its lock go."""
        os.close(self._fd)


def _octets(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            octets = file.read(_MAX_OCTETS + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise store_error(error, f"cannot read {path}") from error
    if len(octets) > _MAX_OCTETS:
        raise Corrupt(f"{path}: over {_MAX_OCTETS} octets")
    return octets


def _entries(octets: bytes, path: str) -> Iterator[tuple[dict[str, Any], str]]:
    last = _START
    for number, line in enumerate(octets.split(b"\n")[:-1], 1):
        try:
            row = json.loads(line)
            is_next = row.pop("n") == number and row.pop("was") == last
        except (ValueError, KeyError, AttributeError, RecursionError):
            is_next = False
        if not is_next:
            raise Corrupt(f"{path}: line {number} does not follow from the one before: the history was changed by hand")
        last = _digest(line)
        yield row, last


def _digest(line: bytes) -> str:
    return hashlib.blake2b(line, digest_size=16).hexdigest()
