"""Letters whose files are gone without any session having been told: put back under their names, they keep their UIDs.

`dovecot-uidlist` still binds a letter's name to its UID, and the index still counts it among what sessions know. Then
nobody was sent an EXPUNGE, and to clients nothing happened. Where the index cannot say so (it is gone, or behind), the
letter counts as expunged: clients that know UIDNEXT never look below it, so it gets a new UID (docs/decisions/0012).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from storage.backup.manifest import FolderRow, LetterRow
from storage.backup.place import Placer
from storage.box_info import flags_of, split_name
from storage.box_types import KEYWORD_COUNT, keyword_bit
from storage.errors import Corrupt, NotFound, StoreError
from storage.files import HeldFd, fsync_dir, open_unnamed, store_error, sync_file_system, write_all
from storage.index_folder import load
from storage.keywords import Keywords
from storage.uidlist import UidList
from storage.uidlist_lock import uidlist_lock

_AT_ONCE_COUNT = 100


def revive(index_path: str, path: str, folder: FolderRow, placer: Placer) -> int:
    """Put back such letters of `folder`, which is at `path`; how many. Durable. Before anything opens the folder's box.

    Asked twice, done once. Raises StoreError.
    """
    lost = _lost(index_path, path, folder)
    done = 0
    try:
        for at in range(0, len(lost), _AT_ONCE_COUNT):
            done += _put_back(path, lost[at : at + _AT_ONCE_COUNT], placer)
    except OSError as error:
        raise store_error(error, f"cannot restore into {path}") from error
    return done


def _put_back(path: str, letters: list[LetterRow], placer: Placer) -> int:
    """Name some letters in cur/, those that came back meanwhile left alone. Raises OSError."""
    made: list[tuple[LetterRow, HeldFd]] = []
    for letter in letters:
        try:
            octets = placer.checked(letter.sha256)
        except (Corrupt, NotFound):
            continue  # whoever merges the rest names it
        file = open_unnamed(path)
        write_all(file.fd, [octets])
        os.utime(file.fd, ns=(letter.at_ns, letter.at_ns))
        made.append((letter, file))
    if not made:
        return 0
    sync_file_system(made[0][1].fd)
    done = 0
    with uidlist_lock(path):
        there = _bases(path)
        for letter, file in made:
            if letter.base not in there:
                file.link(f"{path}/cur/{letter.base}{letter.info or ':2,'}")
                placer.note(letter.octets)
                done += 1
    fsync_dir(f"{path}/cur")
    return done


def _lost(index_path: str, path: str, folder: FolderRow) -> list[LetterRow]:
    """The letters that the uidlist and the sessions have, and the disk has not."""
    if not os.path.exists(index_path) or not os.path.isdir(f"{path}/cur"):
        return []
    uidlist = UidList(path)
    news = uidlist.read()
    if news is None or uidlist.known.uidvalidity != folder.uidvalidity:
        return []
    listed = {base: uid for uid, base in news.entries}
    told = _told(index_path, folder)
    there = _bases(path)
    keywords = Keywords(path)
    keywords.refresh()
    return [
        letter for letter in folder.letters
        if letter.uid is not None and letter.base not in there
        and listed.get(letter.base) == told.get(letter.base) == letter.uid
        and _means_the_same(letter, folder.keywords, keywords.names)
    ]  # fmt: skip


def _told(index_path: str, folder: FolderRow) -> dict[str, int]:
    """Base name to UID of what sessions know; empty when the index cannot say it for certain."""
    try:
        with closing(sqlite3.connect(f"file:{index_path}?mode=ro", uri=True, timeout=10)) as index:
            row = index.execute(
                "SELECT id, highestmodseq FROM folder WHERE name = ? AND uidvalidity = ?",
                (folder.name, folder.uidvalidity),
            ).fetchone()
            saved = load(index, row[0], folder.uidvalidity) if row is not None else None
    except (sqlite3.Error, StoreError, ValueError, TypeError):
        return {}
    if saved is None or saved.state.highestmodseq != row[1]:
        return {}  # sessions went on since: perhaps by an EXPUNGE
    return dict(zip(saved.state.bases, saved.state.columns.uid, strict=True))


def _means_the_same(letter: LetterRow, then: tuple[str, ...], now: tuple[str, ...]) -> bool:
    """Whether the keyword letters of the name stand for the same keywords as in the backup."""
    flags = flags_of(letter.info)
    places = [place for place in range(KEYWORD_COUNT) if flags & keyword_bit(place)]
    return all(then[place : place + 1] == now[place : place + 1] for place in places)


def _bases(path: str) -> set[str]:
    return {split_name(name)[0] for sub in ("new", "cur") for name in os.listdir(f"{path}/{sub}")}
