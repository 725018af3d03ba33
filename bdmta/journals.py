"""The site's journals: replayed before anything is served, opened by each edge (storage.journal)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bdmta.clock import Clock, SystemClock
from bdmta.errors import BdmtaError
from bdmta.metrics import write_figures
from bdmta.site import Site
from storage.errors import StoreError
from storage.files import write_durable
from storage.journal import Journal
from storage.journal_replay import Replayed, replay_all, waiting
from storage.spool import Spool

JOURNALS_COUNT = 2  # of an edge: while one syncs, the other takes who comes
_TROUBLE = "journal-trouble-"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a journal's process said of it last, until its next start: `why`, since when in seconds since 1970."""

    journal: str
    at: float
    why: str


def replay_journals(site: Site, log: Any) -> Replayed:
    """Bring back what a loss of power took, of every journal that no process has. Blocks.

    Raises BdmtaError when it cannot be done (a full disk): then nothing may be served.
    """
    os.makedirs(site.incoming_dir, mode=0o700, exist_ok=True)
    try:
        os.makedirs(site.queue_dir, mode=0o700, exist_ok=True)
        done = replay_all(
            site.journal_dir, site.mail_root, site.incoming_dir, spool=Spool(site.queue_dir, SystemClock())
        )
    except (StoreError, OSError) as error:
        raise BdmtaError(f"{error}; nothing is lost: make room, look at the disk, and start again") from None
    _tell(done, log)
    return done


def awaits_replay(site: Site) -> int:
    """How many letters the journals vouch for; those of a running server are among them."""
    return sum(found.records for found in waiting(site.journal_dir))


def replay_unserved(site: Site, log: Any) -> Replayed | None:
    """Before a command works on mailboxes that nobody serves: bring back what a loss of power took; None: nothing was.

    Blocks. Raises BdmtaError when it cannot be done.
    """
    return replay_journals(site, log) if awaits_replay(site) else None


def troubles(site: Site) -> Iterator[Trouble]:
    """Journals that were given up since their process started: letters are synced one by one until its next start."""
    try:
        names = sorted(os.listdir(site.state_dir))
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith(_TROUBLE):
            try:
                with open(os.path.join(site.state_dir, name), encoding="utf-8") as file:
                    row = json.load(file)
                yield Trouble(str(row["journal"]), float(row["at"]), str(row["why"]))
            except (OSError, ValueError, KeyError, TypeError):
                continue


def write_journal_figures(site: Site) -> None:
    """How many journals are given up, for Prometheus. Raises OSError."""
    figures = {
        "bdmta_journal_given_up": ("Journals given up until the next start: every letter is synced by itself.",
                                   len(list(troubles(site)))),
    }  # fmt: skip
    write_figures(site, "journal", figures)


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
    marker = os.path.join(site.state_dir, f"{_TROUBLE}{name}")

    def on_trouble(why: str) -> None:
        log.error("trouble with the journal", reason=why)
        if not journal.given_up:
            return  # one segment was; the journal goes on
        row = asdict(Trouble(str(name), clock.time(), why))
        try:
            write_durable(marker, json.dumps(row).encode() + b"\n")
            write_journal_figures(site)
        except (StoreError, OSError) as error:  # the same disk, perhaps; the log has it
            log.error("trouble not noted", reason=str(error))

    journal = Journal(
        site.journal_dir, str(name), mail_root=site.mail_root, tmp_dir=site.incoming_dir,
        host=site.config.server.hostname, clock=clock, on_trouble=on_trouble, spool=Spool(site.queue_dir, clock),
    )  # fmt: skip
    if os.path.exists(marker):
        os.unlink(marker)
        write_journal_figures(site)
    _tell(journal.replayed, log)
    return journal


def _tell(done: Replayed, log: Any) -> None:
    if done.records or done.unreadable:
        log.warning(
            "journal replayed", letters=done.records, remade=done.remade, repaired=done.repaired,
            doubles_removed=done.doubles_removed, without_mailbox=done.without_mailbox, torn=done.torn,
            uid_lists_mended=done.lists_mended, unreadable=list(done.unreadable),
        )  # fmt: skip
