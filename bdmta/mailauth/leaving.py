"""The courier's signature: which letters get one, read from where they lie."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any, Protocol

from bdmta.errors import BdmtaError
from bdmta.mailauth.sign import Signer
from bdmta.policy import Direction
from storage.spool_entry import QueueEntry

_INLINE_OCTETS = 262_144


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

    async def sign(self, letter: Leaving, entry: QueueEntry) -> bytes:
        """The fields to put on top; b"" for a letter that is not ours, or that cannot be signed (the log has why)."""
        if entry.direction == Direction.INBOUND:
            return b""  # forwarded: our signature would turn a forged From of ours into a true one
        try:
            if letter.size_octets <= _INLINE_OCTETS:
                return self._signer.sign_now(letter.octets())
            loop, domains = asyncio.get_running_loop(), self._signer.domains()
            return await loop.run_in_executor(self._executor, lambda: self._signer.sign_now(letter.octets(), domains))
        except (BdmtaError, OSError) as error:
            self._log.error("not signed", reference=entry.id, reason=str(error))
            return b""
