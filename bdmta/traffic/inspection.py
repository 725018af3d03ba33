"""Looking afterwards: at once, and again until what was promised is there or patience ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bdmta.traffic.ledger import Ledger
from bdmta.traffic.look import Copy, by_imap, by_maildir
from bdmta.traffic.target import Target
from bdmta.traffic.verdict import Fault, Verdict, judge, settle

_LOOK_AGAIN_S = 2.0


async def inspect(
    ledger: Ledger,
    target: Target,
    *,
    late_s: float,
    patience_s: float,
    elapsed_since_last_s: Callable[[], float],
) -> tuple[tuple[Fault, ...], int]:
    """The faults, and how many promises were looked at.

    The first look is at once. As long as something promised is missing it looks again, at most `patience_s` after the
    last answer. What comes within `late_s` of the last answer is in time; later it is late; never, it is lost.
    """
    verdict = await _look(ledger, target, late_s)
    appeared: list[tuple[int, str]] = []
    while verdict.missing and elapsed_since_last_s() < max(patience_s, late_s):
        before = set(verdict.missing)
        is_in_time = elapsed_since_last_s() <= late_s
        await asyncio.sleep(min(_LOOK_AGAIN_S, max(0.05, late_s / 4)))
        verdict = await _look(ledger, target, late_s)
        if not is_in_time:
            appeared += sorted(before - set(verdict.missing))
    return settle(verdict, appeared, late_s), verdict.checked_count


async def _look(ledger: Ledger, target: Target, late_s: float) -> Verdict:
    copies: list[Copy]
    if target.maildir:
        copies = await asyncio.to_thread(by_maildir, ledger.label, target.accounts, target.maildir, target.layout)
        addresses = [account.address for account in target.accounts]
    else:
        assert target.imap is not None
        copies = await by_imap(ledger.label, target.accounts, target.imap, target.tls, target.timeout_s)
        addresses = [account.address for account in target.accounts if account.password]
    return judge(ledger, copies, addresses, late_s)
