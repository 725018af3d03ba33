"""The heartbeat: edges say every few seconds that they serve, the office says what it sees; the gaps are outages.

An edge writes `beat.<number>`, the office `heartbeat.json`, both in the folder of outages. They are written in place,
not synced: what counts is the last one that a crash left, and half a minute of doubt does not matter. The status page
reads `heartbeat.json`: when it is old, mail is down, whoever else is alive.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bdmta.clock import Clock

BEAT_EVERY_S = 4.0
SILENT_AFTER_S = 20.0
HEARTBEAT = "heartbeat.json"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_MAX_OCTETS = 65_536

POWER, CRASH, STOP, DISK = "power", "crash", "stop", "disk"
CAUSES = {
    POWER: "Máy chủ mất điện hoặc khởi động lại",
    CRASH: "Tiến trình của máy chủ thư bị dừng đột ngột",
    STOP: "Máy chủ thư được dừng theo lệnh",
    DISK: "Ổ đĩa của máy chủ thư đầy",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which services were away. `ended`: they are back."""

    services: tuple[str, ...]
    from_at: float
    until_at: float
    cause: str
    ended: bool


def _grouped(away: Mapping[str, tuple[float, str]], now: float, *, ended: bool) -> list[Gap]:
    """One gap for services that went together."""
    together: dict[tuple[str, int], list[str]] = {}
    for service, (since, cause) in away.items():
        key = next((k for k in together if k[0] == cause and abs(k[1] - since) < SILENT_AFTER_S), (cause, int(since)))
        together.setdefault(key, []).append(service)
    return [
        Gap(tuple(services), min(away[s][0] for s in services), now, cause, ended)
        for (cause, _), services in together.items()
    ]


def boot_id() -> str:
    """Differs after each start of the machine; empty where the kernel does not say."""
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            return file.read(64).strip()
    except OSError:
        return ""


class EdgeBeat:
    """One edge's sign of life."""

    def __init__(self, folder: str, number: int, clock: Clock) -> None:
        self._path = os.path.join(folder, f"beat.{number}")
        self._clock = clock

    def beat(self, services: Sequence[str]) -> None:
        """Say that `services` are served here now. A disk that does not take it is no reason to fail."""
        _write(self._path, {"at": self._clock.time(), "services": sorted(services)})


@dataclass(slots=True)
class Heart:
    """What the office sees. `services`: those that should be there."""

    folder: str
    clock: Clock
    services: tuple[str, ...]
    boot: str = field(default_factory=boot_id)
    _away: dict[str, tuple[float, str]] = field(default_factory=dict)
    _heard: dict[str, tuple[list[Any], float]] = field(default_factory=dict)

    def start(self) -> Gap | None:
        """At the office's start: the time since the last beat, when all services were away; None at the first start."""
        now = self.clock.time()
        last = _read(os.path.join(self.folder, HEARTBEAT))
        if last is None or not isinstance(last.get("at"), int | float) or last["at"] > now:
            return None
        cause = STOP if last.get("state") == "stopped" else CRASH if last.get("boot") == self.boot else POWER
        return Gap(self.services, float(last["at"]), now, cause, ended=True)

    def look(self, *, disk_is_full: bool) -> list[Gap]:
        """Who is away and who came back since the last look; writes `heartbeat.json`.

        A service away is a gap that has not ended, at every look; once it is back, the gap comes once more, ended.
        """
        now = self.clock.time()
        silent_s = self._silences()
        back: dict[str, tuple[float, str]] = {}
        for service in self.services:
            if service == "smtp" and disk_is_full:
                self._away.setdefault(service, (now, DISK))
            elif silent_s[service] > SILENT_AFTER_S:
                self._away.setdefault(service, (now - silent_s[service], CRASH))
            elif service in self._away:
                back[service] = self._away.pop(service)
        self._write("running", now)
        return [*_grouped(back, now, ended=True), *_grouped(self._away, now, ended=False)]

    def stop(self) -> None:
        """The service ends in order."""
        self._write("stopped", self.clock.time())

    @property
    def is_well(self) -> bool:
        """Every service answers."""
        return not self._away

    def _silences(self) -> dict[str, float]:
        """For how many seconds each service has not been heard, by the clock that never steps. The web is in here."""
        mono = self.clock.monotonic()
        beats = [_read(os.path.join(self.folder, name)) for name in os.listdir(self.folder) if name.startswith("beat.")]
        for service in self.services:
            said = [beat.get("at") for beat in beats if beat is not None and service in beat.get("services", ())]
            known = self._heard.get(service)
            if known is None or said != known[0] or service not in ("smtp", "imap"):
                self._heard[service] = (said, mono)
        return {service: mono - self._heard[service][1] for service in self.services}

    def _write(self, state: str, now: float) -> None:
        away = {service: since for service, (since, _) in self._away.items()}
        _write(
            os.path.join(self.folder, HEARTBEAT), {"at": now, "state": state, "boot": self.boot, "away": away}
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pulse:
    """What the heartbeat tells to who reads it: since when nobody answers, or which services are away since when."""

    silent_since: float | None = None
    away: Mapping[str, float] = field(default_factory=dict)
    stopped: bool = False


def pulse(folder: str, now: float) -> Pulse:
    """The state of mail, from its heartbeat. Before the first one: nothing is known, nothing is said."""
    last = _read(os.path.join(folder, HEARTBEAT))
    if last is None:
        return Pulse()
    try:
        at, away = float(last["at"]), {str(k): float(v) for k, v in last.get("away", {}).items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return Pulse()
    if now - at > SILENT_AFTER_S or last.get("state") == "stopped":
        return Pulse(silent_since=at, stopped=last.get("state") == "stopped")
    return Pulse(away=away)


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(_MAX_OCTETS).rstrip(b"\0 \n"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write(path: str, content: dict[str, Any]) -> None:
    """In place, in one write of one block: a reader sees the old or the new. OSError is passed over."""
    octets = json.dumps(content).encode().ljust(256) + b"\n"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, octets, 0)
            os.ftruncate(fd, len(octets))
        finally:
            os.close(fd)
    except OSError:
        return
