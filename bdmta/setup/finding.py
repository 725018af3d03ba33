"""One line of `bdmta check`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, whether it is well, and what to do when it is not."""

    check: str
    state: Literal["ok", "warn", "fail"]
    detail: str


def ok(check: str, detail: str) -> Finding:
    """It is well."""
    return Finding(check, "ok", detail)


def warn(check: str, detail: str) -> Finding:
    """It serves, but somebody should look."""
    return Finding(check, "warn", detail)


def fail(check: str, detail: str) -> Finding:
    """It would not serve, or not safely."""
    return Finding(check, "fail", detail)
