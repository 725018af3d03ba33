"""The quota of mailboxes as folders ask for it: `storage.quota.Quota` with each mailbox's limit."""

from __future__ import annotations

from collections.abc import Callable

from storage.errors import OverQuota
from storage.quota import Limit, Quota


class LimitedQuota:
    """Admits what fits and counts what came or went. `limit_of` tells a mailbox directory's limit."""

    def __init__(self, quota: Quota, limit_of: Callable[[str], Limit]) -> None:
        self._quota = quota
        self._limit_of = limit_of

    def admit(self, mailbox: str, octets: int, letters: int) -> None:
        """Raise OverQuota unless so many octets more fit. Blocks."""
        if not self._quota.fits(mailbox, self._limit_of(mailbox), octets):
            raise OverQuota(f"{letters} letters of {octets} octets do not fit any more")

    def count(self, mailbox: str, octets: int, letters: int) -> None:
        """Record what came, or what went (negative). Blocks."""
        self._quota.add(mailbox, octets, letters, self._limit_of(mailbox))
