"""What the owner of the domain in From asks for when neither SPF nor DKIM speaks for it (RFC 7489).

The core has checked before any policy is asked (`facts.auth`); here is only what follows from it. Letters of our own
people and relays are not checked, and pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bdmta.policy import (
    Annotate,
    AuthResult,
    Defer,
    DmarcResult,
    Facts,
    Finding,
    Pass,
    Quarantine,
    Reject,
    Services,
    Stage,
    Verdict,
    option,
)

_HEADER = "X-Bdmta-Dmarc"


@dataclass(frozen=True)
class Config:
    """Options of policies.dmarc."""

    reject: str = option(
        "reject",
        "What becomes of a letter that fails where its author's domain asks for p=reject.",
        choices=("reject", "quarantine", "mark", "accept"),
    )
    quarantine: str = option(
        "quarantine",
        "What becomes of a letter that fails where its author's domain asks for p=quarantine.",
        choices=("reject", "quarantine", "mark", "accept"),
    )
    temperror: str = option(
        "defer",
        "What becomes of a letter that cannot be judged now, though its author's domain asks for reject or quarantine.",
        choices=("defer", "quarantine", "mark", "accept"),
    )


class Policy:
    """Asked once, with the whole letter."""

    stages: ClassVar[frozenset[Stage]] = frozenset({Stage.DATA})

    def __init__(self, config: Config, services: Services) -> None:
        self._actions = {"reject": config.reject, "quarantine": config.quarantine}
        self._temperror = config.temperror

    async def decide(self, stage: Stage, facts: Facts) -> Verdict:
        """Follow the author's domain: reject, Junk, or nothing."""
        if facts.auth is None:
            return Pass()
        dmarc = facts.auth.dmarc
        if dmarc.result is AuthResult.FAIL:
            return _act(self._actions.get(dmarc.disposition, "accept"), "dmarc-fail", dmarc)
        if dmarc.result is AuthResult.TEMPERROR and dmarc.policy in self._actions:
            return _act(self._temperror, "dmarc-temperror", dmarc)
        return Pass()


def _act(action: str, code: str, dmarc: DmarcResult) -> Verdict:
    text = f"neither SPF nor DKIM speaks for {dmarc.domain} (p={dmarc.policy})"
    text_vi = f"Thư không chứng minh được là do {dmarc.domain} gửi"
    findings = (Finding(code=code, text=text, text_vi=text_vi, article="Điều 18.3"),)
    match action:
        case "reject":
            return Reject(
                text=f"This message fails DMARC, and {dmarc.domain} asks to refuse such mail", text_vi=text_vi,
                enhanced="7.26", findings=findings, article="Điều 18.3",
            )  # fmt: skip
        case "defer":
            return Defer(
                text=f"It cannot be found out now whether {dmarc.domain} sent this; please try again",
                text_vi=f"Hiện chưa xác minh được thư của {dmarc.domain}, xin gửi lại sau",
                enhanced="7.0", findings=findings,
            )  # fmt: skip
        case "quarantine":
            return Quarantine(text=text, text_vi=text_vi, findings=findings, article="Điều 18.3")
        case "mark":
            return Annotate(((_HEADER, f"{dmarc.result} p={dmarc.policy}"),), findings)
        case _:
            return Pass(findings)
