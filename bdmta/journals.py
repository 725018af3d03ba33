"""The site's journals: replayed before anything is served, one opened by each edge (storage.journal)."""

from __future__ import annotations

import os
from typing import Any

from bdmta.clock import Clock
from bdmta.errors import BdmtaError
from bdmta.site import Site
from storage.errors import StoreError
from storage.journal import Journal
from storage.journal_replay import Replayed, replay_all


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


def open_journal(site: Site, number: int, clock: Clock, log: Any) -> Journal | None:
    """The journal of edge `number`; None when the site is set to `[mail] commit = "files"`. Blocks.

    Raises BdmtaError.
    """
    config = site.config
    if config.mail.commit != "journal":
        return None
    os.makedirs(site.journal_dir, mode=0o700, exist_ok=True)
    try:
        journal = Journal(
            site.journal_dir, str(number), mail_root=site.mail_root, tmp_dir=site.incoming_dir,
            host=config.server.hostname, clock=clock,
            on_trouble=lambda why: log.error("trouble with the journal", reason=why),
        )  # fmt: skip
    except (StoreError, OSError) as error:
        raise BdmtaError(f"{error}") from None
    _tell(journal.replayed, log)
    return journal


def _tell(done: Replayed, log: Any) -> None:
    if done.records or done.unreadable:
        log.warning(
            "journal replayed", letters=done.records, remade=done.remade, repaired=done.repaired,
            doubles_removed=done.doubles_removed, without_mailbox=done.without_mailbox, torn=done.torn,
            unreadable=list(done.unreadable),
        )  # fmt: skip
