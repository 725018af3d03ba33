"""A mail transaction: from MAIL to the end of DATA (RFC 5321 §3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field

from bdmta.address import Address
from bdmta.chain import Chain
from bdmta.envelope import Earlier, Recipient
from bdmta.policy import Direction
from bdmta.smtp.parameters import MailParameters


@dataclass(slots=True)
class Transaction:
    """Its chain is the one in force when it began: a reload in between does not change the rules for it."""

    reference: str
    direction: Direction
    sender: Address | None
    parameters: MailParameters
    chain: Chain
    recipients: dict[str, Recipient] = field(default_factory=dict)
    earlier: Earlier = field(default_factory=Earlier)
