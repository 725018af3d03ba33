"""Where an address leads: mailboxes here, addresses outside, or nowhere; aliases and groups opened with bounds.

Dots are significant and sub-addressing is off by default (Điều 5: `minhnv.dian` is not `minhnvdian`). postmaster and
abuse always lead somewhere (RFC 2142, RFC 5321 §4.5.1).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from bdmta.address import Address, AddressError, parse_address
from bdmta.directory.snapshot import AliasEntry, GroupEntry, MailboxEntry, Snapshot

MAX_DEPTH = 20
MAX_TARGETS = 100_000
ALWAYS_THERE = ("postmaster", "abuse")


@dataclass(frozen=True, slots=True)
class Outside:
    """An address of another system; `via` is the alias or group here that sends it on, None when asked for itself."""

    address: str
    via: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """What an address leads to. `problem` is "" or why there is nothing: unknown, closed, loop."""

    mailboxes: tuple[MailboxEntry, ...] = ()
    outside: tuple[Outside, ...] = ()
    problem: str = ""
    is_group: bool = False


class Router:
    """Looks addresses up in the directory that is published now."""

    def __init__(self, current: Callable[[], Snapshot], postmaster: str, separator: str) -> None:
        self._current = current
        self._postmaster = postmaster
        self._separator = separator

    def is_local(self, domain: str) -> bool:
        """Mail for `domain` is kept here."""
        return domain in self._current().domains

    def local_domains(self) -> tuple[str, ...]:
        """Domains whose mail is kept here; the first is the primary (Điều 5.1)."""
        return self._current().domains

    def route(self, address: Address) -> Route:
        """Where `address` leads. An address outside leads to itself; whether it may be asked for is the caller's."""
        snapshot = self._current()
        if not address.domain:
            address = Address("postmaster", snapshot.primary_domain)
        if address.domain not in snapshot.domains:
            return Route(outside=(Outside(str(address)),))
        key = address.key
        entry = snapshot.lookup(key)
        if entry is None and self._separator and self._separator in address.local:
            plain = Address(address.local.split(self._separator, 1)[0], address.domain)
            key, entry = plain.key, snapshot.lookup(plain.key)
        if entry is None and address.local.casefold() in ALWAYS_THERE and self._postmaster:
            key, entry = self._postmaster, snapshot.lookup(_key(self._postmaster))
        if isinstance(entry, MailboxEntry):
            return Route(problem="closed") if entry.status == "closed" else Route(mailboxes=(entry,))
        if entry is None:
            return Route(problem="unknown")
        return _open(snapshot, key, entry)


def _open(snapshot: Snapshot, key: str, entry: AliasEntry | GroupEntry) -> Route:
    """Every mailbox and outside address behind an alias or group, each once; breadth first, bounded."""
    mailboxes: dict[str, MailboxEntry] = {}
    outside: dict[str, Outside] = {}
    seen = {key}
    level: list[tuple[str, AliasEntry | GroupEntry]] = [(key, entry)]
    for _ in range(MAX_DEPTH):
        below: list[tuple[str, AliasEntry | GroupEntry]] = []
        for via, holder in level:
            for member in holder.targets if isinstance(holder, AliasEntry) else holder.members:
                name = _key(member)
                if name in seen:
                    continue
                seen.add(name)
                found = snapshot.lookup(name)
                if isinstance(found, MailboxEntry):
                    if found.status != "closed":
                        mailboxes[name] = found
                elif found is not None:
                    below.append((name, found))
                elif name.rpartition("@")[2] not in snapshot.domains:
                    outside[name] = Outside(member, via)
                if len(seen) > MAX_TARGETS:
                    break
        if not below:
            break
        level = below
    problem = "" if mailboxes or outside else "unknown"
    return Route(tuple(mailboxes.values()), tuple(outside.values()), problem, isinstance(entry, GroupEntry))


def _key(text: str) -> str:
    try:
        return parse_address(text).key
    except AddressError:
        return unicodedata.normalize("NFC", text).casefold()
