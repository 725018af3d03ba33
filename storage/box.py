"""Mailboxes, folders and sessions' views of them, for IMAP and POP3.

    Mailboxes (one a process) -> Mailbox (one a person) -> Box (one a folder, shared by its sessions) -> View (one a
    session)

All that touches the disk is a plain function and blocks: run it by `await mailboxes.run(f, ...)`. What only reads
memory says so: call it on
the loop. The truth is the Maildir and `dovecot-uidlist`; the index is a cache (architecture, contracts 3-5). Errors:
`storage.errors`.

Usual life of a session:
    mailbox = await boxes.run(boxes.mailbox, path, index_path)
    view = await boxes.run(mailbox.open_view, "INBOX")            # scanned; SELECT's answer is in memory
    ... each command:  if view.box.is_dirty(): await boxes.run(view.box.refresh)
                       deltas = view.poll(expunge=...)
    ... IDLE:          await view.wait(timeout_s=...)             # there may be news: refresh, poll, tell
    view.close()
`Box` is in `box_read` and `box_core`, `View` in `box_view`, the values in `box_types`.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import suppress
from itertools import count
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

from storage.box_mailbox import Mailbox
from storage.box_read import Box
from storage.box_types import (
    Changed,
    Columns,
    Counts,
    Deltas,
    FolderInfo,
    IndexRules,
    Octets,
    Placed,
    Rendered,
    Status,
)
from storage.box_view import View
from storage.clock import Clock
from storage.errors import NotFound
from storage.index import Index
from storage.index_workers import Workers
from storage.inotify import Watcher
from storage.journal import Placement, fits_journal
from storage.letter import Letter
from storage.settling import Settling

__all__ = [
    "Box",
    "Changed",
    "Columns",
    "Counts",
    "Deltas",
    "FolderInfo",
    "IndexRules",
    "Mailbox",
    "Mailboxes",
    "Octets",
    "Placed",
    "QuotaKeeper",
    "Rendered",
    "Status",
    "View",
]

T = TypeVar("T")
_IDLE_BOXES = 64  # folders kept in memory though no session has them open
_IDLE_ROWS = 500_000
_SAVE_AFTER_S = 2.0  # of rest: then the folder's times are old enough to know it again by them (scan_folder)
_SAVE_ATTEMPTS = 3  # while it is busy


class QuotaKeeper(Protocol):
    """What a mailbox may hold. `bdmta` gives one that knows the limits."""

    def admit(self, mailbox: str, octets: int, letters: int) -> None:
        """Raise OverQuota unless so much more fits."""

    def count(self, mailbox: str, octets: int, letters: int) -> None:
        """So much came (or went: negative)."""


class Mailboxes:
    """Every mailbox this process has open; one object a process.

    `executor` runs the blocking calls, `builders` the first reading of many letters: by default processes that are made
    when needed and go when idle. `journal` stores a letter that is appended, or says that it does not.
    """

    def __init__(
        self,
        *,
        rules: IndexRules,
        clock: Clock,
        host: str,
        executor: Executor,
        builders: Executor | None = None,
        quota: QuotaKeeper | None = None,
        settling: Settling | None = None,
        journal: Callable[[Placement], bool] | None = None,
        open_indexes_count: int = 32,
    ) -> None:
        self.rules = rules
        self.clock = clock
        self.host = host
        self.executor = executor
        self._own_builders = Workers(min(2, os.cpu_count() or 1)) if builders is None else None
        self.builders = builders or self._own_builders
        self.quota = quota
        self._settling = settling
        self._journal = journal
        self.watcher = Watcher()
        self._open_indexes_count = open_indexes_count
        self._lock = threading.Lock()
        self._mailboxes: WeakValueDictionary[str, Mailbox] = WeakValueDictionary()  # sessions and folders hold them
        self._idle: OrderedDict[str, Box] = OrderedDict()
        self._unsaved: dict[str, tuple[Box, int]] = {}
        self._saver: threading.Timer | None = None
        self._indexes: OrderedDict[str, Index] = OrderedDict()
        self._sequence = count(1)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Run a blocking function of this module in the executor."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, function, *args)

    def later(self, function: Callable[[], object]) -> None:
        """Run something in the executor that nobody waits for."""
        with suppress(RuntimeError):  # the executor is shut down: what was for later is only a cache
            self.executor.submit(function)

    def mailbox(self, path: str, index_path: str) -> Mailbox:
        """Return the one Mailbox of that folder in this process.

        Raises NotFound when there is no such folder. Blocks.
        """
        if not os.path.isdir(f"{path}/cur"):
            raise NotFound(f"{path} is no mailbox")
        with self._lock:
            mailbox = self._mailboxes.get(path)
            if mailbox is None:
                mailbox = self._mailboxes[path] = Mailbox(self, path, index_path, Index(index_path, self.rules.version))
            return mailbox

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let that loop read the inotify events; the first time only."""
        if self._loop is not loop and self.watcher.works:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self.watcher.fileno())
            loop.add_reader(self.watcher.fileno(), self.watcher.drain)
            self._loop = loop

    def close(self) -> None:
        """Write what is worth keeping to the indexes and close them. Blocks."""
        if self._loop is not None and not self._loop.is_closed() and self.watcher.works:
            self._loop.remove_reader(self.watcher.fileno())
        for mailbox in list(self._mailboxes.values()):
            mailbox.close()
        with self._lock:
            self._unsaved.clear()
            if self._saver is not None:
                self._saver.cancel()
        self._mailboxes.clear()
        self._idle.clear()
        self.watcher.close()
        if self._own_builders is not None:
            self._own_builders.shutdown()

    def unique_base(self) -> str:
        """The unique part of a new file name (maildir's rule): never given twice by any process of any host."""
        now = self.clock.time()
        return f"{int(now)}.M{int(now % 1 * 1_000_000)}P{os.getpid()}Q{next(self._sequence)}.{self.host}"

    def admit_quota(self, mailbox: str, octets: int, letters: int) -> None:
        """Raise OverQuota unless so much more fits."""
        if self.quota is not None:
            self.quota.admit(mailbox, octets, letters)

    def count_quota(self, mailbox: str, octets: int, letters: int) -> None:
        """So much came or went."""
        if self.quota is not None and (octets or letters):
            self.quota.count(mailbox, octets, letters)

    def has_journal_for(self, letter: Letter) -> bool:
        """Whether `place_now` may be asked."""
        return self._journal is not None and fits_journal(letter)

    def place_now(self, placement: Placement) -> bool:
        """Store an appended letter by the journal; false when the first form must serve. Blocks. Raises StoreError."""
        return self._journal is not None and self._journal(placement)

    def settle(self, mailbox: str, folder: str, names: Iterable[str]) -> None:
        """These files of directory `folder` are about to go or to be copied: the journal must not bring them back.

        Blocks. Raises StoreError.
        """
        if self._settling is not None:
            self._settling.settle(mailbox, folder, names)

    def rest(self, box: Box) -> None:
        """Keep a folder that no session has open, for a while; the longest unused go first. Its state is written to the
        index soon: one after the other that comes and goes (APPEND) costs nothing of the folder's size.
        """
        with self._lock:
            self._idle[box.path] = box
            self._idle.move_to_end(box.path)
            self._unsaved[box.path] = (box, _SAVE_ATTEMPTS)
            self._start_saver()
            rows = sum(len(one.columns) for one in self._idle.values())
            dropping = []
            while len(self._idle) > _IDLE_BOXES or (rows > _IDLE_ROWS and len(self._idle) > 1):
                _, oldest = self._idle.popitem(last=False)
                rows -= len(oldest.columns)
                dropping.append(oldest)
        for one in dropping:  # not under the lock: a mailbox has its own
            one.mailbox.drop(one)

    def _start_saver(self) -> None:
        """The lock is held."""
        if self._saver is None and self._unsaved:
            self._saver = threading.Timer(_SAVE_AFTER_S, self.later, [self._save_rested])
            self._saver.daemon = True
            self._saver.start()

    def _save_rested(self) -> None:
        """In the executor. A folder in which something happens is asked again, for some time."""
        with self._lock:
            self._saver = None
            waiting, self._unsaved = self._unsaved, {}
        for path, (box, attempts) in waiting.items():
            if attempts > 1 and not box.is_settled():
                with self._lock:
                    self._unsaved.setdefault(path, (box, attempts - 1))
            else:
                box.save_if_changed()
        with self._lock:
            self._start_saver()

    def wake(self, box: Box) -> None:
        """The folder is in use again."""
        with self._lock:
            self._idle.pop(box.path, None)

    def used_index(self, index: Index) -> None:
        """Close the longest unused indexes when too many are open: each costs memory."""
        with self._lock:
            self._indexes[index.path] = index
            self._indexes.move_to_end(index.path)
            closing = [
                self._indexes.popitem(last=False)[1] for _ in range(len(self._indexes) - self._open_indexes_count)
            ]
        for one in closing:
            if not one.close_unused():
                with self._lock:
                    self._indexes.setdefault(one.path, one)
