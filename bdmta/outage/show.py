"""Notices as commands and other programs see them."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bdmta.outage.book import HISTORY
from bdmta.outage.broadcast import reaches_of
from bdmta.outage.jobs import progress
from bdmta.outage.notice import Notice
from bdmta.site import Site
from storage.history import read_history

_PASSED_ON = ("what", "from", "until", "scope", "done", "ended", "hours", "number", "channel", "state", "note", "cause")


def shown(site: Site, notice: Notice) -> dict[str, Any]:
    """A notice with the state of its channels, ready for JSON; times with the local offset."""
    zone = ZoneInfo(site.config.clock.timezone)

    def at(moment: datetime | None) -> str | None:
        return None if moment is None else moment.astimezone(zone).isoformat(timespec="seconds")

    channels = {
        name: {**of, "at": at(of["at"]), "next_attempt_at": at(of["next_attempt_at"])}  # type: ignore[arg-type]
        for name, of in progress(notice, reaches_of(site)).items()
    }
    return {
        "id": notice.id, "what": notice.what, "from": at(notice.from_at), "until": at(notice.until_at),
        "scope": list(notice.scope), "state": notice.state, "planned": notice.is_planned, "cause": notice.cause,
        "began": at(notice.began_at), "ended": at(notice.ended_at), "done": notice.done, "public": notice.is_public,
        "channels": channels,
    }  # fmt: skip


def history(site: Site, notice_id: str) -> list[dict[str, Any]]:
    """Everything that happened to a notice, oldest first. Raises Corrupt when the history was changed by hand."""
    events = read_history(os.path.join(site.outage_dir, HISTORY))
    return [
        {
            "at": event["at"], "by": event.get("by", "bdmta"), "event": event["event"],
            "detail": ", ".join(f"{k}={event[k]}" for k in _PASSED_ON if event.get(k) not in (None, "", [])),
        }
        for event in events
        if event["notice"] == notice_id
    ]  # fmt: skip
