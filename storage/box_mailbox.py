"""One person's or agency's folders, as a process has them open."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from storage import box_append, box_folders, subscriptions
from storage.box_names import FolderLost
from storage.box_read import Box
from storage.box_types import FolderInfo, Placed, Status
from storage.box_view import View
from storage.errors import NotFound
from storage.index import Index
from storage.index_folder import folder_id, forget_folder, load_figures
from storage.letter import Letter
from storage.maildir import folder_dir, list_folders
from storage.scan_folder import stamp_of
from storage.uidlist import UidList
from storage.uidlist_validity import next_uidvalidity

if TYPE_CHECKING:
    from storage.box import Mailboxes

T = TypeVar("T")


class Mailbox:
    """The folders of one Maildir++. One object a process and mailbox; safe between threads."""

    def __init__(self, boxes: Mailboxes, path: str, index_path: str, index: Index) -> None:
        self.boxes = boxes
        self.path = path
        self.index_path = index_path
        self._index = index
        self._lock = threading.Lock()
        self._open: dict[str, Box] = {}
        self._users: dict[str, int] = {}

    @property
    def index(self) -> Index:
        """The mailbox's index."""
        self.boxes.used_index(self._index)
        return self._index

    def folders(self) -> list[FolderInfo]:
        """Every folder, INBOX first, then by name; levels without a folder of their own are listed not selectable.

        Blocks.
        """
        real = set(list_folders(self.path)) | {"INBOX"}
        levels = {name[:end] for name in real for end, letter in enumerate(name) if letter == "/"}
        everything = real | levels
        parents = {name.rpartition("/")[0] for name in everything}
        subscribed = set(self.subscriptions())
        uses = box_folders.special_uses(self.path)
        return [
            FolderInfo(name, name in real, name in parents, name in subscribed, uses.get(name, ""))
            for name in sorted(everything, key=lambda name: (name != "INBOX", name))
        ]

    def exists(self, name: str) -> bool:
        """Whether the folder can be selected. Blocks."""
        return os.path.isdir(f"{folder_dir(self.path, name)}/cur")

    def create(self, name: str, special_use: str = "") -> None:
        """Make a folder. Raises Conflict (exists), Invalid (the name or the use cannot be). Blocks."""
        if special_use and special_use not in box_folders.SPECIAL_USES:
            box_folders.set_special_use(self.path, name, special_use)  # raises
        box_folders.create_new_folder(self.path, name, self.boxes.clock.time())
        if special_use:
            box_folders.set_special_use(self.path, name, special_use)

    def delete(self, name: str) -> None:
        """Remove a folder and its letters; inferior folders stay (RFC 3501 §6.3.4).

        Raises NotFound, Invalid (INBOX). Blocks.
        """
        path = folder_dir(self.path, name)
        self._settle(path)
        octets, letters = box_folders.delete_folder(self.path, name, self.boxes.unique_base())
        self._lose(name)
        self.boxes.count_quota(self.path, -octets, -letters)

    def rename(self, old: str, new: str) -> None:
        """Rename a folder and its inferiors; INBOX: moves its letters (RFC 3501 §6.3.5).

        Raises NotFound, Conflict, Invalid. Blocks.
        """
        if old == "INBOX":
            box_folders.create_new_folder(self.path, new, self.boxes.clock.time())
            view = self.open_view("INBOX")
            try:
                view.move(range(len(view.columns)), new)
            finally:
                view.close()
            return
        for name in list_folders(self.path):
            if name == old or name.startswith(f"{old}/"):
                self._settle(folder_dir(self.path, name))
        for source, _ in box_folders.rename_folders(self.path, old, new):
            self._lose(source)

    def _settle(self, path: str) -> None:
        """The folder gets another name, or goes: the journal knows it by this one only."""
        for sub in (f"{path}/cur", f"{path}/new"):
            if os.path.isdir(sub):
                self.boxes.settle(self.path, sub, os.listdir(sub))
        with suppress(OSError):  # none, or the disk fails: then the rename does too
            UidList(path).sync()

    def _lose(self, name: str) -> None:
        """End the sessions of a folder that went, and forget its rows."""
        with self._lock:
            box = self._open.pop(name, None)
            self._users.pop(name, None)
        if box is not None:
            self.boxes.wake(box)
            box.lose()
        try:
            with self.index.writing() as connection:
                row = folder_id(connection, name)
                if row is not None:
                    forget_folder(connection, row[0])
        except sqlite3.Error:
            return

    def subscriptions(self) -> list[str]:
        """Subscribed names; they need not exist (RFC 3501 §6.3.6). Blocks."""
        return subscriptions.read_subscriptions(self.path)

    def subscribe(self, name: str) -> None:
        """Add to the subscriptions; twice is once. Raises Invalid. Blocks."""
        folder_dir(self.path, name)
        subscriptions.change_subscriptions(self.path, add=[name])

    def unsubscribe(self, name: str) -> None:
        """Take from the subscriptions. Blocks."""
        subscriptions.change_subscriptions(self.path, remove=name)

    def status(self, name: str) -> Status:
        """A folder's figures, from memory or the index when those can be trusted, else by a scan.

        Raises NotFound. Blocks.
        """
        if name not in self._open:
            figures = self._kept_figures(name)
            if figures is not None:
                return figures

        def told(box: Box) -> Status:
            box.refresh()
            return Status(box.counts(), box.uidvalidity, box.uidnext, box.highestmodseq)

        return self.on_box(name, told, watch=True)

    def _kept_figures(self, name: str) -> Status | None:
        path = folder_dir(self.path, name)
        stamp = stamp_of(path)
        if not os.path.exists(self.index_path):
            return None
        try:
            with self.index.reading() as connection:
                row = folder_id(connection, name)
                figures = load_figures(connection, row[0]) if row is not None else None
        except sqlite3.Error:
            return None
        if row is None or figures is None:
            return None
        modseq, uidnext, kept_stamp, known, counts = figures
        if kept_stamp != stamp or UidList(path, known).has_changed() or row[2] != known.next_uid:
            return None
        return Status(counts, row[1], uidnext, modseq)

    def open_view(self, name: str, *, read_only: bool = False) -> View:
        r"""Scan the folder and return a session's view of it (SELECT; EXAMINE: `read_only`, takes no \Recent).

        Raises NotFound. Blocks.
        """

        def opened(box: Box) -> View:
            box.refresh()
            return View(box, read_only=read_only, on_close=self._left)

        return self.on_box(name, opened, watch=True, keep=True)

    def append(
        self,
        name: str,
        letter: Letter,
        flags: int = 0,
        keywords: Iterable[str] = (),
        internaldate_s: float | None = None,
    ) -> Placed:
        """Put a letter into a folder; on disk with its UID when it returns. Raises NotFound, NoSpace, OverQuota,
        Invalid. Blocks.

        `flags`: system flags; keywords by name (another folder numbers them differently).
        """
        return self.on_box(
            name, lambda box: box_append.append(box, letter, flags, keywords, internaldate_s), watch=True
        )

    def on_box(self, name: str, use: Callable[[Box], T], *, watch: bool = False, keep: bool = False) -> T:
        """Return what `use` makes of a folder's box, opened if need be (`keep`: held on). Raises NotFound. Blocks.

        A folder that another process deleted and made again since we knew it is opened anew: then `use` runs twice.
        """
        for is_last in (False, True):
            box = self._hold(name, watch=watch)
            is_kept = False
            try:
                result = use(box)
                is_kept = keep
                return result
            except FolderLost:
                box.lose()
                if is_last:
                    raise
            finally:
                if not is_kept:
                    self._release(box)
        raise AssertionError("unreachable")

    def renumber(self, name: str, order: Mapping[str, int]) -> int:
        """Give the folder's letters new UIDs under a higher UIDVALIDITY, which is returned; its sessions end.

        Letters (by base name) come in `order`, then all others as they are. Raises NotFound. Blocks.
        """
        with self.held_box(name) as box, box.lock:
            box.refresh(force=True)
            last = len(order)
            bases = sorted(box.state.bases, key=lambda base: order.get(base, last))  # stable: others keep theirs
            uidvalidity = next_uidvalidity(self.path, max(self.boxes.clock.time(), box.uidvalidity + 1))
            box.sync.uidlist.renumber(uidvalidity, bases)
        self._lose(name)
        return uidvalidity

    @contextmanager
    def held_box(self, name: str) -> Iterator[Box]:
        """Give a folder's box, opened if need be. Raises NotFound."""
        box = self._hold(name, watch=False)
        try:
            yield box
        finally:
            self._release(box)

    def _hold(self, name: str, *, watch: bool) -> Box:
        with self._lock:
            box = self._open.get(name)
            if box is None or box.is_lost:
                path = folder_dir(self.path, name)
                if not os.path.isdir(f"{path}/cur"):
                    raise NotFound(f"there is no folder {name!r}")
                box = self._open[name] = Box(self, name, path)
                self._users[name] = 0
            self._users[name] += 1
        self.boxes.wake(box)
        try:
            with box.lock:
                if watch:
                    box.watch()
                if not box.uidvalidity:
                    box.open()
        except BaseException:
            self._release(box)
            raise
        return box

    def _left(self, view: View) -> None:
        self.boxes.later(lambda: self._release(view.box))

    def _release(self, box: Box) -> None:
        with self._lock:
            if self._open.get(box.name) is not box:
                return
            self._users[box.name] -= 1
            if self._users[box.name] > 0:
                return
        self.boxes.rest(box)

    def drop(self, box: Box) -> None:
        """Forget a folder that nobody uses; the index remembers it. Blocks."""
        with self._lock:
            if self._open.get(box.name) is not box or self._users.get(box.name):
                return
            box.unwatch()  # before it may be opened anew, with a watch of its own
            del self._open[box.name]
            self._users.pop(box.name, None)
        box.save_if_changed()

    def close(self) -> None:
        """Save and close. Blocks."""
        for box in list(self._open.values()):
            box.unwatch()
            box.save_if_changed()
        self._open.clear()
        self._users.clear()
        self._index.close()
