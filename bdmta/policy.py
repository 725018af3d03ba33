"""The policy API: stages, frozen facts, closed verdicts. A policy module imports this and nothing else of bdmta.

A policy is a plain class named `Policy` in a module of its own, beside a frozen dataclass `Config` of its options::

    @dataclass(frozen=True)
    class Config:
        delay_s: int = option(300, "How long an unknown sender is put off, in seconds.")

    class Policy:
        stages = frozenset({Stage.RCPT})

        def __init__(self, config: Config, services: Services) -> None: ...

        async def decide(self, stage: Stage, facts: Facts) -> Verdict: ...

Policies return values; they never write to the socket, change the letter in place, or see one another.
`docs/writing-a-policy.md` walks through one; `bdmta.testing.PolicyContext` tests it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, ClassVar, Protocol, TypeAlias

from bdmta.charset import Review as CharsetReview
from bdmta.charset import convert as convert_charset
from bdmta.charset import prepare as prepare_charset
from bdmta.charset import review as review_charset
from bdmta.charset import texts_of
from bdmta.clock import Clock
from bdmta.examine.inventory import Inventory, Item
from bdmta.mailauth.results import AuthResults, DkimResult, DmarcResult, SpfResult
from bdmta.mailauth.results import Result as AuthResult
from bdmta.message import Message, Part
from bdmta.message.addresses import mailboxes

__all__ = [
    "Accept", "Account", "Annotate", "AuthResult", "AuthResults", "CharsetReview", "Defer", "Direction", "DkimResult",
    "DmarcResult", "Examiner", "Facts", "Finding", "Inventory", "Item", "Message", "Mode", "Part", "Pass", "Policy",
    "Quarantine", "Reject", "Rewrite", "Services", "SpfResult", "Stage", "State", "Verdict", "convert_charset",
    "mailboxes", "option", "prepare_charset", "review_charset", "texts_of",
]  # fmt: skip


class Stage(IntEnum):
    """When a policy is asked; the order is SMTP's."""

    CONNECT = 0
    HELO = 1
    MAIL = 2
    RCPT = 3
    DATA = 4


class Direction(StrEnum):
    """Where a letter comes from: authenticated = submission whatever the recipients, made here = internal, else
    inbound, LMTP too.
    """

    INBOUND = "inbound"
    SUBMISSION = "submission"
    INTERNAL = "internal"


class Mode(StrEnum):
    """What the chain does with a policy's verdict: `observe` records it, `warn` marks the letter, `enforce` obeys."""

    OFF = "off"
    OBSERVE = "observe"
    WARN = "warn"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who has authenticated. `may_send_as` holds the addresses (in lower case) that belong to the login.

    `device`, `holder`: which application password it was, and whose in a mailbox that several people enter; "" is the
    mailbox's own password.
    """

    address: str
    kind: str
    agency: str | None
    may_send_as: frozenset[str]
    device: str = ""
    holder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known when a policy is asked; later fields are None until their stage.

    Addresses are in lower case. `mail_from` is `""` for the null reverse-path. At Stage.RCPT `recipient` is the one
    asked about and `rcpt_to` those accepted before it; at Stage.DATA `rcpt_to` holds all.
    """

    direction: Direction
    received_at: datetime
    reference: str
    listener: str = ""
    remote_ip: str | None = None
    is_trusted_network: bool = False
    has_tls: bool = False
    helo: str | None = None
    account: Account | None = None
    mail_from: str | None = None
    recipient: str | None = None
    rcpt_to: tuple[str, ...] = ()
    size: int | None = None
    message: Message | None = None
    local_domains: frozenset[str] = frozenset()
    smtputf8: bool | None = None
    """MAIL said SMTPUTF8 (RFC 6531); None: not known (LMTP, a letter from a file)."""
    auth: AuthResults | None = None
    """SPF, DKIM and DMARC, at Stage.DATA; None where nobody checks (submission, our own letters, relays)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing a policy saw. Never holds content; `file` is a path within the letter (`a.zip/b.exe`)."""

    code: str
    text: str
    text_vi: str = ""
    file: str | None = None
    article: str | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """No opinion. Findings are recorded all the same."""

    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Accept:
    """No later policy is asked at this stage."""

    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What the sender is told: one English sentence and the same in Vietnamese with diacritics (the reply carries
    it without). `recipients` limits the verdict to some; None means the letter as such. `how_to_vi` is what the
    explanation letter to a refused official adds: what to do now.
    """

    text: str
    text_vi: str
    findings: tuple[Finding, ...] = ()
    recipients: frozenset[str] | None = None
    article: str | None = None
    how_to_vi: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject(_Said):
    """Refuse for good (5yz). `enhanced` is subject and detail of RFC 3463; the class comes from the code."""

    code: int = 550
    enhanced: str = "7.1"

    def __post_init__(self) -> None:
        if not 500 <= self.code <= 599:
            raise ValueError(f"Reject takes a 5yz code, not {self.code}; Defer is for 4yz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defer(_Said):
    """Refuse for now (4yz): the sender tries again."""

    code: int = 451
    enhanced: str = "7.1"

    def __post_init__(self) -> None:
        if not 400 <= self.code <= 499:
            raise ValueError(f"Defer takes a 4yz code, not {self.code}; Reject is for 5yz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine(_Said):
    """Answer 250 and deliver to Junk; held to the end of the chain, so that a later Reject wins."""


@dataclass(frozen=True, slots=True)
class Annotate:
    """Add header fields on top of the letter; values may hold any Unicode and are encoded where needed."""

    headers: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The letter is replaced by `octets` (CRLF line ends) in the facts that later policies see."""

    octets: bytes
    findings: tuple[Finding, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    keep_original: bool = False
    """Keep the octets as they came in quarantine (30 days), so that nothing is lost by the change."""


Verdict: TypeAlias = Pass | Accept | Defer | Reject | Quarantine | Annotate | Rewrite


class Examiner(Protocol):
    """Opens what strangers sent, in bounded processes of its own."""

    async def inventory(self, message: Message) -> Inventory:
        """Every file in the letter, at every depth, by name, declared type and content; once a letter.

        Raises ExaminerError when the process was killed at a bound; the chain then follows `on_error`.
        """

    async def texts(self, message: Message) -> tuple[tuple[str, str], ...]:
        """The words of every attached document, `(path, text)`, bounded (`bdmta.examine.wording.texts`).

        Raises ExaminerError as `inventory` does.
        """


class State(Protocol):
    """A small key-value store of the policy's own; what is older than `ttl_s` is forgotten."""

    def get(self, key: str) -> str | None:
        """The value, or None."""

    def put(self, key: str, value: str, ttl_s: int) -> None:
        """Remember `value` for `ttl_s` seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All of the world that a policy can reach."""

    clock: Clock
    examiner: Examiner
    state: State
    log: Any
    resolver: Any = None


class Policy(Protocol):
    """The shape of a policy; there is no base class."""

    stages: ClassVar[frozenset[Stage]]

    async def decide(self, stage: Stage, facts: Facts) -> Verdict:
        """The verdict at this stage. An exception or a time-out becomes the step's `on_error` (default: defer)."""


def option(default: Any, doc: str, *, choices: tuple[str, ...] = ()) -> Any:
    """A field of a policy's Config: its default and one sentence, with the unit; the manual is made from it."""
    metadata: Mapping[str, Any] = {"doc": doc, "choices": choices}
    if isinstance(default, list | dict | set):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)
