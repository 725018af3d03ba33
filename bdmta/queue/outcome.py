"""What became of one recipient in one attempt: sent, deferred or failed, with the reply that says so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

MAX_REPLY_CHARACTERS = 500  # what a stranger says is kept, within bounds
_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?:\s|\Z)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\u0080-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


class Result(StrEnum):
    """Where a recipient stands after an attempt."""

    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One recipient's result. `code` 0: no peer answered; `reply` is the peer's text or ours; `host` who said it.

    `hop_failed`: the next hop as such could not be used, so its other letters need not try now.
    """

    result: Result
    code: int
    status: str
    reply: str
    host: str = ""
    hop_failed: bool = False
    knows_dsn: bool = False
    tls: str = ""


def clean(text: str) -> str:
    """A peer's words on one line, without control and direction characters, bounded."""
    return _CONTROL.sub(" ", text).strip()[:MAX_REPLY_CHARACTERS]


def by_reply(
    code: int, text: str, host: str, *, is_last: bool = False, knows_dsn: bool = False, tls: str = ""
) -> Outcome:
    """The outcome that an SMTP reply means (RFC 5321 §4.2.1): 2yz sent if it `is_last`, 5yz failed, else later.

    A reply that belongs to none of these, or one class of code with another class of enhanced status, is taken by its
    code; what is no reply at all (3yz here, 9yz) waits.
    """
    words = clean(text)
    if 200 <= code < 300 and is_last:
        result, status = Result.SENT, "2.0.0"
    elif 500 <= code < 600:
        result, status = Result.FAILED, "5.0.0"
    else:
        result, status = Result.DEFERRED, "4.0.0"
    return Outcome(result, code, _status(words, status), f"{code} {words}", host, False, knows_dsn, tls)


def deferred(status: str, text: str, host: str = "", *, hop_failed: bool = False) -> Outcome:
    """Ours, without a peer's reply: to be tried again."""
    return Outcome(Result.DEFERRED, 0, status, clean(text), host, hop_failed)


def failed(status: str, text: str, host: str = "") -> Outcome:
    """Ours, without a peer's reply: not to be tried again."""
    return Outcome(Result.FAILED, 0, status, clean(text), host)


def _status(text: str, default: str) -> str:
    found = _ENHANCED.match(text)
    if found is None or found[1] != default[0]:
        return default
    return f"{found[1]}.{found[2]}.{found[3]}"
