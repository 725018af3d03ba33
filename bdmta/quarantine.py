"""Letters held back: those a policy put aside for an operator, and originals of letters that were converted.

An entry is a letter and a small file beside it (`storage.spool`), readable with ls and cat. What lists show are codes
and addresses, never content (Điều 2); releasing and dropping leave a row in the audit log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from bdmta.chain import Ruling
from bdmta.clock import Clock
from bdmta.envelope import Envelope
from bdmta.errors import BdmtaError
from storage.errors import NotFound, StoreError
from storage.letter import Letter
from storage.spool import QueueEntry, Spool
from storage.spool_entry import QueueRecipient

HELD = "held"
ORIGINAL = "original"
_MAX_FINDINGS = 50


@dataclass(frozen=True, slots=True)
class Kept:
    """One entry: why it is there (`held` or `original`), by which policy, for whom, and the codes of what was seen."""

    id: str
    why: str
    policy: str
    sender: str
    recipients: tuple[str, ...]
    kept_at: float
    octets: int
    findings: tuple[dict[str, Any], ...]


class Quarantine:
    """The way in, for one edge. `holds`: a policy's Quarantine goes here and not to Junk."""

    def __init__(self, folder: str, clock: Clock, executor: Executor, *, holds: bool) -> None:
        self._spool = Spool(folder, clock)
        self._executor = executor
        self._holds = holds

    async def take(self, envelope: Envelope, ruling: Ruling, original: Letter, final: Letter) -> Envelope:
        """Keep what is to be kept, durably; the envelope of those who still get their copy. Raises StoreError."""
        if ruling.keeps_original:
            by = ruling.rewritten_by[0] if ruling.rewritten_by else ""
            await self._put(envelope, ORIGINAL, by, ruling, original, [r.key for r in envelope.recipients])
        if not self._holds or not ruling.quarantined:
            return envelope
        held = [r.key for r in envelope.recipients if r.key in ruling.quarantined]
        await self._put(envelope, HELD, ruling.quarantined_by, ruling, final, held)
        return replace(envelope, recipients=tuple(r for r in envelope.recipients if r.key not in ruling.quarantined))

    async def _put(
        self, envelope: Envelope, why: str, policy: str, ruling: Ruling, letter: Letter, recipients: Sequence[str]
    ) -> None:
        findings = [
            {"policy": step.step, "code": f.code, "file": f.file, "text": f.text}
            for step in ruling.steps
            for f in step.findings
        ]
        entry = QueueEntry(
            id=f"{envelope.reference}-{why}", sender=envelope.sender_text, letter=letter, kind="held",
            recipients=tuple(QueueRecipient(address=address) for address in recipients),
            direction=str(envelope.direction), received_at=envelope.received_at.timestamp(),
            more={"why": why, "policy": policy, "findings": findings[:_MAX_FINDINGS]},
        )  # fmt: skip
        await asyncio.get_running_loop().run_in_executor(self._executor, self._spool.put_sync, entry)


class QuarantineStore:
    """The way out, for commands and chores. Every method blocks."""

    def __init__(self, folder: str, clock: Clock) -> None:
        self._spool = Spool(folder, clock)

    def entries(self) -> Iterator[Kept]:
        """Every entry, oldest first; one that cannot be read is passed over (`verify-store` names it)."""
        for entry_id in self._spool.list():
            try:
                yield self.entry(entry_id)
            except (BdmtaError, StoreError):
                continue

    def entry(self, entry_id: str) -> Kept:
        """One entry; BdmtaError when there is none."""
        try:
            found = self._spool.load(entry_id)
        except NotFound:
            raise BdmtaError(f"{entry_id}: nothing of that name is in quarantine") from None
        more = found.more
        return Kept(
            found.id, str(more.get("why", HELD)), str(more.get("policy", "")), found.sender,
            tuple(r.address for r in found.recipients), found.received_at, found.size_octets,
            tuple(more.get("findings", ())),
        )  # fmt: skip

    def letter(self, entry_id: str) -> Letter:
        """The letter itself, for releasing it."""
        return self._spool.open_letter(entry_id)

    def remove(self, entry_id: str) -> None:
        """Take the entry out."""
        self._spool.remove(entry_id)

    def expire(self, before: float) -> int:
        """Remove what was kept before `before` (seconds since 1970); how many entries."""
        old = [kept.id for kept in self.entries() if kept.kept_at < before]
        for entry_id in old:
            self._spool.remove(entry_id)
        return len(old)
