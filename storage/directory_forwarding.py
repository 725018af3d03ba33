"""What mailboxes do with letters beside keeping them: send them on, say that their owner is away.

One small JSON file beside the directory, replaced atomically; edges and the courier read it, the office writes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from storage.clock import Clock
from storage.errors import Corrupt, Invalid, StoreError
from storage.files import write_durable

FILE = "forwarding.json"
MAX_TARGETS = 10
MAX_TEXT_CHARACTERS = 5_000
_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Forwarding:
    """One mailbox's settings. `keeps` False: letters are only sent on. Times in seconds since 1970; 0: no bound."""

    forward: tuple[str, ...] = ()
    keeps: bool = True
    absence: str = ""
    absence_from: float = 0.0
    absence_until: float = 0.0

    def is_away(self, now: float) -> bool:
        """An absence text is to be sent now."""
        return bool(self.absence) and self.absence_from <= now and (not self.absence_until or now < self.absence_until)


def read_forwarding(path: str) -> dict[str, Forwarding]:
    """The settings by mailbox; none when there is no file. Raises Corrupt, StoreError."""
    try:
        with open(path, "rb") as file:
            found = json.load(file)
        return {address: Forwarding(**{**row, "forward": tuple(row["forward"])}) for address, row in found.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt(f"{path} does not hold the settings of mailboxes: {error}") from error


def change_forwarding(path: str, address: str, changes: Mapping[str, Any]) -> Forwarding:
    """Change some of a mailbox's settings; durable. One writer at a time. Raises Invalid, Corrupt, StoreError."""
    settings = read_forwarding(path)
    made = Forwarding(**{**asdict(settings.get(address, Forwarding())), **changes})
    made = Forwarding(**{**asdict(made), "forward": tuple(made.forward)})
    if len(made.forward) > MAX_TARGETS:
        raise Invalid(f"{address}: at most {MAX_TARGETS} addresses to forward to")
    if len(made.absence) > MAX_TEXT_CHARACTERS:
        raise Invalid(f"{address}: an absence text has at most {MAX_TEXT_CHARACTERS} characters")
    if not made.forward and not made.keeps:
        raise Invalid(f"{address}: a mailbox that sends nothing on must keep its letters")
    if made == Forwarding():
        settings.pop(address, None)
    else:
        settings[address] = made
    rows = {key: asdict(value) for key, value in sorted(settings.items())}
    write_durable(path, json.dumps(rows, ensure_ascii=False, indent=1).encode() + b"\n")
    return made


class ForwardingWatch:
    """The settings of now; the file is looked at once a second at most. A broken file leaves the old ones."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._look_at = float("-inf")
        self._seen: tuple[int, ...] = ()
        self._settings: dict[str, Forwarding] = {}

    def get(self, address: str) -> Forwarding | None:
        """The settings of a mailbox (by its key), or None for the many that have none."""
        now = self._clock.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_AGAIN_S
            self._look()
        return self._settings.get(address)

    def _look(self) -> None:
        try:
            stat = os.stat(self._path)
            seen: tuple[int, ...] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except OSError:
            seen = ()
        if seen != self._seen:
            try:
                self._settings = read_forwarding(self._path)
            except StoreError:
                return
            self._seen = seen
