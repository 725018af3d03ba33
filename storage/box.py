"""Mailboxes, folders and sessions' views of them, for IMAP and POP3.

    Mailboxes (one a process) -> Mailbox (one a person) -> Box (one a folder, shared by its sessions) -> View (one a session)

All that touches the disk is a plain function and blocks: run it by `await mailboxes.run(f, ...)`. What only reads memory says so: call it on the loop.
The truth is the Maildir and `dovecot-uidlist`; the index is a cache (architecture, contracts 3-5). Errors: `storage.errors`.

Usual life of a session:
    mailbox = await boxes.run(boxes.mailbox, path, index_path)
    view = await boxes.run(mailbox.open_view, "INBOX")            # scanned; SELECT's answer is in memory
    ... each command:  if view.box.is_dirty(): await boxes.run(view.box.refresh);  deltas = view.poll(expunge=...)
    ... IDLE:          await view.wait(timeout_s=...)             # returns when there may be news: refresh, poll, tell
    view.close()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, TypeVar

from storage.box_types import (
    Changed,
    Columns,
    Counts,
    Deltas,
    FolderInfo,
    IndexRules,
    Octets,
    Placed,
    Status,
)

if TYPE_CHECKING:
    from storage.incoming import Letter
    from storage.quota import Quota

T = TypeVar("T")


class Mailboxes:
    """Every mailbox this process has open; one object a process.

    `executor` runs the blocking calls, `builders` (processes, or None: the executor's threads) the first reading of many letters.
    """

    def __init__(
        self,
        *,
        rules: IndexRules,
        clock: Any,
        host: str,
        executor: Executor,
        builders: Executor | None = None,
        quota: Quota | None = None,
        open_indexes_count: int = 64,
    ) -> None:
        raise NotImplementedError

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Run a blocking function of this module in the executor."""
        raise NotImplementedError

    def mailbox(self, path: str, index_path: str) -> Mailbox:
        """Return the one Mailbox of that folder in this process. Raises NotFound when there is no such folder."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what is worth keeping to the indexes and close them."""
        raise NotImplementedError


class Mailbox:
    """One person's or agency's folders."""

    path: str
    index_path: str

    def folders(self) -> list[FolderInfo]:
        """Every folder, INBOX first, then by name; levels without a folder of their own are listed not selectable. Blocks."""
        raise NotImplementedError

    def create(self, name: str, special_use: str = "") -> None:
        """Make a folder (and subscribe nothing). Raises Conflict (exists), Invalid (the name cannot be). Blocks."""
        raise NotImplementedError

    def delete(self, name: str) -> None:
        """Remove a folder and its letters; inferior folders stay (RFC 3501 §6.3.4). Raises NotFound, Invalid (INBOX). Blocks."""
        raise NotImplementedError

    def rename(self, old: str, new: str) -> None:
        """Rename a folder and its inferiors; INBOX: moves its letters (RFC 3501 §6.3.5). Raises NotFound, Conflict, Invalid. Blocks."""
        raise NotImplementedError

    def subscriptions(self) -> list[str]:
        """Subscribed names; they need not exist (RFC 3501 §6.3.6). Blocks."""
        raise NotImplementedError

    def subscribe(self, name: str) -> None:
        """Add to the subscriptions; twice is once. Blocks."""
        raise NotImplementedError

    def unsubscribe(self, name: str) -> None:
        """Take from the subscriptions. Blocks."""
        raise NotImplementedError

    def exists(self, name: str) -> bool:
        """Whether the folder can be selected. Blocks."""
        raise NotImplementedError

    def status(self, name: str) -> Status:
        """A folder's figures, from memory or the index when those can be trusted, else by a scan. Raises NotFound. Blocks."""
        raise NotImplementedError

    def open_view(self, name: str, *, read_only: bool = False) -> View:
        """Scan the folder and return a session's view of it (SELECT, or EXAMINE with `read_only`: takes no \\Recent). Raises NotFound. Blocks."""
        raise NotImplementedError

    def append(self, name: str, letter: Letter, flags: int = 0, keywords: Iterable[str] = (), internaldate_s: float | None = None) -> Placed:
        """Put a letter into a folder; on disk with its UID when it returns. Raises NotFound, NoSpace, OverQuota, Invalid. Blocks.

        `flags`: system flags; keywords by name (another folder numbers them differently).
        """
        raise NotImplementedError


class Box:
    """One folder, shared by all sessions of the process that have it open. Attributes are in memory and always agree with `columns`."""

    mailbox: Mailbox
    name: str
    uidvalidity: int
    uidnext: int
    highestmodseq: int
    keywords: tuple[str, ...]  # names, in the order of their bits
    columns: Columns  # the newest known state

    def counts(self) -> Counts:
        """Figures of `columns`. Memory; kept, so cheap to ask again."""
        raise NotImplementedError

    def first_unseen_row(self) -> int | None:
        """Row of the first unseen letter of `columns`. Memory."""
        raise NotImplementedError

    def is_dirty(self) -> bool:
        """Whether `refresh` would have something to look at: inotify told of a change, or without inotify the folder's mtimes moved. A few µs."""
        raise NotImplementedError

    def refresh(self, *, force: bool = False) -> bool:
        """Take in what others did to the folder; true when `columns` changed. Cheap when nothing did. Single flight. Blocks."""
        raise NotImplementedError

    def keyword_mask(self, names: Iterable[str], *, create: bool = True) -> int:
        """Return the bits of the keywords, adding new names to `dovecot-keywords`. Raises Invalid at the 27th. Blocks when a name is new.

        Names match without case (RFC 3501 §2.3.2 leaves it open; Dovecot does the same). `create=False` ignores unknown ones.
        """
        raise NotImplementedError

    # -- letters. UIDs: ascending sequences, e.g. a slice of `columns.uid`; fastest when contiguous in the folder.

    def octets(self, uid: int) -> Octets:
        """The letter with CRLF line ends: bytes, or a read-only mmap above 1 MiB. Raises NotFound when it is gone. Blocks."""
        raise NotImplementedError

    def octets_of(self, uids: Sequence[int]) -> list[Octets | None]:
        """The letters, None for those that are gone. Keep slices to some MiB (`columns.size` tells). Blocks."""
        raise NotImplementedError

    def header(self, uid: int) -> bytes:
        """The letter's header with its empty line; reads no more of the file than that needs. Raises NotFound. Blocks."""
        raise NotImplementedError

    def headers_of(self, uids: Sequence[int]) -> list[bytes | None]:
        """Headers in bulk, None for those that are gone. Blocks."""
        raise NotImplementedError

    def prepare(self, uids: Sequence[int]) -> int:
        """Read those letters that the index does not know yet, many at once in the builders; how many were read. Blocks: slices of about 2,000.

        `rendered`, `fields` and `search_text` call it themselves; call it to make a long wait visible in slices.
        """
        raise NotImplementedError

    def rendered(self, uids: Sequence[int], *names: str) -> list[tuple[bytes, ...] | None]:
        """Ready octets (`RENDERED`: envelope, body, bodystructure) a letter, in the order of `names`; None when gone. Slices of about 2,000. Blocks."""
        raise NotImplementedError

    def fields(self, columns: Columns, name: str) -> list[Any]:
        """One field (`FIELDS`) for each row of `columns`; None for letters that are gone. Kept in memory while the folder is in use. Blocks the first time."""
        raise NotImplementedError

    def has_fields(self, columns: Columns, name: str) -> bool:
        """Whether `fields` would answer from memory at once. Memory."""
        raise NotImplementedError

    def search_text(self, uids: Sequence[int], needle: str, *, header: bool = False) -> list[int]:
        """UIDs whose body text (SEARCH BODY) holds the folded `needle`; with `header` the header too (SEARCH TEXT). Slices of about 1,000. Blocks."""
        raise NotImplementedError


class View:
    """What one session sees of a folder: row *i* is sequence number *i + 1*, and stays so until `poll(expunge=True)`."""

    box: Box
    read_only: bool
    columns: Columns
    recent_row: int  # rows from here on are \\Recent in this session
    keywords: tuple[str, ...]  # the names this session was told of

    def poll(self, *, expunge: bool = True) -> Deltas:
        """Move to the box's newest state and say what changed. Memory: never blocks; refresh the box first.

        `expunge=False` (during FETCH, STORE, SEARCH; RFC 3501 §7.4.1): expunged letters keep their rows until a later poll.
        The session's own changes are not told again.
        """
        raise NotImplementedError

    def has_news(self) -> bool:
        """Whether `poll` would say something. Memory."""
        raise NotImplementedError

    def row_of(self, uid: int) -> int | None:
        """Row of a UID, by bisection. Memory."""
        raise NotImplementedError

    def rows_between(self, first_uid: int, last_uid: int) -> range:
        """Rows with UIDs in that span. Memory."""
        raise NotImplementedError

    def store(
        self,
        rows: Sequence[int],
        change: str,
        flags: int,
        keywords: Iterable[str] = (),
        *,
        unchanged_since: int | None = None,
    ) -> Changed:
        """Set ("="), add ("+") or remove ("-") flags; system bits in `flags`, keywords by name. Raises Invalid at the 27th keyword. Blocks.

        The view's columns hold the result when it returns, and `poll` does not repeat it. Without keywords in `flags` "=" clears keywords too.
        """
        raise NotImplementedError

    def expunge(self, rows: Sequence[int] | None = None) -> Deltas:
        """Remove the letters marked \\Deleted (of `rows`, or all), and poll: what to tell. Blocks."""
        raise NotImplementedError

    def remove(self, rows: Sequence[int]) -> None:
        """Remove letters whatever their flags (POP3). Told by the next poll. Blocks."""
        raise NotImplementedError

    def copy(self, rows: Sequence[int], folder: str) -> Placed:
        """Link letters into another folder of the mailbox (or this one), flags and dates kept. All or none. Raises NotFound, OverQuota, NoSpace. Blocks."""
        raise NotImplementedError

    def move(self, rows: Sequence[int], folder: str) -> Placed:
        """Move letters by renaming; this view's `poll` tells the expunges afterwards (RFC 6851). Raises NotFound. Blocks."""
        raise NotImplementedError

    def appended(self, placed: Placed) -> None:
        """Memory: nothing to do; here so that a session may say that an APPEND to its own folder was its own."""

    async def wait(self, timeout_s: float) -> bool:
        """Wait until the folder may have changed (inotify, another session, or polling each second); false at the time-out."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        return iter(self.columns.uid)

    def close(self) -> None:
        """The session leaves the folder. Memory."""
        raise NotImplementedError
