"""What is still to be told, on which channel, and when to try again. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bdmta.outage.notice import FOR_OPERATORS, Announcement, Notice, Sent

WAITS_S = (5, 15, 60, 300, 900)
GIVE_UP = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which announcements a channel takes. `newest_only`: it shows a state, so that the newest says it all."""

    name: str
    wants: Callable[[Notice, Announcement], bool]
    newest_only: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One announcement for one channel. `attempts`: how many there were."""

    notice: Notice
    said: Announcement
    channel: str
    attempts: int

    @property
    def key(self) -> str:
        """The same for each attempt, different for all else: what receivers tell repetitions by."""
        return f"{self.notice.id}-{self.said.number}"


def jobs(notices: Sequence[Notice], reaches: Sequence[Reach], now: datetime) -> list[Job]:
    """Everything that is due now, in the order it was announced. What could not be told for a day is told no more."""
    found = []
    for notice in notices:
        for reach in reaches:
            for said in _wanted(notice, reach):
                sent = notice.sent.get((said.number, reach.name))
                if _is_due(said, sent, now):
                    found.append(Job(notice, said, reach.name, sent.attempts if sent else 0))
    return sorted(found, key=lambda job: (job.said.at, job.notice.id, job.said.number))


def _wanted(notice: Notice, reach: Reach) -> list[Announcement]:
    wanted = [said for said in notice.announcements if said.kind != "quiet" and reach.wants(notice, said)]
    return wanted[-1:] if reach.newest_only else wanted


def _is_due(said: Announcement, sent: Sent | None, now: datetime) -> bool:
    if sent is None:
        return now - said.at < GIVE_UP
    return sent.state == "waiting" and sent.next_at is not None and sent.next_at <= now


def next_attempt(said: Announcement, attempts: int, now: datetime) -> datetime | None:
    """When to try again after `attempts` failures; None: never."""
    next_at = now + timedelta(seconds=WAITS_S[min(attempts, len(WAITS_S)) - 1])
    return next_at if next_at - said.at < GIVE_UP else None


def progress(notice: Notice, reaches: Sequence[Reach]) -> dict[str, dict[str, object]]:
    """How far the newest announcement of a notice has come, channel by channel: state, attempts, receipt, next attempt.

    For people and for JSON. A channel that was told of nothing is left out.
    """
    shown: dict[str, dict[str, object]] = {}
    for reach in reaches:
        wanted = _wanted(notice, reach)
        if not wanted:
            continue
        sent = notice.sent.get((wanted[-1].number, reach.name), Sent(state="waiting"))
        shown[reach.name] = {
            "announcement": wanted[-1].kind, "state": sent.state, "attempts": sent.attempts, "receipt": sent.note,
            "at": sent.at, "next_attempt_at": sent.next_at,
        }  # fmt: skip
    return shown


def is_public(notice: Notice, said: Announcement) -> bool:
    """Everybody may hear of it."""
    return notice.is_public and said.kind not in FOR_OPERATORS
