"""What edges and the supervisor know of outages: `edges.json`, replaced atomically by the office, read by anybody.

`smtp`, `imap`: the lines to refuse with while it is stopped, or null. `agencies`: the same by agency. `alerts`: what
mail programs are shown; `login`: to who logs in too, else only to who is there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bdmta.clock import Clock
from bdmta.outage.notice import Notice
from bdmta.outage.texts import Texts
from bdmta.reply import unaccented
from storage.files import write_durable

EDGES = "edges.json"
_SHOWN_FOR = timedelta(minutes=10)
_MAX_OCTETS = 4 << 20
_LOOK_AGAIN_S = 1.0


def for_edges(notices: Sequence[Notice], texts: Texts, now: datetime) -> dict[str, Any]:
    """The content of `edges.json`. Pure."""
    active = sorted((n for n in notices if n.is_active), key=lambda n: n.until_at)
    stopped = {service: [n for n in active if service in n.services] for service in ("smtp", "imap")}
    by_agency = {name: notice for notice in active for name in notice.agencies}
    return {
        **{service: _refusal(found[-1], texts) if found else None for service, found in stopped.items()},
        "agencies": {name: _refusal(notice, texts) for name, notice in sorted(by_agency.items())},
        "alerts": [alert for n in notices if n.is_public and (alert := _alert(n, texts, now)) is not None],
    }  # fmt: skip


def _refusal(notice: Notice, texts: Texts) -> list[str]:
    key = "overdue" if notice.state == "overdue" else "open"
    return [texts.say(language, "reply", key, texts.values(language, notice)) for language in ("en", "vi")]


def _alert(notice: Notice, texts: Texts, now: datetime) -> dict[str, Any] | None:
    public = [said for said in notice.announcements if said.kind not in ("draft", "nag", "quiet")]
    if not public:
        return None
    said = public[-1]
    stays = notice.is_active or said.kind == "reminder"
    if not stays and now - said.at > _SHOWN_FOR:
        return None
    return {
        "key": f"{notice.id}-{said.number}", "login": stays, "agencies": list(notice.agencies),
        "text": texts.say("vi", "alert", said.kind, texts.values("vi", notice, said)),
    }  # fmt: skip


def publish(folder: str, content: dict[str, Any]) -> int:
    """Write `edges.json`; its octets. Nothing is written when it says so already. Raises StoreError."""
    path = os.path.join(folder, EDGES)
    octets = json.dumps(content, ensure_ascii=False, indent=1).encode()
    try:
        with open(path, "rb") as file:
            if file.read(_MAX_OCTETS) == octets:
                return len(octets)
    except OSError:
        pass
    write_durable(path, octets)
    return len(octets)


@dataclass(frozen=True, slots=True)
class Alert:
    """One line for mail programs. `agencies`: only for their mailboxes; empty: for all."""

    key: str
    text: str
    login: bool
    agencies: frozenset[str]

    def is_for(self, agency: str) -> bool:
        """Somebody of `agency` is meant."""
        return not self.agencies or agency in self.agencies


@dataclass(frozen=True, slots=True)
class Outages:
    """What is in force, as an edge knows it."""

    smtp: tuple[str, ...] = ()
    imap: tuple[str, ...] = ()
    agencies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()

    def stand_in(self, protocol: str) -> bytes:
        """The one line for who connects while no edge lives, with the estimate; empty: no notice speaks of it."""
        if protocol in ("smtp", "submission") and self.smtp:
            return f"421 4.3.2 {unaccented(' / '.join(self.smtp))[:480]}\r\n".encode("ascii")
        if protocol in ("imap", "pop3") and self.imap:
            opening = "* BYE [UNAVAILABLE]" if protocol == "imap" else "-ERR [SYS/TEMP]"
            return f"{opening} {unaccented(self.imap[0])[:480]}\r\n".encode("ascii")
        return b""


class OutageWatch:
    """`edges.json` as it is now, looked at once a second at most. A file that is missing or broken says nothing."""

    def __init__(self, folder: str, clock: Clock) -> None:
        self._path = os.path.join(folder, EDGES)
        self._clock = clock
        self._seen: tuple[int, int, int] | None = None
        self._look_at = 0.0
        self._current = Outages()
        self._told: set[str] = set()
        self.fresh()

    def current(self, *, look_now: bool = False) -> Outages:
        """What holds now."""
        now = self._clock.monotonic()
        if look_now or now >= self._look_at:
            self._look_at = now + _LOOK_AGAIN_S
            self._look()
        return self._current

    def fresh(self) -> list[Alert]:
        """The alerts that were not there when last asked."""
        alerts = self.current(look_now=True).alerts
        new = [alert for alert in alerts if alert.key not in self._told]
        self._told = {alert.key for alert in alerts}
        return new

    def at_login(self, agency: str) -> list[str]:
        """The line for somebody of `agency` who logs in now, the newest notice first; none when there is none.

        One line for all: of several, Thunderbird shows one.
        """
        texts = [alert.text for alert in self.current().alerts if alert.login and alert.is_for(agency)]
        return [" / ".join(reversed(texts))] if texts else []

    def _look(self) -> None:
        try:
            found = os.stat(self._path)
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen == self._seen:
                return
            with open(self._path, "rb") as file:
                self._current, self._seen = _parse(file.read(_MAX_OCTETS)), seen
        except FileNotFoundError:
            self._current, self._seen = Outages(), None
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return  # what was known holds


def _parse(octets: bytes) -> Outages:
    content = json.loads(octets)
    alerts = tuple(Alert(a["key"], a["text"], a["login"], frozenset(a["agencies"])) for a in content["alerts"])
    agencies = {name: tuple(lines) for name, lines in content["agencies"].items()}
    return Outages(tuple(content["smtp"] or ()), tuple(content["imap"] or ()), agencies, alerts)
