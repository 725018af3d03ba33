"""Bring a letter to its recipients at one destination: over the connection at hand, else to the hosts in their order.

Recipients that were led here by different aliases get transactions of their own, for each has its own Delivered-To.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bdmta.message.write import field
from bdmta.queue.hops import NextHops, Way
from bdmta.queue.link import Link, LinkError, LinkSettings, Mail, To
from bdmta.queue.outcome import Outcome, Result, deferred
from bdmta.queue.outgoing import Outgoing
from bdmta.queue.recipients import domain_of
from storage.spool_entry import QueueEntry, QueueRecipient

RECIPIENTS_PER_TRANSACTION = 100  # what every server takes, RFC 5321 §4.5.3.1.8
_HOSTS_PER_ATTEMPT = 5

Waiting = Sequence[tuple[int, QueueRecipient]]
LetterOf = Callable[[bool], Awaitable[Outgoing]]


@dataclass(frozen=True, slots=True)
class Carried:
    """The outcome of each recipient in order, and the connection if it is good for more."""

    outcomes: list[Outcome]
    link: Link | None


class Local(Protocol):
    """Mailboxes of this system: copies that waited for room."""

    def is_local(self, domain: str) -> bool:
        """Mail for `domain` is kept here."""

    async def deliver(self, entry: QueueEntry, recipient: QueueRecipient) -> Outcome:
        """Put the entry's letter into the recipient's mailbox."""


class Rewriter(Protocol):
    """The reverse-path of a letter that is forwarded."""

    def sender(self, sender: str, via: str) -> str:
        """What MAIL FROM says for a letter of `sender` that the alias or mailbox `via` sends on."""


class Carrier:
    """Knows the ways; keeps nothing of its own between letters."""

    def __init__(self, hops: NextHops, settings: LinkSettings, local: Local, rewriter: Rewriter) -> None:
        self._hops = hops
        self._settings = settings
        self._local = local
        self._rewriter = rewriter

    def destination(self, address: str) -> str:
        """The key of the destination of an address; "" for mailboxes here."""
        domain = domain_of(address)
        return "" if self._local.is_local(domain) else self._hops.destination(domain)

    async def carry(
        self, destination: str, entry: QueueEntry, waiting: Waiting, link: Link | None, letter: LetterOf
    ) -> Carried:
        """Try every recipient of `waiting`, all of this destination."""
        if not destination:
            return Carried([await self._local.deliver(entry, recipient) for _, recipient in waiting], None)
        outcomes: dict[int, Outcome] = {}
        domain = domain_of(waiting[0][1].address)
        for group in _groups(waiting):
            mail = self._mail(entry, [recipient for _, recipient in group], letter)
            if link is None and outcomes and any(o.hop_failed for o in outcomes.values()):
                found = [next(o for o in outcomes.values() if o.hop_failed)] * len(group)
            else:
                found, link = await self._deliver(domain, mail, link)
            outcomes.update({position: outcome for (position, _), outcome in zip(group, found, strict=True)})
        return Carried([outcomes[position] for position, _ in waiting], link)

    def _mail(self, entry: QueueEntry, recipients: Sequence[QueueRecipient], letter: LetterOf) -> Mail:
        via = recipients[0].via
        mark = field("Delivered-To", via) if via else b""  # so that a loop is seen (RFC 9228)

        async def marked(takes_8bit: bool) -> Outgoing:
            outgoing = await letter(takes_8bit)
            return outgoing.with_head(mark) if mark else outgoing

        sender = self._rewriter.sender(entry.sender, via) if via else entry.sender
        to = tuple(To(r.address, r.dsn_notify, r.dsn_orcpt) for r in recipients)
        needs_utf8 = not (sender.isascii() and all(r.address.isascii() for r in recipients))
        return Mail(sender, to, marked, needs_utf8, entry.smtputf8, entry.dsn_ret, entry.dsn_envid)

    async def _deliver(self, domain: str, mail: Mail, link: Link | None) -> tuple[list[Outcome], Link | None]:
        if link is not None and link.is_open:
            try:
                return await self._send(link, mail)
            except LinkError:
                pass  # it was kept too long for the peer's taste; nothing was sent, a new one is made
        way = await self._hops.way(domain)
        if isinstance(way, Outcome):
            return [way] * len(mail.to), None
        last = deferred("4.4.1", f"no mail exchanger of {domain} could be reached", hop_failed=True)
        seen = 0
        async for host, address, port, problem in self._hosts(way):
            if problem is not None:
                last = problem if seen == 0 or problem.result is Result.DEFERRED else last
                continue
            seen += 1
            try:
                fresh = await Link.open(host, address, port, self._settings, tls=way.tls, login=way.login)
                return await self._send(fresh, mail)
            except LinkError as error:
                last = error.outcome
            if seen >= _HOSTS_PER_ATTEMPT:
                break
        return [last] * len(mail.to), None

    async def _send(self, link: Link, mail: Mail) -> tuple[list[Outcome], Link | None]:
        outcomes = await link.send(mail)
        return outcomes, link if link.is_open else None

    async def _hosts(self, way: Way) -> AsyncIterator[tuple[str, str, int, Outcome | None]]:
        """The addresses to try in order, or why a host has none."""
        for exchanger in way.exchangers:
            found: Any = await self._hops.addresses(exchanger)
            if isinstance(found, Outcome):
                yield exchanger.host, "", exchanger.port, found
                continue
            for address in found:
                yield exchanger.host, address, exchanger.port, None


def _groups(waiting: Waiting) -> list[list[tuple[int, QueueRecipient]]]:
    """Recipients that can share a transaction: sent on by the same alias or by none, at most a hundred."""
    by_via: dict[str, list[tuple[int, QueueRecipient]]] = {}
    for position, recipient in waiting:
        by_via.setdefault(recipient.via, []).append((position, recipient))
    size = RECIPIENTS_PER_TRANSACTION
    return [group[at : at + size] for group in by_via.values() for at in range(0, len(group), size)]
