"""One POP3 session's maildrop: INBOX as it was at login, locked against other POP3 sessions (RFC 1939 §4, §8).

The lock is an flock: it dies with its session, and with its process. Functions block, unless they say memory.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence

from storage.box import Mailboxes, Octets, View
from storage.box_types import SEEN
from storage.errors import StoreError

LOCK_FILE = "bdmta-pop3.lock"
_AHEAD_OCTETS = 524_288
_AHEAD_COUNT = 64


class InUse(Exception):
    """Another POP3 session has the maildrop."""


class Maildrop:
    """Rows are message numbers minus one and never change; what IMAP removes meanwhile is simply gone."""

    def __init__(self, view: View, lock_fd: int) -> None:
        self.view = view
        self._lock_fd = lock_fd
        self.deleted: set[int] = set()
        self.read: set[int] = set()
        self._ahead: dict[int, Octets | None] = {}
        self._last_row = -1

    @classmethod
    def open(cls, mailboxes: Mailboxes, path: str, index_path: str) -> Maildrop:
        """Lock and look. Raises InUse, StoreError."""
        mailbox = mailboxes.mailbox(path, index_path)
        try:
            fd = os.open(f"{path}/{LOCK_FILE}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StoreError(f"{path}/{LOCK_FILE}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise InUse from None
        try:
            return cls(mailbox.open_view("INBOX"), fd)
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        """Let go of the folder and the lock. Memory."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1
            self.view.close()

    @property
    def count(self) -> int:
        """Letters at login. Memory."""
        return len(self.view.columns)

    def rows(self) -> list[int]:
        """Rows that are not marked deleted. Memory."""
        return [row for row in range(self.count) if row not in self.deleted]

    def size_octets(self, row: int) -> int:
        """Octets as RETR sends them, before dots are stuffed. Memory."""
        return self.view.columns.size[row]

    def unique_id(self, row: int) -> str:
        """UIDL in Dovecot's form (`%08Xu%08Xv`), so that clients download nothing again in either direction. Memory."""
        return f"{self.view.columns.uid[row]:08X}{self.view.box.uidvalidity:08X}"

    def held(self, row: int) -> bool:
        """Whether `octets` answers from what was read ahead. Memory."""
        return row in self._ahead

    def octets(self, row: int) -> Octets | None:
        """The letter, None when it is gone. Clients take letters in turn: the next ones are read along with it."""
        if row not in self._ahead:
            rows = [row]
            if row == self._last_row + 1:
                rows = self._next_rows(row)
            letters = self.view.box.octets_of([self.view.columns.uid[r] for r in rows])
            self._ahead = dict(zip(rows, letters, strict=True))
        self._last_row = row
        return self._ahead.pop(row)

    def _next_rows(self, row: int) -> list[int]:
        rows, octets = [row], self.size_octets(row)
        for after in range(row + 1, min(row + _AHEAD_COUNT, self.count)):
            octets += self.size_octets(after)
            if octets > _AHEAD_OCTETS:
                break
            rows.append(after)
        return rows

    def update(self) -> None:
        r"""QUIT: remove what was marked, and mark \Seen what was read. Raises StoreError."""
        seen = self._unseen(sorted(self.read - self.deleted))
        if seen:
            self.view.store(seen, "+", SEEN)
        if self.deleted:
            self.view.remove(sorted(self.deleted))

    def _unseen(self, rows: Sequence[int]) -> list[int]:
        flags = self.view.columns.flags
        return [row for row in rows if not flags[row] & SEEN]
