"""The courier's signature: which letters get one, read from where they lie."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any, Protocol

from bdmta.batch import Batch
from bdmta.errors import BdmtaError
from bdmta.mailauth.sign import Signer
from bdmta.policy import Direction
from storage.spool_entry import QueueEntry

_SMALL_OCTETS = 262_144


class Leaving(Protocol):
    """A letter as it will be sent; `bdmta.queue.outgoing.Outgoing` is one."""

    @property
    def size_octets(self) -> int:
        """Its size."""

    def octets(self) -> Iterator[bytes]:
        """Its octets, read as they are asked for."""


class LeavingSigner:
    """Signs what our people and this system send, never what came from outside, whoever it says it is from."""

    def __init__(self, signer: Signer, executor: Executor, log: Any) -> None:
        self._signer = signer
        self._executor = executor
        self._log = log
        self._small = Batch(self._sign_now, executor)

    def _sign_now(self, work: tuple[Leaving, frozenset[str]]) -> bytes:
        letter, domains = work
        return self._signer.sign_now(letter.octets(), domains)

    def signs(self, entry: QueueEntry) -> bool:
        """Not what came from outside and is sent on: our signature would turn a forged From of ours into a true one."""
        return entry.direction != Direction.INBOUND

    async def sign(self, letter: Leaving, entry: QueueEntry) -> bytes:
        """The fields to put on top; b"" for a letter that is not ours, or that cannot be signed (the log has why)."""
        if not self.signs(entry):
            return b""
        try:
            work = (letter, self._signer.domains())
            if letter.size_octets <= _SMALL_OCTETS:  # RSA takes half a millisecond: many in one hop
                return await self._small(work)
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._sign_now, work)
        except (BdmtaError, OSError) as error:
            self._log.error("not signed", reference=entry.id, reason=str(error))
            return b""
