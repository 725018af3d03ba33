"""Facts of sending for the ledger: `sent`, `deferred`, `bounced`, one a recipient (Điều 18.4)."""

from __future__ import annotations

from typing import Any

from bdmta.queue.outcome import Outcome, Result
from storage.spool_entry import QueueEntry, QueueRecipient

_EVENTS = {Result.SENT: "sent", Result.DEFERRED: "deferred", Result.FAILED: "bounced"}


def attempt_fact(entry: QueueEntry, recipient: QueueRecipient, outcome: Outcome, now: float) -> dict[str, Any]:
    """What one attempt came to; the recipient as it stands after it. No subject, no content."""
    gave_up = recipient.state.get("state") == "failed"
    detail = {
        "host": outcome.host, "reply": outcome.reply, "status": recipient.state.get("status"),
        "attempts": recipient.state.get("attempts"), "delay_s": round(now - entry.received_at, 1), "tls": outcome.tls,
        "via": recipient.via,
    }  # fmt: skip
    return {
        "at": now,
        "event": "bounced" if gave_up else _EVENTS[outcome.result],
        "reference": entry.id,
        "sender": entry.sender,
        "recipient": recipient.address,
        "detail": {key: value for key, value in detail.items() if value not in ("", None)},
    }


def dropped_fact(entry: QueueEntry, recipient: QueueRecipient, actor: str, now: float) -> dict[str, Any]:
    """An operator has taken the letter out of the queue."""
    return {
        "at": now, "event": "dropped", "reference": entry.id, "sender": entry.sender, "recipient": recipient.address,
        "detail": {"actor": actor},
    }  # fmt: skip
