"""What the directory hands out: frozen rows, addresses in the form they are compared in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["person", "agency"]
Status = Literal["active", "suspended", "closed"]

KINDS: tuple[Kind, ...] = ("person", "agency")
SCOPES = ("imap", "pop3", "smtp")
"""What an application password can open."""

Level = Literal["province", "district", "commune", "unit"]
LEVELS: tuple[Level, ...] = ("province", "district", "commune", "unit")

# RFC 2142 §4, §5: someone at each of these always answers. Never a person's own address.
ROLE_NAMES = frozenset({"postmaster", "abuse", "hostmaster", "webmaster", "security", "noc"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """A mailbox of an official or of an agency (Điều 5). A quota of 0 is no limit. `created_at` is ISO 8601 in UTC.

    `published`: stands in the address book that everybody can read (Điều 6).
    """

    address: str
    name: str
    kind: Kind = "person"
    agency: str = ""
    status: Status = "active"
    quota_octets: int = 0
    quota_letters: int = 0
    password_hash: str | None = None
    must_change: bool = False
    rank: int | None = None
    created_at: str = ""
    status_at: str = ""
    published: bool = False
    password_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """Another address of the same mailbox, or one that leads to several, or outside. `until`: empty, it stays."""

    address: str
    targets: tuple[str, ...]
    created_at: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """An address that stands for its members: mailboxes, aliases, other groups, addresses outside."""

    address: str
    name: str
    members: tuple[str, ...]
    owner: str | None = None
    created_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agency:
    """An agency (Điều 5.2). `identifier` is its abbreviation, the local part of its address; `parent` another's.

    `head` and `clerk` are what people wrote: a name, or an address. They are never published.
    """

    identifier: str
    name: str
    level: Level = "province"
    parent: str | None = None
    head: str = ""
    clerk: str = ""
    paper_address: str = ""
    published: bool = False
    created_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPassword:
    """A password of one device; only its last four characters can be seen again.

    `scope`: the protocols it opens, parted by commas; "" is all. `holder`: whose it is in a mailbox that several
    people enter: an address here, or a name; "" is the mailbox's own person. `last_used_from`: protocol and address.
    """

    id: int
    address: str
    label: str
    hint: str
    created_at: str
    scope: str = ""
    holder: str = ""
    last_used_at: str = ""
    last_used_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """An address at rest: what it was, and until when it is given to nobody else (a date, ISO 8601)."""

    address: str
    was: str
    until: str
