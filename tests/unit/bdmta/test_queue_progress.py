"""What a clerk is told of a letter's sending: each recipient's last state, and whether it is complete."""

from __future__ import annotations

from typing import Any

from bdmta.queue.progress import in_words, progress


def fact(event: str, recipient: str, at: str = "2026-11-28T08:00:00+07:00", **detail: Any) -> dict[str, Any]:
    return {"event": event, "recipient": recipient, "at": at, "detail": detail}


def test_the_last_state_of_each_counts_and_what_is_over_stays_over() -> None:
    facts = [
        fact("accepted", "a@x,b@y,c@z"),
        fact("queued", "a@x"), fact("queued", "b@y"), fact("queued", "c@z"),
        fact("deferred", "a@x", reply="451 Later"), fact("sent", "a@x", reply="250 Taken"), fact("deferred", "a@x"),
        fact("deferred", "b@y", "2026-11-28T08:00:01+07:00", reply="451 Later"),
        fact("bounced", "c@z", reply="550 Nobody"), fact("reported", "s@here"), fact("delivered", "d@here", folder="INBOX"),
    ]  # fmt: skip
    states = progress(facts)
    assert [(s.recipient, s.state, s.said) for s in states] == [
        ("a@x", "sent", "250 Taken"), ("b@y", "waits", "451 Later"), ("c@z", "failed", "550 Nobody"),
        ("d@here", "delivered", "INBOX"),
    ]  # fmt: skip
    assert states[1].at == "2026-11-28T08:00:01+07:00"
    assert in_words(states) == "not complete: 1 sent, 1 waits, 1 failed, 1 delivered"
    assert in_words([states[0], states[2]]) == "complete: 1 sent, 1 failed"
    assert in_words(progress([fact("refused", "a@x")])) == "no copy of it is on record"
