"""How far the sending of a letter has come, recipient by recipient, from its facts (Điều 18.4): pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_STATES = {
    "queued": "waits", "deferred": "waits", "held": "held back", "delivered": "delivered", "sent": "sent",
    "bounced": "failed", "dropped": "dropped",
}  # fmt: skip
_IS_FINAL = frozenset({"delivered", "sent", "failed", "dropped"})


@dataclass(frozen=True, slots=True)
class Progress:
    """Where one recipient's copy stands: since when, and what the other side or the policy said."""

    recipient: str
    state: str
    at: str
    said: str

    @property
    def is_over(self) -> bool:
        """Nothing more will come of it."""
        return self.state in _IS_FINAL


def progress(facts: Sequence[Mapping[str, Any]]) -> list[Progress]:
    """Each recipient's state, in the order in which they came up. `facts` are those of one letter, oldest first."""
    found: dict[str, Progress] = {}
    for fact in facts:
        state, recipient = _STATES.get(fact["event"]), fact["recipient"]
        if state is None or not recipient:
            continue
        known = found.get(recipient)
        if known is not None and known.is_over and state not in _IS_FINAL:
            continue  # within one second facts of several processes stand in no order
        detail = fact["detail"]
        said = str(detail.get("reply") or detail.get("policy") or detail.get("folder") or "")
        found[recipient] = Progress(recipient, state, fact["at"], said)
    return list(found.values())


def in_words(states: Sequence[Progress]) -> str:
    """One line that says whether the sending is complete."""
    counts: dict[str, int] = {}
    for one in states:
        counts[one.state] = counts.get(one.state, 0) + 1
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    if not states:
        return "no copy of it is on record"
    return f"{'complete' if all(one.is_over for one in states) else 'not complete'}: {told}"
