"""The status page as files: HTML in two languages, Atom, JSON. What it shows is a Picture; files come of it purely."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bdmta.outage.book import read_notices
from bdmta.outage.heart import STOP, Pulse, pulse
from bdmta.outage.notice import Notice
from bdmta.outage.page_feed import feed
from bdmta.outage.page_html import html
from bdmta.outage.texts import Texts
from bdmta.site import Site
from storage.files import write_durable

AVAILABILITY = "availability.json"
SHOWN = timedelta(days=366)
_MAX_OCTETS = 4 << 20


@dataclass(frozen=True, slots=True)
class Picture:
    """All that the page shows, at one moment. `months`: rows of availability, the newest first."""

    at: datetime
    notices: tuple[Notice, ...] = ()
    pulse: Pulse = field(default_factory=Pulse)
    months: tuple[dict[str, Any], ...] = ()

    @property
    def active(self) -> list[Notice]:
        """In force, the newest first."""
        return [notice for notice in self.notices if notice.is_active]

    @property
    def key(self) -> tuple[object, ...]:
        """Differs when the page would look different, its time apart."""
        told = tuple((n.id, n.state, len(n.announcements)) for n in self.notices)
        return (told, self.pulse, json.dumps(self.months), self.at.date() if not told else None)

    @property
    def state(self) -> str:
        """The headline: silent, late, disturbed, planned_ahead or all_well."""
        if self.pulse.silent_since is not None and not self.active:
            return "silent"
        if any(notice.state == "overdue" for notice in self.active):
            return "late"
        if self.active or self.pulse.away:
            return "disturbed"
        return "planned_ahead" if any(notice.state == "planned" for notice in self.notices) else "all_well"

    def service_state(self, service: str) -> str:
        """works, stopped (a notice says so) or no_answer (the heartbeat does)."""
        if any(service in notice.services for notice in self.active):
            return "stopped"
        return "no_answer" if self.pulse.silent_since is not None or service in self.pulse.away else "works"


def picture_of(folder: str, now: datetime) -> Picture:
    """The picture of `now`, from the files that the office keeps. Raises StoreError."""
    notices = [n for n in read_notices(folder) if n.is_public and now - (n.ended_at or now) < SHOWN]
    notices.sort(key=lambda notice: notice.from_at, reverse=True)
    return Picture(now.astimezone(UTC), tuple(notices), pulse(folder, now.timestamp()), _months(folder))


def _months(folder: str) -> tuple[dict[str, Any], ...]:
    try:
        with open(os.path.join(folder, AVAILABILITY), "rb") as file:
            return tuple(json.loads(file.read(_MAX_OCTETS))["months"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def files(picture: Picture, texts: Texts, site: Site, printed: frozenset[str] = frozenset()) -> dict[str, bytes]:
    """Name and octets of every file. `printed`: the notices that have a PDF beside."""
    return {
        "index.html": html(picture, texts, "vi", site, printed),
        "en.html": html(picture, texts, "en", site, printed),
        "atom.xml": feed(picture, texts, "vi", site),
        "atom.en.xml": feed(picture, texts, "en", site),
        "status.json": data(picture, texts, site),
    }


def data(picture: Picture, texts: Texts, site: Site) -> bytes:
    """status.json: for other pages and monitors."""

    def shown(notice: Notice) -> dict[str, Any]:
        ended = texts.local(notice.ended_at).isoformat() if notice.ended_at else None
        return {
            "id": notice.id, "state": "cancelled" if notice.is_cancelled else notice.state, "what": notice.what,
            "scope": list(notice.scope), "planned": notice.is_planned, "from": texts.local(notice.from_at).isoformat(),
            "until": texts.local(notice.until_at).isoformat(), "ended": ended, "done": notice.done,
        }  # fmt: skip

    silent, stopped = picture.pulse.silent_since, picture.pulse.stopped
    content = {
        "system": site.config.primary_domain, "state": picture.state, "updated_at": texts.local(picture.at).isoformat(),
        "silent_since": texts.local(datetime.fromtimestamp(silent, UTC)).isoformat() if silent is not None else None,
        "silent_cause": STOP if stopped else None,
        "services": {service: picture.service_state(service) for service in site.config.services},
        "notices": [shown(notice) for notice in picture.notices], "availability": list(picture.months),
    }  # fmt: skip
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def printed_in(folder: str) -> frozenset[str]:
    """The notices whose printed form lies in the page's folder."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return frozenset(n[len("thong-bao-") : -4] for n in names if n.startswith("thong-bao-") and n.endswith(".pdf"))


def write_files(folder: str, picture: Picture, texts: Texts, site: Site) -> int:
    """Write what differs into `folder`, each file whole; how many did. Raises StoreError, OSError."""
    os.makedirs(folder, mode=0o755, exist_ok=True)
    changed = 0
    for name, octets in files(picture, texts, site, printed_in(folder)).items():
        path = os.path.join(folder, name)
        try:
            with open(path, "rb") as file:
                if file.read() == octets:
                    continue
        except OSError:
            pass
        write_durable(path, octets, mode=0o644)
        changed += 1
    return changed
