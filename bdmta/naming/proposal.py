"""What the naming functions answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

Status = Literal["ok", "review", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An address for somebody, or why there is none.

    `ok`: by the rule. `review`: a proposal that a person looks at first. `error`: no proposal, `local_part` is None.
    `code` names the reason for programs, `reason` tells it to people; both are empty where there is nothing to say.
    `steps` tell how it came about, `choices` what the operator may decide between.
    """

    local_part: str | None
    status: Status = "ok"
    code: str | None = None
    reason: str = ""
    steps: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values; `choices` only when there are any."""
        shown: dict[str, Any] = {
            "local_part": self.local_part, "status": self.status, "code": self.code, "reason": self.reason,
            "steps": list(self.steps),
        }  # fmt: skip
        if self.choices:
            shown["choices"] = list(self.choices)
        return shown

    def with_steps(self, *more: str) -> Proposal:
        """The same with more steps at the end."""
        return replace(self, steps=(*self.steps, *more))


def refused(code: str, reason: str, steps: tuple[str, ...] = ()) -> Proposal:
    """An error."""
    return Proposal(local_part=None, status="error", code=code, reason=reason, steps=steps)
