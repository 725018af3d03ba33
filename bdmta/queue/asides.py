"""What an edge leaves to the courier beside outgoing copies: letters sent on, absence texts, reports of delivery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bdmta.directory.snapshot import MailboxEntry
from bdmta.envelope import Envelope, Recipient
from bdmta.queue.recipients import AWAY
from bdmta.routing import Outside
from storage.directory_forwarding import ForwardingWatch
from storage.spool_entry import QueueRecipient

_MAX_AWAY = 100


def send_on(
    inbox: dict[str, MailboxEntry], recipients: Sequence[Recipient], forwarding: ForwardingWatch
) -> list[tuple[Outside, Recipient]]:
    """The copies that mailboxes of `inbox` send on; those that keep none are taken out of it.

    Nothing that went to Junk is sent on. A mailbox that keeps its copy has the letter: no report if the other fails.
    """
    found: list[tuple[Outside, Recipient]] = []
    for address in tuple(inbox):
        settings = forwarding.get(address)
        if settings is None or not settings.forward:
            continue
        asked = _asked_for(address, recipients)
        if asked is None:
            continue
        if not settings.keeps:
            del inbox[address]
        asked = replace(asked, dsn_notify=("NEVER",)) if settings.keeps else asked
        found += [(Outside(target, address), asked) for target in settings.forward]
    return found


def _asked_for(address: str, recipients: Iterable[Recipient]) -> Recipient | None:
    return next((r for r in recipients if any(entry.address == address for entry in r.route.mailboxes)), None)


def delivered_now(envelope: Envelope, delivered: Mapping[str, MailboxEntry], now: float) -> tuple[QueueRecipient, ...]:
    """Recipients here whose sender asked to hear of the delivery (RFC 3461 §5.1.1, NOTIFY=SUCCESS)."""
    if envelope.sender is None:
        return ()
    state = {
        "state": "sent", "is_local": True, "status": "2.1.5", "last_at": now, "last_reply": "delivered to the mailbox",
    }  # fmt: skip
    return tuple(
        QueueRecipient(r.key, ",".join(r.dsn_notify), r.dsn_orcpt, state=state)
        for r in envelope.recipients
        if "SUCCESS" in map(str.upper, r.dsn_notify) and any(e.address in delivered for e in r.route.mailboxes)
    )


def away(
    envelope: Envelope, inbox: Mapping[str, MailboxEntry], forwarding: ForwardingWatch, now: float
) -> dict[str, Any]:
    """What goes into the entry for mailboxes whose owners are away; empty for most letters."""
    if envelope.sender is None or len(inbox) > _MAX_AWAY:
        return {}
    absent = [a for a in inbox if (settings := forwarding.get(a)) is not None and settings.is_away(now)]
    return {AWAY: absent} if absent else {}
