"""Facts for the ledger: who, whom, when, what became of it; never a subject, never content (contract 11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from bdmta.auth import Login
from bdmta.chain import Ruling
from bdmta.delivery import Placed
from bdmta.envelope import Envelope
from bdmta.mailauth.results import AuthResults, as_detail
from bdmta.message import Message
from bdmta.policy import Account, Stage

Fact = Mapping[str, Any]
_DMARC = "dmarc"  # the step's name in the chain


class FactSink(Protocol):
    """Where facts go: the edge's own append-only file."""

    def write(self, facts: list[Fact]) -> None:
        """Append `facts`; what is written survives kill -9."""


def _message_id(message: Message) -> str:
    header = message.first("message-id")
    return header.text.strip()[:255] if header is not None else ""


def fact(envelope: Envelope, event: str, message: Message | None, **detail: Any) -> Fact:
    """One line of the ledger: who, whom, when; no subject, no content (contract 11)."""
    return {
        "at": envelope.received_at.timestamp(),
        "event": event,
        "reference": envelope.reference,
        "message_id": _message_id(message) if message is not None else "",
        "sender": envelope.sender_text,
        "recipient": ",".join(r.key for r in envelope.recipients[:20]),
        "detail": {
            "direction": str(envelope.direction),
            "ip": envelope.remote_ip,
            "account": envelope.account.address if envelope.account is not None else None,
            **_device(envelope.account),
            **detail,
        },
    }


def login_fact(login: Login, protocol: str, remote_ip: str, at: float) -> Fact:
    """Somebody logged in by `smtp` or `web`. Not called `login`, which is what opening a mailbox is (Điều 14)."""
    detail = {"protocol": protocol, "ip": remote_ip, **login.detail()}
    return {"at": at, "event": f"login-{protocol}", "recipient": login.account.address, "detail": detail}


def _device(account: Account | None) -> dict[str, str]:
    """Whose act it is where several people enter a mailbox."""
    return {"device": account.device, "holder": account.holder} if account is not None and account.device else {}


def _origin(auth: AuthResults | None, applied: str) -> dict[str, Any]:
    """SPF, DKIM and DMARC where the author's domain publishes a policy: its reports are made of them."""
    return {"auth": as_detail(auth, applied)} if auth is not None and auth.dmarc.policy else {}


def refusal_facts(
    ruling: Ruling, stage: Stage, envelope: Envelope | None = None, message: Message | None = None
) -> list[Fact]:
    """What the incident list is made of: which policy refused whom, and the codes of what it saw."""
    facts = ruling.facts
    verdict = ruling.refusal
    findings = [{"code": f.code, "file": f.file} for f in (verdict.findings if verdict is not None else ())[:50]]
    return [
        {
            "at": facts.received_at.timestamp(),
            "event": "refused",
            "reference": facts.reference,
            "message_id": _message_id(message) if message is not None else "",
            "sender": facts.mail_from or "",
            "recipient": facts.recipient or ",".join(facts.rcpt_to[:20]),
            "detail": {
                "direction": str(facts.direction), "ip": facts.remote_ip, "policy": ruling.refused_by,
                "stage": stage.name.lower(), "verdict": ruling.verdict, "findings": findings,
                "account": facts.account.address if facts.account is not None else None,
                **_device(facts.account),
                **_origin(facts.auth, "reject" if ruling.refused_by == _DMARC else "none"),
            },
        }
    ]  # fmt: skip


def accepted_facts(
    envelope: Envelope, message: Message, ruling: Ruling, placed: Placed, size_octets: int, held: tuple[str, ...] = ()
) -> list[Fact]:
    """`accepted`, then where each copy went; observed verdicts beside, so that a rule can be judged before it bites."""
    shadow = [f"{s.step}:{s.name}" for s in ruling.steps if s.name in ("reject", "defer", "quarantine")]
    origin = _origin(ruling.facts.auth, "quarantine" if ruling.quarantined_by == _DMARC else "none")
    observed = {"observed": shadow} if shadow else {}
    accepted = fact(envelope, "accepted", message, octets=size_octets, **observed, **origin)
    base = {key: accepted[key] for key in ("at", "reference", "message_id", "sender")}
    facts = [accepted]
    for event, addresses, detail in (
        ("delivered", placed.inbox, {"folder": "INBOX"}),
        ("delivered", placed.junk, {"folder": "Junk", "policy": ruling.quarantined_by}),
        ("held", held, {"policy": ruling.quarantined_by}),
        ("queued", placed.outside, {}),
    ):
        if len(addresses) > 100:
            facts.append(base | {"event": event, "recipient": "", "detail": detail | {"count": len(addresses)}})
        else:
            kept = detail | {"file": placed.file}
            copies = placed.kept_by if event == "delivered" else ()
            facts += [
                base | {"event": event, "recipient": a, "detail": kept if a in copies else detail} for a in addresses
            ]
    return facts
