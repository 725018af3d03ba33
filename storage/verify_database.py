"""What is wrong with the databases beside the mail: indexes against their folders, directory and ledger in themselves.

Reads only. An index is a cache: whatever is wrong with one, it is made anew from the Maildir.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing

from storage.errors import NotFound
from storage.maildir import folder_dir, list_folders
from storage.schema import snapshot_uri
from storage.uidlist import UidList
from storage.verify import Problem


def verify_index(index_path: str, mailbox: str) -> Iterator[Problem]:
    """The index of a mailbox: whole in itself, and never ahead of a folder's uidlist. Nothing when there is none."""
    if not os.path.exists(index_path):
        return
    try:
        with closing(sqlite3.connect(f"file:{_quoted(index_path)}?mode=ro", uri=True, timeout=10)) as index:
            yield from (Problem(index_path, "index", text) for text in _unsound(index, "quick_check"))
            rows = index.execute("SELECT name, uidvalidity, uidnext FROM folder").fetchall()
    except sqlite3.Error as error:
        yield Problem(index_path, "index", f"it cannot be read: {error}")
        return
    try:
        there = set(list_folders(mailbox))
    except NotFound:
        there = set()
    for name, uidvalidity, uidnext in rows:
        if name not in there:
            yield Problem(index_path, "index", f"it has a folder {name!r} that is gone")
            continue
        uidlist = UidList(folder_dir(mailbox, name))
        uidlist.read()
        known = uidlist.known
        if known.inode and known.uidvalidity != uidvalidity:
            yield Problem(index_path, "index", f"{name}: UIDVALIDITY {uidvalidity}, the folder has {known.uidvalidity}")
        elif known.inode and uidnext > known.next_uid:
            text = f"the next UID is {known.next_uid}, sessions were told {uidnext}: lines were lost"
            yield Problem(uidlist.path, "uidlist-behind", text)


def verify_database(path: str, kind: str) -> Iterator[Problem]:
    """Whether SQLite finds the database sound. Reads all of it. Nothing when there is none."""
    if not os.path.exists(path):
        return
    try:
        with closing(sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, timeout=10)) as database:
            yield from (Problem(path, kind, text) for text in _unsound(database, "integrity_check"))
    except sqlite3.Error as error:
        yield Problem(path, kind, f"it cannot be read: {error}")


def verify_snapshot(snapshot_path: str, directory_path: str) -> Iterator[Problem]:
    """Whether the published directory is that of the database; the office publishes it anew at its start."""
    try:
        with (
            closing(sqlite3.connect(snapshot_uri(snapshot_path), uri=True)) as published,
            closing(sqlite3.connect(f"file:{_quoted(directory_path)}?mode=ro", uri=True, timeout=10)) as directory,
        ):
            told = published.execute("SELECT generation FROM meta").fetchone()[0]
            have = directory.execute("SELECT generation FROM meta").fetchone()[0]
    except (sqlite3.Error, TypeError) as error:
        yield Problem(snapshot_path, "snapshot", f"it cannot be compared with the directory: {error}")
        return
    if told != have:
        yield Problem(snapshot_path, "snapshot", f"generation {told} is published, the directory has {have}")


def _unsound(database: sqlite3.Connection, check: str) -> list[str]:
    found = [str(row[0]) for row in database.execute(f"PRAGMA {check}(20)")]
    return [] if found == ["ok"] else found


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
