"""The notices of a site, as the office keeps them: what is asked twice is done once (contract 15)."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from bdmta.clock import Clock
from bdmta.errors import BdmtaError, UsageError
from bdmta.outage.due import Rules, due
from bdmta.outage.notice import ALL, SERVICES, Event, Notice, apply, replay
from storage.errors import Corrupt
from storage.history import History, read_history

HISTORY = "history.jsonl"
WHAT_MAX = 500
_RULE = "Điều 15: the notice states the expected time of recovery"


class OutageBook:
    """The history, open for writing under the office's lock, and the notices that follow from it. One thread at a time.

    A history that was changed by hand is put aside whole and named in `problem`; a new one begins, as outages must be
    announced all the same.
    """

    def __init__(self, folder: str, clock: Clock, timezone: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self.folder = folder
        self._clock = clock
        self._zone = ZoneInfo(timezone)
        self.problem = ""
        path = os.path.join(folder, HISTORY)
        try:
            self._history = History(path)
        except Corrupt as error:
            aside = f"{path}.broken-{clock.now():%Y%m%dT%H%M%S}"
            os.rename(path, aside)
            self.problem = f"{error}; kept as {aside}"
            self._history = History(path)
        self._notices = replay(self._history.entries)

    def close(self) -> None:
        """Let the file go."""
        self._history.close()

    def all(self) -> list[Notice]:
        """Every notice, oldest first."""
        return list(self._notices.values())

    def get(self, notice_id: str) -> Notice:
        """The notice, or BdmtaError."""
        found = self._notices.get(notice_id)
        if found is None:
            raise BdmtaError(f"{notice_id}: no such notice; see `bdmta outage list`")
        return found

    # -- what operators do

    def open(
        self, *, what: str, from_at: datetime | None, until_at: datetime | None, scope: Sequence[str], is_planned: bool,
        is_agency: Callable[[str], bool], by: str,
    ) -> Notice:  # fmt: skip
        """Declare an outage, or announce planned work. The same content again gives the notice that is there.

        Without `from_at`: from now. UsageError without an estimate, or for one that has passed.
        """
        if until_at is None:
            raise UsageError(f"--until is missing: when is the system expected back? ({_RULE})")
        now = self._now()
        text, over = _text(what, "--what"), _scope(scope, is_agency)
        asked = _key(text, from_at, until_at, over, is_planned)
        for known in self._notices.values():
            if known.asked == asked and (from_at is not None or known.state != "closed"):
                return known
        start = from_at or now.replace(second=0)
        if until_at <= start:
            raise UsageError("--until is not after --from")
        if until_at <= now:
            raise UsageError(f"--until has passed; give the time at which the system is expected back ({_RULE})")
        if start > now and not is_planned:
            raise UsageError("--from lies ahead: add --planned for work that is announced before it begins")
        event = {
            "event": "planned" if is_planned else "declared", "notice": self._new_id(now), "by": by, "what": text,
            "from": start.isoformat(), "until": until_at.isoformat(), "scope": over, "asked": asked,
        }  # fmt: skip
        return self._do(event)

    def update(self, notice_id: str, *, until_at: datetime | None, what: str | None, by: str) -> Notice:
        """A new estimate, a new text; nothing is announced when neither differs from what was said last."""
        notice = self.get(notice_id)
        self._refuse(notice, {"closed": "it is closed", "draft": "it is a draft: confirm or discard it first"})
        event: Event = {"event": "updated", "notice": notice.id, "by": by}
        if what is not None and _text(what, "--what") != notice.what:
            event["what"] = _text(what, "--what")
        if until_at is not None and until_at != notice.until_at:
            if until_at <= self._now():
                raise UsageError(f"--until has passed; give the time at which the system is expected back ({_RULE})")
            if until_at <= notice.from_at:
                raise UsageError("--until is not after the beginning")
            event["until"] = until_at.isoformat()
        if until_at is None and what is None:
            raise UsageError("nothing to update: give --until, --what, or both")
        return self._do(event) if "what" in event or "until" in event else notice

    def close_notice(self, notice_id: str, *, done: str, by: str) -> Notice:
        """The system is back, by what was done; planned work that has not begun is called off. Twice is once."""
        notice = self.get(notice_id)
        text = _text(done, "--done")
        if notice.state == "closed" and notice.done == text:
            return notice
        self._refuse(
            notice, {"closed": "it is closed already", "draft": "it is a draft: confirm or discard it instead"}
        )
        event: Event = {"event": "closed", "notice": notice.id, "by": by, "done": text}
        if notice.state == "planned":
            event["kind"] = "cancelled"
        return self._do(event)

    def confirm(self, notice_id: str, *, until_at: datetime | None, what: str | None, done: str, by: str) -> Notice:
        """Publish a draft: as a report when what it found is over, else as an open outage, which takes an estimate."""
        notice = self.get(notice_id)
        if notice.state != "draft":
            if notice.is_public:
                return notice
            raise BdmtaError(f"{notice_id}: it was discarded")
        event: Event = {"notice": notice.id, "by": by}
        if what is not None:
            event["what"] = _text(what, "--what")
        if notice.found_ended:
            event |= {"event": "reported", "done": done.strip(), "ended": notice.until_at.isoformat()}
            return self._do(event)
        if until_at is None or until_at <= self._now():
            raise UsageError(f"--until is missing or has passed: when is the system expected back? ({_RULE})")
        return self._do(event | {"event": "confirmed", "until": until_at.isoformat()})

    def discard(self, notice_id: str, *, by: str) -> Notice:
        """A draft that is not to be published; its history stays."""
        notice = self.get(notice_id)
        if notice.state == "closed" and notice.closed_quietly:
            return notice
        if notice.state != "draft":
            raise BdmtaError(f"{notice_id}: only a draft can be discarded; close it instead")
        return self._do({"event": "discarded", "notice": notice.id, "by": by})

    # -- what happens by itself

    def advance(self, rules: Rules, *, is_well: bool) -> list[Event]:
        """Everything that time has brought; the events. Calls itself for no more than what is there."""
        done: list[Event] = []
        for _ in range(20):
            events = due(self.all(), self._now(), rules, is_well=is_well)
            if not events:
                break
            for event in events:
                self._do(event)
            done += events
        return done

    def found(self, from_at: datetime, until_at: datetime, *, scope: Sequence[str], what: str, cause: str,
              has_ended: bool, announce: bool) -> Notice | None:  # fmt: skip
        """A service was found to be, or to have been, away: a draft, or at once a notice. None when a notice of its
        time and services is there already.
        """
        if any(_covers(notice, from_at, until_at, scope) for notice in self._notices.values()):
            return None
        now = self._now()
        event: Event = {
            "event": "drafted" if has_ended or not announce else "declared", "notice": self._new_id(now),
            "by": "heartbeat", "what": what, "from": from_at.isoformat(), "until": until_at.isoformat(),
            "scope": list(scope), "cause": cause, "ended": has_ended,
        }  # fmt: skip
        notice = self._do(event, quiet=has_ended and announce)
        if has_ended and announce:
            ended = {"event": "reported", "notice": notice.id, "by": "heartbeat", "ended": until_at.isoformat()}
            notice = self._do(ended | {"done": "Hệ thống đã tự hoạt động trở lại."})
        return notice

    def recovered(self, notice_id: str, at: datetime) -> Notice:
        """The service that the heartbeat had found away is back: its draft has an end, its notice is closed."""
        notice = self.get(notice_id)
        if notice.state == "draft":
            return self._do({"event": "ended", "notice": notice.id, "by": "heartbeat", "until": at.isoformat()})
        if notice.is_active:
            done = "Hệ thống đã hoạt động trở lại."
            event = {"event": "closed", "notice": notice.id, "by": "heartbeat", "done": done, "ended": at.isoformat()}
            return self._do(event)
        return notice

    def record(
        self,
        notice_id: str,
        number: int,
        channel: str,
        *,
        state: str,
        attempts: int,
        note: str,
        next_at: datetime | None,
    ) -> None:
        """What became of an announcement on a channel; durable when it returns."""
        self._do(
            {
                "event": "sent", "notice": notice_id, "number": number, "channel": channel, "state": state,
                "attempts": attempts, "note": note[:WHAT_MAX],
                **({"next": next_at.isoformat()} if next_at is not None else {}),
            }
        )  # fmt: skip

    # -- inside

    def _now(self) -> datetime:
        return self._clock.now().replace(microsecond=0)

    def _do(self, event: Event, *, quiet: bool = False) -> Notice:
        full = {"at": self._now().isoformat(), **event}
        if quiet:
            full["kind"] = "quiet"
        self._history.append(full)
        after = apply(self._notices.get(event["notice"]), full)
        assert after is not None
        self._notices[after.id] = after
        return after

    def _new_id(self, now: datetime) -> str:
        day = now.astimezone(self._zone).strftime("%Y%m%d")
        number = 1 + sum(known.startswith(f"{day}-") for known in self._notices)
        return f"{day}-{number}"

    @staticmethod
    def _refuse(notice: Notice, states: dict[str, str]) -> None:
        if notice.state in states:
            raise BdmtaError(f"{notice.id}: {states[notice.state]}")


def read_notices(folder: str) -> list[Notice]:
    """The notices, read beside the office, for commands and the status page. Raises Corrupt, StoreError."""
    return list(replay(read_history(os.path.join(folder, HISTORY))).values())


def _text(text: str, option: str) -> str:
    clean = unicodedata.normalize("NFC", " ".join(text.split()))
    if not clean or len(clean) > WHAT_MAX or not clean.isprintable():
        raise UsageError(f"{option}: one line of 1 to {WHAT_MAX} letters is expected")
    return clean


def _scope(scope: Sequence[str], is_agency: Callable[[str], bool]) -> list[str]:
    names = [part.strip().lower() for one in scope or (ALL,) for part in one.split(",") if part.strip()]
    for name in names:
        if name != ALL and name not in SERVICES and not is_agency(name):
            raise UsageError(f"--scope {name}: it is none of all, {', '.join(SERVICES)} and no agency here")
    return [ALL] if ALL in names else sorted(set(names))


def _key(what: str, from_at: datetime | None, until_at: datetime, scope: Iterable[str], is_planned: bool) -> str:
    parts = (what.casefold(), str(from_at and from_at.isoformat()), until_at.isoformat(), *scope, str(is_planned))
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def _covers(notice: Notice, from_at: datetime, until_at: datetime, scope: Sequence[str]) -> bool:
    """A notice that is not done speaks of these services at some time of this span, or was made of just this gap."""
    if notice.closed_quietly and notice.from_at != from_at:
        return False
    end = notice.ended_at or max(notice.until_at, until_at if notice.is_active else notice.until_at)
    overlaps = notice.from_at < until_at and from_at < end
    return overlaps and (ALL in notice.scope or set(scope) <= set(notice.scope))
