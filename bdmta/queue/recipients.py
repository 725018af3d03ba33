"""What the spool keeps of each recipient's way out, and what follows from it: pure functions.

The state of a recipient (in the entry's `.env`): `state` is absent while it waits, else `sent` or `failed`; `attempts`,
`next_at` and `last_at` (seconds since 1970), `last_reply`, `code`, `status`, `host`; `relayed_dsn` when the next system
has taken over the duty to report; `delay_told` and `told` once its sender knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Any

from bdmta.queue.outcome import Outcome, Result
from bdmta.queue.schedule import Schedule
from storage.spool_entry import QueueEntry, QueueRecipient

HELD = "held"
AWAY = "away"
"""The key in an entry under which the mailboxes stand whose owners may have to answer."""
EXPIRED_STATUS = "4.4.7"  # RFC 3463 §3.5: delivery time expired


class Report(StrEnum):
    """What a sender can be told; the values are RFC 3464's actions."""

    FAILED = "failed"
    DELAYED = "delayed"
    RELAYED = "relayed"
    DELIVERED = "delivered"


def is_waiting(recipient: QueueRecipient) -> bool:
    """Neither sent nor failed."""
    return "state" not in recipient.state


def is_held(entry: QueueEntry) -> bool:
    """An operator has told it to wait."""
    return bool(entry.more.get(HELD))


def next_at(recipient: QueueRecipient, entry: QueueEntry) -> float:
    """When this recipient is to be tried; at once when it never was."""
    return float(recipient.state.get("next_at", entry.received_at))


def domain_of(address: str) -> str:
    """The domain of an address, in lower case."""
    return address.rpartition("@")[2].lower()


def after(
    recipient: QueueRecipient, outcome: Outcome, entry: QueueEntry, schedule: Schedule, now: float, chance: float
) -> QueueRecipient:
    """The recipient after an attempt. Deferred beyond the letter's life is failed (RFC 5321 §4.5.4.1)."""
    attempts = int(recipient.state.get("attempts", 0)) + 1
    state: dict[str, Any] = {
        **recipient.state, "attempts": attempts, "last_at": now, "last_reply": outcome.reply, "code": outcome.code,
        "status": outcome.status, "host": outcome.host,
    }  # fmt: skip
    state.pop("next_at", None)
    if outcome.result is Result.SENT:
        state["state"] = "sent"
        if outcome.knows_dsn:
            state["relayed_dsn"] = True
    elif outcome.result is Result.FAILED:
        state["state"] = "failed"
    elif schedule.is_over(entry.received_at, now):
        state |= {"state": "failed", "status": EXPIRED_STATUS, "expired": True}
    else:
        state["next_at"] = _next_at(state, entry, schedule, now, chance)
    return replace(recipient, state=state)


def _next_at(state: dict[str, Any], entry: QueueEntry, schedule: Schedule, now: float, chance: float) -> float:
    """By the schedule, but not past the moment at which the sender is to hear of the delay."""
    at = schedule.next_at(entry.received_at, int(state["attempts"]), now, chance)
    notice_at = entry.received_at + schedule.delay_notice_s
    if schedule.delay_notice_s > 0 and not state.get("delay_told") and now < notice_at:
        return min(at, notice_at)
    return at


def report_due(recipient: QueueRecipient, entry: QueueEntry, schedule: Schedule, now: float) -> Report | None:
    """What the sender is to be told of this recipient now, by NOTIFY (RFC 3461 §4.1); never a null sender."""
    if not entry.sender or recipient.state.get("told"):
        return None
    asked = frozenset(recipient.dsn_notify.upper().split(",")) - {""}
    state = recipient.state.get("state")
    if state == "failed":
        return Report.FAILED if not asked or "FAILURE" in asked else None
    if state == "sent":
        if "SUCCESS" not in asked or recipient.state.get("relayed_dsn"):
            return None
        return Report.DELIVERED if recipient.state.get("is_local") else Report.RELAYED
    if recipient.state.get("delay_told") or not recipient.state.get("attempts"):
        return None
    if not schedule.is_notice_due(entry.received_at, now):
        return None
    return Report.DELAYED if not asked or "DELAY" in asked else None


def told(recipient: QueueRecipient, report: Report) -> QueueRecipient:
    """The recipient, its sender told."""
    key = "delay_told" if report is Report.DELAYED else "told"
    return replace(recipient, state={**recipient.state, key: True})


def waits(entry: QueueEntry, destination_of: Any) -> tuple[tuple[str, float], ...]:
    """When which destination is to be tried for this entry; none for one that is held."""
    if is_held(entry):
        return ()
    at: dict[str, float] = {}
    for recipient in entry.recipients:
        if is_waiting(recipient):
            key = destination_of(recipient.address)
            at[key] = min(next_at(recipient, entry), at.get(key, float("inf")))
    return tuple(at.items())


def with_recipients(entry: QueueEntry, changed: Iterable[tuple[int, QueueRecipient]]) -> QueueEntry:
    """The entry with some of its recipients replaced, by their positions."""
    recipients = list(entry.recipients)
    for position, recipient in changed:
        recipients[position] = recipient
    return replace(entry, recipients=tuple(recipients))


def is_done(entry: QueueEntry) -> bool:
    """Nobody waits any more."""
    return not any(is_waiting(recipient) for recipient in entry.recipients)
