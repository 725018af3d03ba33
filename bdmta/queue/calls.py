"""What an operator does to the queue: the same functions for the command line and the web; each act is on record."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bdmta.directory.registry import Json, call
from bdmta.directory.service import DirectoryService
from bdmta.errors import BdmtaError, UsageError
from bdmta.queue.ledger import dropped_fact
from bdmta.queue.recipients import HELD, is_held, is_waiting, next_at
from storage.errors import Corrupt, Locked, NotFound
from storage.facts import FactWriter
from storage.journal_spool import settle_removed, tag_of_entry
from storage.spool import EntryLock, Spool
from storage.spool_entry import QueueEntry, QueueRecipient

RETRY_AT = "retry_at"
ALL = "all"
_TOGETHER = 500
_LOCK_S = 3.0
_SHOWN_RECIPIENTS = 1000


def shown(entry: QueueEntry, timezone: str) -> Json:
    """One entry as `queue list --json` has it; `last_reply` is the newest about those that wait."""
    waiting = [recipient for recipient in entry.recipients if is_waiting(recipient)]
    tried = [recipient for recipient in waiting or entry.recipients if recipient.state.get("last_at")]
    newest = max(tried, key=lambda recipient: float(recipient.state["last_at"]), default=None)
    at = min((next_at(recipient, entry) for recipient in waiting), default=None)
    return {
        "id": entry.id,
        "sender": entry.sender,
        "recipients": [recipient.address for recipient in waiting[:_SHOWN_RECIPIENTS]],
        "attempts": max((int(recipient.state.get("attempts", 0)) for recipient in entry.recipients), default=0),
        "next_attempt_at": None if at is None or is_held(entry) else _local(at, timezone),
        "last_reply": newest.state.get("last_reply") if newest is not None else None,
        "held": is_held(entry),
        "received_at": _local(entry.received_at, timezone),
        "size_octets": entry.size_octets,
        "priority": entry.priority,
        "direction": entry.direction,
    }


def shown_recipient(recipient: QueueRecipient, entry: QueueEntry, timezone: str) -> Json:
    """One recipient as `queue show --json` has it."""
    state = recipient.state
    return {
        "address": recipient.address,
        "via": recipient.via or None,
        "state": state.get("state", "waiting"),
        "attempts": int(state.get("attempts", 0)),
        "last_attempt_at": _local(float(state["last_at"]), timezone) if state.get("last_at") else None,
        "next_attempt_at": _local(next_at(recipient, entry), timezone) if is_waiting(recipient) else None,
        "last_reply": state.get("last_reply"),
        "status": state.get("status"),
        "host": state.get("host"),
    }


def _local(at: float, timezone: str) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(timezone)).isoformat(timespec="seconds")


def entries(spool: Spool) -> list[QueueEntry]:
    """Every entry that can be read, oldest first; one that goes meanwhile is left out."""
    found = []
    for entry_id in spool.list():
        try:
            found.append(spool.load(entry_id))
        except (NotFound, Corrupt):
            continue
    return found


@call
def queue_retry(service: DirectoryService, *, entry_id: str) -> list[str]:
    """Try a letter now, or with "all" every one that is not held; the ids. The courier hears of it by the file."""
    spool, now = Spool(service.queue_dir, service.clock), service.clock.time()
    if entry_id == ALL:
        ids = _retry_all(spool, now)
    else:
        with _locked(spool, entry_id) as lock:
            spool.update(_due_now(spool.load(entry_id), now), lock)
        ids = [entry_id]
    service.note_act("queue.retry", entry_id, letters=len(ids))
    return ids


def _due_now(entry: QueueEntry, now: float) -> QueueEntry:
    recipients = tuple(replace(r, state={**r.state, "next_at": now}) if is_waiting(r) else r for r in entry.recipients)
    return replace(entry, recipients=recipients, more={**entry.more, RETRY_AT: now})


def _retry_all(spool: Spool, now: float) -> list[str]:
    """Everything that is not held, some hundred entries at a time; what is being sent at this moment is left alone."""
    waiting, done = spool.list(), []
    for at in range(0, len(waiting), _TOGETHER):
        with ExitStack() as locks:
            changed = []
            for entry_id in waiting[at : at + _TOGETHER]:
                try:
                    lock = locks.enter_context(spool.lock(entry_id))
                    entry = spool.load_locked(lock)
                except (Locked, NotFound, Corrupt):
                    continue
                if not is_held(entry):
                    changed.append((_due_now(entry, now), lock))
            spool.update_many(changed)
        done += [entry.id for entry, _ in changed]
    return done


@call
def queue_hold(service: DirectoryService, *, entry_id: str) -> None:
    """Keep a letter back until it is released; it does not age away meanwhile."""
    _mark(service, entry_id, is_to_be_held=True)


@call
def queue_release(service: DirectoryService, *, entry_id: str) -> None:
    """Let a letter that is held go on."""
    _mark(service, entry_id, is_to_be_held=False)


def _mark(service: DirectoryService, entry_id: str, *, is_to_be_held: bool) -> None:
    spool = Spool(service.queue_dir, service.clock)
    with _locked(spool, entry_id) as lock:
        entry = spool.load(entry_id)
        if is_held(entry) == is_to_be_held:
            raise BdmtaError(f"{entry_id}: is {'held already' if is_to_be_held else 'not held'}")
        more = {key: value for key, value in entry.more.items() if key != HELD}
        spool.update(replace(entry, more={**more, HELD: True} if is_to_be_held else more), lock)
    service.note_act(
        "queue.hold" if is_to_be_held else "queue.release", entry_id, before={"held": not is_to_be_held},
        after={"held": is_to_be_held},
    )  # fmt: skip


@call
def queue_drop(service: DirectoryService, *, entry_id: str) -> list[str]:
    """Take a letter out for good; its sender is not told. The recipients it did not reach."""
    spool = Spool(service.queue_dir, service.clock)
    with _locked(spool, entry_id):
        entry = spool.load(entry_id)
        waiting = [recipient for recipient in entry.recipients if is_waiting(recipient)]
        writer = FactWriter(service.facts_dir, service.clock, "queue")
        try:
            writer.write([dropped_fact(entry, r, service.actor, service.clock.time()) for r in waiting])
        finally:
            writer.close()
        lost = [recipient.address for recipient in waiting]
        before = {"sender": entry.sender, "recipients": lost[:20], "count": len(lost)}
        service.note_act("queue.drop", entry_id, before=before)
        spool.remove(entry_id)
        try:
            settle_removed(spool, service.journal_dir, [(tag_of_entry(entry), entry_id)])
        except OSError as error:
            raise BdmtaError(f"{entry_id}: removed, but may come back after a loss of power ({error})") from error
    return lost


def _locked(spool: Spool, entry_id: str) -> EntryLock:
    """The entry for ourselves, once an attempt that is under way has ended; BdmtaError when it does not end soon."""
    if entry_id.startswith("x-"):
        raise UsageError(f"{entry_id}: is a delivery to mailboxes here, which cannot be changed")
    end = time.monotonic() + _LOCK_S
    while True:
        try:
            return spool.lock(entry_id)
        except Locked:
            if time.monotonic() >= end:
                raise BdmtaError(f"{entry_id}: is being sent at this moment; try again") from None
            time.sleep(0.05)
