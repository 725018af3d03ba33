"""A letter as it is sent, and what must become of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bdmta.traffic.population import Account

ID_FIELD = "X-Traffic-Id"


class Expect(StrEnum):
    """What a server that keeps the regulation does with it."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    ANY = "any"
    """Either: refused it must not arrive, accepted it must (but may be rewritten)."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One transaction. `account` sends it by submission; without one it comes by SMTP from outside.

    `octets` begin with the field `X-Traffic-Id: <label>.<number>`, by which the letter is known again wherever it lies.
    """

    number: int
    kind: str
    sender: str
    recipients: tuple[str, ...]
    octets: bytes
    account: Account | None = None
    expect: Expect = Expect.ACCEPT
    what: str = ""
    """Which of the hostile kinds it is, or the file that it was taken from."""
    needs_utf8: bool = False
    """Sent with SMTPUTF8 (RFC 6531)."""


def id_line(label: str, number: int) -> bytes:
    """The first line of each letter of a run."""
    return f"{ID_FIELD}: {label}.{number}\r\n".encode()
