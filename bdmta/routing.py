"""Where an address leads: mailboxes here, addresses outside, or nowhere; aliases and groups opened with bounds.

Dots are significant and sub-addressing is off by default (Điều 5: `minhnv.dian` is not `minhnvdian`). postmaster and
abuse always lead somewhere (RFC 2142, RFC 5321 §4.5.1).
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from bdmta.address import Address, AddressError, parse_address
from bdmta.directory.snapshot import AliasEntry, Entry, GroupEntry, MailboxEntry, Snapshot, SnapshotWatch

MAX_DEPTH = 20
MAX_TARGETS = 100_000
LARGE_GROUP = 500


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

    def __init__(
        self, watch: SnapshotWatch, separator: str, bounce_for: Callable[[str], str | None] = lambda _: None
    ) -> None:
        """`bounce_for`: whom a local part stands for that we wrote into a forwarded letter (SRS), or None."""
        self._bounce_for = bounce_for
        self._watch = watch
        self._separator = separator
        self._opened: dict[str, Route] = {}  # groups, of the snapshot `_opened_of`
        self._opened_of: Snapshot | None = None

    def is_local(self, domain: str) -> bool:
        """Mail for `domain` is kept here."""
        return self._watch.current().is_local(domain)

    def local_domains(self) -> tuple[str, ...]:
        """Domains whose mail is kept here; the first is the primary (Điều 5.1)."""
        return self._watch.current().domains

    def route(self, address: Address) -> Route:
        """Where `address` leads. An address outside leads to itself; whether it may be asked for is the caller's."""
        snapshot = self._watch.current()
        if address.domain and not snapshot.is_local(address.domain):
            return Route(outside=(Outside(str(address)),))
        key = address.key if address.domain else f"postmaster@{snapshot.domains[0]}"
        entry = self._find(snapshot, key)
        if entry is None:  # made a moment ago, perhaps
            snapshot = self._watch.current(look_now=True)
            entry = self._find(snapshot, key)
        if isinstance(entry, MailboxEntry):
            return Route(problem="closed") if entry.status == "closed" else Route(mailboxes=(entry,))
        if entry is None:
            original = self._bounce_for(address.local)
            return Route(problem="unknown") if original is None else Route(outside=(Outside(original, key),))
        if snapshot is not self._opened_of:
            self._opened, self._opened_of = {}, snapshot
        if key not in self._opened:
            self._opened[key] = _open(snapshot, key, entry)
        return self._opened[key]

    async def find(self, address: Address, executor: Executor) -> Route:
        """`route`, with large groups opened beside the loop the first time."""
        snapshot = self._watch.current()
        entry = snapshot.resolve(address.key) if address.domain else None
        if isinstance(entry, GroupEntry) and len(entry.members) > LARGE_GROUP:
            return await asyncio.get_running_loop().run_in_executor(executor, self.route, address)
        return self.route(address)

    def _find(self, snapshot: Snapshot, key: str) -> Entry | None:
        entry = snapshot.resolve(key)
        if entry is None and self._separator and self._separator in key.partition("@")[0]:
            local, _, domain = key.rpartition("@")
            entry = snapshot.resolve(f"{local.split(self._separator, 1)[0]}@{domain}")
        return entry


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
                found = snapshot.resolve(name)
                if isinstance(found, MailboxEntry):
                    if found.status != "closed":
                        mailboxes[name] = found
                elif found is not None:
                    below.append((name, found))
                elif not snapshot.is_local(name.rpartition("@")[2]):
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
