"""From the end of DATA to the 250: scan, own checks, the chain's ruling, edits, commit; one way in for all letters.

The order is the contract: nothing is answered before `storage.commit` has returned. What the peer is told is little,
with a reference; the log and the ledger have the rest, and never content.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bdmta.chain import Chain, Ruling
from bdmta.clock import Clock
from bdmta.delivery import Deliverer
from bdmta.edits import finish, refuse_foreign_author
from bdmta.envelope import Envelope, new_reference
from bdmta.facts import Fact, FactSink, accepted_facts, fact, refusal_facts
from bdmta.mailauth.check import MailAuth
from bdmta.mailauth.results import AuthResults
from bdmta.message import Message, scan
from bdmta.notices import Notices
from bdmta.policy import Facts, Stage
from bdmta.quarantine import Quarantine
from bdmta.received import trace_fields
from bdmta.reply import Reply, reply
from bdmta.routing import Route
from storage.errors import NoSpace, OverQuota, StoreError
from storage.incoming import Incoming
from storage.letter import Letter

INLINE_OCTETS = 262_144


class Acceptance:
    """One for an edge; `accept` is called once a letter."""

    def __init__(
        self,
        deliverer: Deliverer,
        notices: Notices,
        quarantine: Quarantine,
        facts: FactSink,
        clock: Clock,
        executor: Executor,
        log: Any,
        *,
        hostname: str,
        offset: timedelta,
        local_domains: Any,
        mail_auth: MailAuth | None = None,
    ) -> None:
        self._deliverer = deliverer
        self._notices = notices
        self._quarantine = quarantine
        self._facts = facts
        self._clock = clock
        self._executor = executor
        self._log = log
        self._hostname = hostname
        self._offset_s = int(offset.total_seconds())
        self._local_domains = local_domains
        self._mail_auth = mail_auth

    def reference(self) -> str:
        """A new name for a letter or a failure."""
        return new_reference(self._clock)

    def trace(self, envelope: Envelope) -> bytes:
        """The fields that the letter begins with; written into the spool before its own octets."""
        return trace_fields(envelope, self._hostname, self._offset_s)

    def has_room(self, route: Route, size_octets: int) -> bool:
        """A letter of the declared size fits (asked at RCPT)."""
        return self._deliverer.has_room(route, size_octets)

    def record(self, facts: list[Fact]) -> None:
        """Write facts to the ledger's inbox. A fact that cannot be written never undoes a letter that is stored."""
        try:
            self._facts.write(facts)
        except OSError as error:
            self._log.error("fact not written", reference=facts[0].get("reference"), reason=str(error))

    async def accept(self, envelope: Envelope, incoming: Incoming, chain: Chain, max_received: int) -> Reply:
        """The reply to a letter that has come in whole. 250: on disk for every recipient."""
        message = await self._scan(incoming)
        refusal = self._own_checks(envelope, message, max_received)
        if refusal is not None:
            return self.refuse(envelope, refusal, message)
        auth = await self._origin(envelope, message)
        ruling = await chain.rule(Stage.DATA, self._policy_facts(envelope, message, incoming.size_octets, auth))
        answer = ruling.reply()
        if answer is not None:
            self.record(refusal_facts(ruling, Stage.DATA, envelope, message))
            if envelope.account is not None:
                self._notices.explain_refusal(envelope, ruling)
            return answer
        _add_earlier(envelope, ruling)
        letter = self._letter(envelope, ruling, message, incoming)
        try:
            served = await self._quarantine.take(envelope, ruling, incoming.letter(), letter)
            placed = await self._deliverer.place(served, letter, ruling.quarantined)
        except StoreError as error:
            return self._store_refusal(envelope, error)
        held = tuple(r.key for r in envelope.recipients if r not in served.recipients)
        self.record(accepted_facts(envelope, message, ruling, placed, letter.size_octets, held))
        self._log.info(
            "accepted", reference=envelope.reference, sender=envelope.sender_text, recipients=len(envelope.recipients),
            octets=letter.size_octets, direction=str(envelope.direction), ip=envelope.remote_ip,
            queued=len(placed.outside),
        )  # fmt: skip
        if placed.crossings:
            self._notices.warn_of_quota(placed.crossings)
        return reply(250, "0.0", f"OK, stored as {envelope.reference}")

    def refuse(self, envelope: Envelope, refusal: Reply, message: Message | None = None) -> Reply:
        """`refusal`, put on record, with the reference by which it is found there (contract 11)."""
        first, *more = refusal.lines
        told = replace(refusal, lines=(f"{first} (ref {envelope.reference})", *more))
        self.record([fact(envelope, "refused", message, by="server", reply=str(told))])
        return told

    async def _scan(self, incoming: Incoming) -> Message:
        """Read the letter's structure; large ones beside the loop."""
        if incoming.size_octets <= INLINE_OCTETS:
            return scan(incoming.view())
        return await asyncio.get_running_loop().run_in_executor(self._executor, scan, incoming.view())

    async def _origin(self, envelope: Envelope, message: Message) -> AuthResults | None:
        """SPF, DKIM and DMARC, before any policy is asked; our own trace fields were not there when it was signed."""
        if self._mail_auth is None:
            return None
        return await self._mail_auth.check(envelope, message, len(self.trace(envelope)))

    def _own_checks(self, envelope: Envelope, message: Message, max_received: int) -> Reply | None:
        """What is no policy: loops, and the login's own From (Điều 17.2)."""
        if sum(header.name == "received" for header in message.headers) > max_received:  # RFC 5321 §6.3
            return reply(554, "4.6", "Too many hops, this message loops", "Thư chạy vòng quá nhiều máy chủ")
        delivered_to = {h.text.strip().casefold() for h in message.headers if h.name == "delivered-to"}
        if delivered_to and any(r.key in delivered_to for r in envelope.recipients):
            return reply(554, "4.6", "This message has been here before (loop)", "Thư bị chuyển tiếp vòng lặp")
        return refuse_foreign_author(envelope.account, message)

    def _policy_facts(self, envelope: Envelope, message: Message, size: int, auth: AuthResults | None) -> Facts:
        return Facts(
            direction=envelope.direction, received_at=envelope.received_at, reference=envelope.reference,
            listener=envelope.listener, remote_ip=envelope.remote_ip, is_trusted_network=envelope.is_trusted_network,
            has_tls=envelope.has_tls, helo=envelope.helo, account=envelope.account,
            mail_from=envelope.sender.key if envelope.sender is not None else "",
            rcpt_to=tuple(r.key for r in envelope.recipients), size=size, message=message,
            local_domains=frozenset(self._local_domains()), smtputf8=envelope.smtputf8, auth=auth,
        )  # fmt: skip

    def _letter(self, envelope: Envelope, ruling: Ruling, message: Message, incoming: Incoming) -> Letter:
        """The final octets; those of a letter that no policy rewrote stay where they were spooled."""
        final = finish(envelope, ruling, message, hostname=self._hostname, offset_s=self._offset_s)
        if final.message is message:
            return incoming.letter(final.prefix, final.spans)
        return Letter.from_octets(final.pieces())

    def _store_refusal(self, envelope: Envelope, error: StoreError) -> Reply:
        self._log.error("not stored", reference=envelope.reference, exc_info=error)
        ref = f"(ref {envelope.reference})"
        if isinstance(error, NoSpace):
            return reply(452, "3.1", f"Insufficient system storage {ref}", "Máy chủ tạm hết chỗ lưu, xin gửi lại sau")
        if isinstance(error, OverQuota):
            return reply(452, "2.2", f"Mailbox full {ref}", "Hộp thư đã đầy, xin gửi lại sau")
        return reply(451, "3.0", f"Temporary failure {ref}", "Lỗi tạm thời, xin gửi lại sau")


def _add_earlier(envelope: Envelope, ruling: Ruling) -> None:
    """What policies said at CONNECT, HELO, MAIL and RCPT holds for the letter too."""
    keys = {recipient.key for recipient in envelope.recipients}
    for earlier in envelope.earlier:
        ruling.headers += earlier.headers
        ruling.quarantined |= keys if earlier.is_all_junk else earlier.junk & keys
        ruling.quarantined_by = ruling.quarantined_by or earlier.junk_by
