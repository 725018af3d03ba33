"""`bdmta verify-store` and `reindex`: hold Maildirs, directory and spool against one another; make caches anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

from bdmta.address import AddressError, parse_address
from bdmta.clock import SystemClock
from bdmta.directory.snapshot import MailboxEntry, Snapshot
from bdmta.errors import BdmtaError
from bdmta.journals import awaits_replay, replay_unserved
from bdmta.ledgercheck import LedgerCheck
from bdmta.log import quiet_log
from bdmta.queue.recipients import domain_of, is_waiting
from bdmta.setup.inspection import is_running
from bdmta.site import Site
from storage.errors import Corrupt, StoreError
from storage.journal_replay import JournalLock, segments
from storage.journal_segment import read_found
from storage.maildir import mailbox_dir
from storage.quota import Limit, Quota
from storage.spool import Spool
from storage.spool_entry import Kind, QueueEntry
from storage.verify import Problem, verify_mailbox
from storage.verify_database import verify_database, verify_index, verify_snapshot

REBUILT = {"quota": "summed anew", "index": "dropped, made anew at the next opening"}


@dataclass(frozen=True, slots=True)
class Found:
    """One problem: of which mailbox ("" for the site), and what `--repair` did about it."""

    mailbox: str
    path: str
    kind: str
    text: str
    repaired: str = ""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def verify(site: Site, address: str | None, *, repair: bool) -> Iterator[Found]:
    """Every problem of one mailbox, or of all of them and the spool. Only what can be rebuilt is ever changed."""
    quota = Quota(SystemClock())
    if not is_running(site) and awaits_replay(site):
        unsettled = list(_journals(site))
        if not repair:
            yield from unsettled  # what they vouch for may not be there yet: nothing else can be judged
            return
        replay_unserved(site, quiet_log(site))
        yield from (replace(one, repaired="replayed") for one in unsettled)
    known = _mailboxes(site, address)
    with closing(LedgerCheck(site)) as ledger:
        for entry in known:
            where = mailbox_dir(site.mail_root, entry.address)
            if not os.path.isdir(where):
                yield Found(entry.address, where, "missing", "the mailbox has no folder; the next letter makes it")
            else:
                for problem in (*verify_mailbox(where), *verify_index(_index_path(site, where), where)):
                    yield _handled(site, entry, problem, quota, where, repair=repair)
            yield from (
                Found(entry.address, one.path, one.kind, one.text) for one in ledger.mailbox(entry.address, where)
            )
        if address is None:
            yield from _databases(site)
            yield from _strays(site, {mailbox_dir(site.mail_root, entry.address) for entry in known})
            yield from _spool(site)
            yield from (Found("", one.path, one.kind, one.text) for one in ledger.rest(SystemClock().time()))
            yield from _journals(site)


def _mailboxes(site: Site, address: str | None) -> list[MailboxEntry]:
    try:
        snapshot = Snapshot.open(site.snapshot_path)
    except StoreError as error:
        raise BdmtaError(str(error)) from None
    if address is None:
        return snapshot.mailboxes()
    entry = snapshot.mailbox(address)
    if entry is None:
        raise BdmtaError(f"{address}: no such mailbox")
    return [entry]


def _handled(
    site: Site, entry: MailboxEntry, problem: Problem, quota: Quota, where: str, *, repair: bool
) -> Found:  # fmt: skip
    repaired = ""
    if repair and problem.kind in REBUILT:
        if problem.kind == "quota":
            quota.recalculate(where, Limit(entry.quota_octets, entry.quota_letters))
        else:
            reindex(site, entry.address)
        repaired = REBUILT[problem.kind]
    return Found(entry.address, problem.path, problem.kind, problem.text, repaired)


def _strays(site: Site, known: set[str]) -> Iterator[Found]:
    """Maildirs that no mailbox of the directory owns: perhaps of a restore, perhaps of a mistake; never removed."""
    for domain in sorted(os.listdir(site.mail_root)):
        folder = os.path.join(site.mail_root, domain)
        if domain.startswith(".") or not os.path.isdir(folder):
            continue
        for name in sorted(os.listdir(folder)):
            where = os.path.join(folder, name)
            if where not in known and where not in _folders_now(site):
                yield Found("", where, "stray", "the directory knows no such mailbox")


def _folders_now(site: Site) -> set[str]:
    """Those of mailboxes that were added since we began are no strays."""
    return {mailbox_dir(site.mail_root, entry.address) for entry in _mailboxes(site, None)}


def _databases(site: Site) -> Iterator[Found]:
    """Directory and ledger in themselves, and what is published of the directory."""
    problems = (
        *verify_database(site.directory_db, "directory"), *verify_database(site.ledger_db, "ledger"),
        *verify_snapshot(site.snapshot_path, site.directory_db),
    )  # fmt: skip
    yield from (Found("", problem.path, problem.kind, problem.text) for problem in problems)


def _spool(site: Site) -> Iterator[Found]:
    """Queue and quarantine: every entry with its letter. An entry that goes meanwhile was sent or released."""
    kinds: tuple[Kind, ...] = ("remote", "expand")
    snapshot = Snapshot.open(site.snapshot_path)
    for folder in (site.queue_dir, site.quarantine_dir):
        spool = Spool(folder, SystemClock())
        for kind in kinds:
            for entry_id in spool.list(kind):
                path = os.path.join(folder, entry_id)
                try:
                    entry = spool.load(entry_id)
                    spool.open_letter(entry_id)
                except StoreError as error:
                    if os.path.exists(f"{path}.env"):
                        yield Found("", path, "spool", str(error))
                    continue
                text = _nobody(entry, snapshot, is_held=folder == site.quarantine_dir)
                if text and os.path.exists(f"{path}.env"):
                    yield Found("", path, "spool-recipient", text)


def _nobody(entry: QueueEntry, snapshot: Snapshot, *, is_held: bool) -> str:
    """What is wrong with whom an entry is for: mailboxes that are gone."""
    if entry.kind == "expand":
        gone = [target.mailbox for target in entry.targets if not os.path.isdir(target.mailbox)]
        return f"{len(gone)} of the mailboxes that it is for have no folder: {', '.join(gone[:3])}" if gone else ""
    waiting = [one.address for one in entry.recipients if is_waiting(one)]
    lost = [one for one in waiting if snapshot.is_local(domain_of(one)) and snapshot.resolve(_key(one)) is None]
    if is_held:
        text = "nobody that it was held for has a mailbox here any more: `bdmta quarantine drop`"
        return text if waiting and len(lost) == len(waiting) else ""
    return f"it waits for mailboxes that are gone: {', '.join(lost[:3])}" if lost else ""


def _key(address: str) -> str:
    try:
        return parse_address(address).key
    except AddressError:
        return address


def _index_path(site: Site, where: str) -> str:
    return os.path.join(site.index_dir, os.path.relpath(where, site.mail_root) + ".db")


def _journals(site: Site) -> Iterator[Found]:
    """Journals with letters in them that no process has: the next start replays them."""
    for journal, paths in segments(site.journal_dir).items():
        lock = JournalLock.take(site.journal_dir, journal)
        if lock is None:
            continue
        try:
            for path in paths:
                yield from _segment(path)
        finally:
            lock.release()


def _segment(path: str) -> Iterator[Found]:
    try:
        found = read_found(path)
    except Corrupt as error:
        yield Found("", path, "journal", f"{error}; the next start makes a new one")
        return
    if found.records:
        text = (
            f"{found.records} letters await the replay that the next start (bdmta serve), or --repair, makes;"
            " until then nothing else is looked at"
        )
        yield Found("", path, "journal", text)


def reindex(site: Site, address: str | None) -> int:
    """Drop the indexes of one mailbox, or of all; they are made anew when somebody opens it. How many were."""
    dropped = 0
    for entry in _mailboxes(site, address):
        relative = os.path.relpath(mailbox_dir(site.mail_root, entry.address), site.mail_root)
        for suffix in (".db", ".db-wal", ".db-shm"):
            try:
                os.unlink(os.path.join(site.index_dir, relative + suffix))
            except FileNotFoundError:
                continue
            dropped += suffix == ".db"
    return dropped
