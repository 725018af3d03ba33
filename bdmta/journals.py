"""The site's journals: replayed before anything is served, opened by each edge (storage.journal)."""

from __future__ import annotations

import os
from typing import Any

from bdmta.clock import Clock
from bdmta.errors import BdmtaError
from bdmta.site import Site
from storage.errors import StoreError
from storage.journal import Journal
from storage.journal_replay import Replayed, replay_all

JOURNALS_COUNT = 2  # of an edge: while one syncs, the other takes who comes


def replay_journals(site: Site, log: Any) -> Replayed:
    """Bring back what a loss of power took, of every journal that no process has. Blocks.

    Raises BdmtaError when it cannot be done (a full disk): then nothing may be served.
    """
    os.makedirs(site.incoming_dir, mode=0o700, exist_ok=True)
    try:
        done = replay_all(site.journal_dir, site.mail_root, site.incoming_dir)
    except (StoreError, OSError) as error:
        raise BdmtaError(f"{error}; nothing is lost: make room, look at the disk, and start again") from None
    _tell(done, log)
    return done


def open_journals(site: Site, number: int, clock: Clock, log: Any) -> list[Journal]:
    """The journals of edge `number`; none when the site is set to `[mail] commit = "files"`. Blocks.

    Raises BdmtaError.
    """
    if site.config.mail.commit != "journal":
        return []
    os.makedirs(site.journal_dir, mode=0o700, exist_ok=True)
    first = number * JOURNALS_COUNT
    try:
        return [_opened(site, name, clock, log) for name in range(first, first + JOURNALS_COUNT)]
    except (StoreError, OSError) as error:
        raise BdmtaError(f"{error}") from None


def _opened(site: Site, name: int, clock: Clock, log: Any) -> Journal:
    journal = Journal(
        site.journal_dir, str(name), mail_root=site.mail_root, tmp_dir=site.incoming_dir,
        host=site.config.server.hostname, clock=clock,
        on_trouble=lambda why: log.error("trouble with the journal", reason=why),
    )  # fmt: skip
    _tell(journal.replayed, log)
    return journal


def _tell(done: Replayed, log: Any) -> None:
    if done.records or done.unreadable:
        log.warning(
            "journal replayed", letters=done.records, remade=done.remade, repaired=done.repaired,
            doubles_removed=done.doubles_removed, without_mailbox=done.without_mailbox, torn=done.torn,
            unreadable=list(done.unreadable),
        )  # fmt: skip
