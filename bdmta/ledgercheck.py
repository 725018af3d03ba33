"""The ledger held against mailboxes, queue and quarantine, for `bdmta verify-store`. Reads only.

Every letter that was acknowledged is somewhere, or somebody has done something with it that is on record. What cannot
be told (a restore of an older backup, a mailbox made anew, facts that wait for their import) counts as in order.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

from bdmta.quarantine import HELD
from bdmta.site import Site
from storage.facts import SUFFIX
from storage.ledger import address_key, fact_row
from storage.verify import Problem
from storage.verify_ledger import Span, verify_deliveries

_SITE = "site"
_OVER = ("sent", "bounced", "dropped")
_WITHOUT_END = (
    "SELECT q.reference, q.recipient, q.at FROM facts q WHERE q.event = 'queued' AND q.reference <> '' AND NOT EXISTS"
    " (SELECT 1 FROM facts o WHERE o.reference = q.reference AND o.event IN ('sent', 'bounced', 'dropped')"
    " AND (q.recipient = '' OR o.recipient = q.recipient))"
)
_HELD = "SELECT DISTINCT reference, at FROM facts WHERE event = 'held' AND at >= ? AND reference <> ''"
_DAY_S = 86_400


class LedgerCheck:
    """One look at a site. `close` it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._ledger = _opened(site.ledger_db)
        self._spans = _excused(site.directory_db)

    def close(self) -> None:
        """Let the database go."""
        if self._ledger is not None:
            self._ledger.close()

    def mailbox(self, address: str, where: str) -> Iterator[Problem]:
        """Deliveries to a mailbox of which there is no trace."""
        if self._ledger is None:
            return
        spans = [*self._spans[_SITE], *self._spans[address]]
        try:
            yield from verify_deliveries(self._ledger, address, address_key(address), where, spans)
        except sqlite3.Error as error:
            yield Problem(self._site.ledger_db, "ledger", f"it cannot be read: {error}")

    def rest(self, now: float) -> Iterator[Problem]:
        """Letters for outside, and held ones, that are in no spool and never came to an end."""
        if self._ledger is None:
            return
        try:
            yield from self._queue()
            yield from self._quarantine(now)
        except sqlite3.Error as error:
            yield Problem(self._site.ledger_db, "ledger", f"it cannot be read: {error}")

    def _queue(self) -> Iterator[Problem]:
        open_ones = self._lost_ones()
        if not open_ones:
            return
        ended = _ended_in_files(self._site.facts_dir)
        still = set(self._lost_ones())  # what was imported, and removed from its file, meanwhile
        for reference, recipient, at in open_ones:
            is_over = (reference, recipient) in ended or (not recipient and reference in {one for one, _ in ended})
            if is_over or (reference, recipient, at) not in still or self._is_excused(at):
                continue
            path = os.path.join(self._site.queue_dir, reference)
            whom = recipient or "its recipients"
            yield Problem(path, "queued", f"it was queued for {whom}, is not there, and nothing says what became of it")

    def _lost_ones(self) -> list[tuple[str, str, float]]:
        assert self._ledger is not None
        rows = self._ledger.execute(_WITHOUT_END).fetchall()
        there = set(_listed(self._site.queue_dir))
        return [(reference, recipient, at) for reference, recipient, at in rows if f"{reference}.env" not in there]

    def _quarantine(self, now: float) -> Iterator[Problem]:
        assert self._ledger is not None
        since = now - (self._site.config.quarantine.keep_days - 1) * _DAY_S
        rows = self._ledger.execute(_HELD, (since,)).fetchall()
        there = set(_listed(self._site.quarantine_dir))
        gone = [(f"{reference}-{HELD}", at) for reference, at in rows if f"{reference}-{HELD}.env" not in there]
        done = _acts(self._site.directory_db, ("quarantine.release", "quarantine.drop")) if gone else set()
        for entry_id, at in gone:
            if entry_id not in done and not self._is_excused(at):
                path = os.path.join(self._site.quarantine_dir, entry_id)
                yield Problem(path, "held", "it was held, is not there, and nobody has released or dropped it")

    def _is_excused(self, at: float) -> bool:
        return any(since <= at <= until for since, until in self._spans[_SITE])


def _opened(path: str) -> sqlite3.Connection | None:
    if not os.path.exists(path):
        return None
    try:
        return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    except sqlite3.Error:
        return None  # `verify_database` says so


def _excused(directory_db: str) -> defaultdict[str, list[Span]]:
    """By mailbox, and for the site: when what was delivered may be gone again, since an older state was restored or the
    mailbox was made later.
    """
    spans: defaultdict[str, list[Span]] = defaultdict(list)
    try:
        with closing(sqlite3.connect(f"file:{directory_db}?mode=ro", uri=True, timeout=10)) as directory:
            for address, created_at in directory.execute("SELECT address, created_at FROM mailboxes"):
                spans[address].append((0.0, _seconds(created_at)))
            query = (
                "SELECT subject, at, detail FROM audit WHERE action = 'backup.restored'"
                " OR (action = 'backup.restore' AND subject = 'site')"
            )
            for subject, at, detail in directory.execute(query):
                spans[subject].append((_taken_at(json.loads(detail).get("backup")), _seconds(at)))
    except (sqlite3.Error, ValueError, AttributeError):
        return spans  # `verify_database` says so
    return spans


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _taken_at(backup_id: object) -> float:
    """When a backup was taken, by its id."""
    try:
        return datetime.strptime(str(backup_id)[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _acts(directory_db: str, actions: tuple[str, str]) -> set[str]:
    with closing(sqlite3.connect(f"file:{directory_db}?mode=ro", uri=True, timeout=10)) as directory:
        return {row[0] for row in directory.execute("SELECT subject FROM audit WHERE action IN (?, ?)", actions)}


def _ended_in_files(folder: str) -> set[tuple[str, str]]:
    """Reference and recipient of what came to an end by facts that wait for their import."""
    found: set[tuple[str, str]] = set()
    for name in _listed(folder):
        if not name.endswith(SUFFIX):
            continue
        try:
            with open(os.path.join(folder, name), "rb") as file:
                rows = [fact_row(line.rstrip(b"\n")) for line in file]
        except FileNotFoundError:
            continue  # imported meanwhile
        found.update((row[2], row[5]) for row in rows if row is not None and row[1] in _OVER)
    return found


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
