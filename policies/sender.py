"""Who a letter says it is from: one From, one Sender, readable addresses, no official's address as a display name.

Two From fields let one program see the forged author and another the checked one; such a letter is refused in every
direction (RFC 5322 §3.6; the rest follows Điều 18.3: the sender must be recognisable).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from bdmta.policy import (
    Annotate,
    Direction,
    Facts,
    Finding,
    Message,
    Pass,
    Quarantine,
    Reject,
    Services,
    Stage,
    Verdict,
    mailboxes,
    option,
)

_ONCE = ("from", "sender", "subject", "date", "message-id")
_ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w.-]{1,253}")
_HOW_TO = "Xin gửi lại bằng Outlook hoặc Thunderbird với đúng một địa chỉ người gửi."


@dataclass(frozen=True)
class Config:
    """Options of policies.sender."""

    missing_from: str = option(
        "mark", "What becomes of a letter without a From field.", choices=("accept", "mark", "reject")
    )
    own_domain_from_outside: str = option(
        "mark",
        "What becomes of a letter from outside whose From is in a local domain; mailing lists send such letters too.",
        choices=("accept", "mark", "quarantine", "reject"),
    )
    display_name_spoof: str = option(
        "quarantine",
        "What becomes of a letter from outside whose display name shows an address of a local domain that is not its "
        "own.",
        choices=("accept", "mark", "quarantine", "reject"),
    )


class Policy:
    """Asked once, with the whole letter."""

    stages: ClassVar[frozenset[Stage]] = frozenset({Stage.DATA})

    def __init__(self, config: Config, services: Services) -> None:
        self._config = config

    async def decide(self, stage: Stage, facts: Facts) -> Verdict:
        """Reject repeated fields; mark, quarantine or reject the rest as configured."""
        message = facts.message
        if message is None:
            return Pass()
        repeated = _repeated(message)
        if repeated is not None:
            return Reject(
                text=f"The message has more than one {repeated.title()} field",
                text_vi=f"Thư có nhiều hơn một dòng {repeated.title()}",
                enhanced="6.0",
                findings=(Finding(code=f"duplicate-{repeated}", text=f"{repeated} stands more than once"),),
                how_to_vi=_HOW_TO,
            )
        author = message.first("from")
        if author is None:
            return _act(self._config.missing_from, "no-from", "no From field", "Thư không ghi người gửi (From)")
        boxes = mailboxes(author.value)
        if not boxes or not any(box.domain for box in boxes):
            return _act(self._config.missing_from, "bad-from", "no address in From", "Dòng From không có địa chỉ")
        if facts.direction is not Direction.INBOUND:
            return Pass()
        return self._from_outside(facts, [(box.name, box.domain.casefold()) for box in boxes], author.text)

    def _from_outside(self, facts: Facts, boxes: list[tuple[str, str]], text: str) -> Verdict:
        own = facts.local_domains
        if any(domain in own for _, domain in boxes):
            return _act(
                self._config.own_domain_from_outside,
                "own-domain",
                "From is in a local domain, and nobody has logged in",
                "Người gửi tự nhận là địa chỉ trong hệ thống nhưng không đăng nhập",
            )
        shown = {match[0].rpartition("@")[2].casefold() for name, _ in boxes for match in _ADDRESS.finditer(name)}
        if shown & own:
            return _act(
                self._config.display_name_spoof,
                "display-name",
                "the display name shows an address that is not the sender's",
                "Tên hiển thị mang địa chỉ trong hệ thống, không phải địa chỉ thật của người gửi",
            )
        return Pass()


def _repeated(message: Message) -> str | None:
    seen = set()
    for header in message.headers:
        if header.name in _ONCE:
            if header.name in seen:
                return header.name
            seen.add(header.name)
    return None


def _act(action: str, code: str, text: str, text_vi: str) -> Verdict:
    findings = (Finding(code=code, text=text, text_vi=text_vi, article="Điều 18.3"),)
    match action:
        case "reject":
            return Reject(
                text=f"The sender is not acceptable: {text}",
                text_vi=text_vi,
                findings=findings,
                article="Điều 18.3",
                how_to_vi=_HOW_TO,
            )
        case "quarantine":
            return Quarantine(text=text, text_vi=text_vi, findings=findings, article="Điều 18.3")
        case "mark":
            return Annotate((("X-Bdmta-Sender", code),), findings)
        case _:
            return Pass(findings)
