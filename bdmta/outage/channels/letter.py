"""A letter to every mailbox in scope, straight into the Maildirs: one inode, each mailbox once, whatever kills us.

The letter and its targets are a spool entry in a folder of ours, made before the first mailbox has it, gone after
the receipt is on record. One that is there is gone on with; without one, and without a receipt, it was never begun.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

from bdmta.directory.snapshot import Snapshot
from bdmta.outage.channels import ChannelError, Means
from bdmta.outage.jobs import Job, Reach
from bdmta.outage.wording import compose_notice
from storage.errors import Locked, NotFound, StoreError
from storage.expand import expand_entry
from storage.files import fsync_dir
from storage.letter import Letter
from storage.maildir import mailbox_dir, unique_name
from storage.quota import LateQuota, Limit
from storage.spool import EntryLock, QueueEntry, Spool
from storage.spool_entry import Target
from storage.spool_progress import Progress

BATCH_COUNT = 5000
_PAUSE_S = 0.02
_TRIES = 3


class Letters:
    """The channel. `pause` is called between handfuls of mailboxes, so that the mail that goes on is not held up."""

    def __init__(self, means: Means, pause: Callable[[], None] = lambda: time.sleep(_PAUSE_S)) -> None:
        self._means = means
        self._pause = pause
        kinds = frozenset(means.site.config.outage.letters)
        self.reach = Reach("letter", lambda notice, said: notice.is_public and said.kind in kinds)
        folder = os.path.join(means.folder, "letters")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._spool = Spool(folder, means.clock)
        self._quota = LateQuota(means.clock)

    def deliver(self, job: Job) -> str:
        """How many mailboxes have it. Raises ChannelError when some could not be reached, and goes on with those."""
        try:
            lock, is_resumed = self._take(job)
            with lock:
                entry = self._spool.load(lock.id)
                _, failed = expand_entry(
                    entry,
                    self._spool,
                    self._quota,
                    self._means.site.mail_root,
                    is_resumed=is_resumed,
                    pause=self._pause,
                )
                total = int(entry.more["mailboxes"])
                if failed and job.attempts + 1 < _TRIES:
                    self._spool.update(replace(entry, targets=tuple(failed), attempt=entry.attempt + 1), lock)
                    raise ChannelError(f"{len(failed)} of {total} mailboxes could not be reached")
                Progress(self._spool, entry).note(
                    len(entry.targets)
                )  # killed before the receipt, nothing is looked for
        except (StoreError, OSError) as error:
            raise ChannelError(str(error)) from error
        lost = f", {len(failed)} could not be reached: {failed[0].mailbox}" if failed else ""
        return f"{total - len(failed)} mailboxes{lost}"

    def settle(self, job: Job) -> None:
        """The entry goes; were it to stay, nothing would read it."""
        try:
            self._spool.remove(_entry_id(job))
        except StoreError as error:
            self._means.log.warning("letter's entry left behind", entry=_entry_id(job), reason=str(error))

    def _take(self, job: Job) -> tuple[EntryLock, bool]:
        """The entry, locked, and whether it was there already."""
        try:
            return self._spool.lock(_entry_id(job)), True
        except NotFound:
            pass
        except Locked as error:
            raise ChannelError(str(error)) from error
        self._spool.sweep(0)  # a letter without an entry was never begun
        means = self._means
        letter = Letter.from_octets([compose_notice(means, job)])
        root, addresses = means.site.mail_root, self._addresses(job)
        name = unique_name(means.clock, means.site.config.server.hostname, letter.size_octets)
        entry = QueueEntry(
            id=_entry_id(job), sender="", letter=letter, received_at=means.clock.time(), kind="expand",
            targets=tuple(Target(mailbox_dir(root, address), "INBOX", limit) for address, limit in addresses),
            name=name, batch_count=BATCH_COUNT, more={"mailboxes": len(addresses)},
        )  # fmt: skip
        message = letter.file(self._spool.directory)
        os.fsync(message.fd)
        lock = self._spool.link(entry, message)
        fsync_dir(self._spool.directory)
        return lock, False

    def _addresses(self, job: Job) -> list[tuple[str, Limit]]:
        snapshot = Snapshot.open(self._means.site.snapshot_path)
        try:
            agencies = frozenset(job.notice.agencies)
            return [(address, Limit(octets, letters)) for address, octets, letters in snapshot.receivers(agencies)]
        finally:
            snapshot.close()


def _entry_id(job: Job) -> str:
    return f"x-{job.key}"
