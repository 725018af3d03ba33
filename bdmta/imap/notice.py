"""What the configuration says of single accounts, and the notice that all sessions are shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from bdmta.errors import ConfigError

MAX_ALERTS = 5
MAX_ALERT_CHARACTERS = 400


def withheld_by_account(entries: Iterable[str]) -> Callable[[str], frozenset[str]]:
    """What an account is not offered, from entries `address CAPABILITY...`; ConfigError names a bad one."""
    table: dict[str, frozenset[str]] = {}
    for entry in entries:
        address, *capabilities = entry.split()
        if "@" not in address or not capabilities:
            raise ConfigError(f"[imap] withheld: {entry!r}; write an address, then capabilities such as CONDSTORE")
        key = address.casefold()
        table[key] = table.get(key, frozenset()) | {capability.upper() for capability in capabilities}
    nothing: frozenset[str] = frozenset()
    return lambda address: table.get(address, nothing)


class AlertFile:
    """The lines of a file, shown to every session as `* OK [ALERT]` at login; on reload to those that are there.

    For an operator to tell everybody: `echo "Bảo trì lúc 22:00" > state/alert; kill -HUP`. No file, no alert.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._shown = self.lines()

    def lines(self) -> list[str]:
        """The alerts of now: at most five lines, cut to what fits a response line; no control characters."""
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                text = file.read(8192)
        except OSError:
            return []
        clean = ("".join(c if c.isprintable() else " " for c in line).strip() for line in text.splitlines())
        return [line[:MAX_ALERT_CHARACTERS] for line in clean if line][:MAX_ALERTS]

    def fresh(self) -> list[str]:
        """The lines that were not there when last asked."""
        now = self.lines()
        new = [line for line in now if line not in self._shown]
        self._shown = now
        return new


def alert_path(state_dir: str) -> str:
    """Where the file is looked for."""
    return os.path.join(state_dir, "alert")
