"""A folder's rows in the index: its saved columns, and the log that puts the changes of all processes in one order
(MODSEQ, RFC 7162).
"""

from __future__ import annotations

import json
import os
import sqlite3
from array import array
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

from storage.box_state import State
from storage.box_types import Columns, Counts
from storage.scan_folder import Stamp
from storage.uidlist import Known

_LOG_ROWS = 512  # saved columns are written, and the log cut, when it is longer


@dataclass(frozen=True, slots=True)
class Saved:
    """What the index remembers of a folder. Names and flags are true only if `stamp` still is the folder's."""

    state: State
    stamp: Stamp | None
    known: Known
    counts: Counts


@dataclass(frozen=True, slots=True)
class Agreed:
    """The order that all processes agreed on: `modseqs` for letters others numbered, `modseq` for the rest of this
    change.
    """

    highestmodseq: int
    modseq: int
    modseqs: dict[int, int] = field(default_factory=dict)


def folder_row(connection: sqlite3.Connection, name: str, uidvalidity: int, floor: int) -> tuple[int, int, int]:
    """Return (id, highestmodseq, first recent UID) of a folder, made or begun anew when its UIDVALIDITY is another.

    Within a transaction.
    """
    row = connection.execute(
        "SELECT id, highestmodseq, first_recent, uidvalidity FROM folder WHERE name = ?", (name,)
    ).fetchone()
    if row is not None and row[3] == uidvalidity:
        return row[0], row[1], row[2]
    if row is not None:
        forget_folder(connection, row[0])
        floor = max(floor, row[1] + 1)
    cursor = connection.execute(
        "INSERT INTO folder (name, uidvalidity, highestmodseq, log_floor) VALUES (?, ?, ?, ?)",
        (name, uidvalidity, floor, floor),
    )
    return int(cursor.lastrowid or 0), floor, 1


def folder_id(connection: sqlite3.Connection, name: str) -> tuple[int, int, int] | None:
    """Return (id, uidvalidity, first recent UID) of a folder that the index knows."""
    row = connection.execute("SELECT id, uidvalidity, first_recent FROM folder WHERE name = ?", (name,)).fetchone()
    return (row[0], row[1], row[2]) if row else None


def is_folder(connection: sqlite3.Connection, folder: int, name: str) -> bool:
    """Whether that number still is that folder's: they are never given twice."""
    query = "SELECT 1 FROM folder WHERE id = ? AND name = ?"
    return connection.execute(query, (folder, name)).fetchone() is not None


def tell_uidnext(connection: sqlite3.Connection, folder: int, uidnext: int) -> None:
    """Record the next UID: a lost uidlist is then not begun below it. Within a write transaction."""
    connection.execute("UPDATE folder SET uidnext = ? WHERE id = ? AND uidnext < ?", (uidnext, folder, uidnext))


def known_uidnext(connection: sqlite3.Connection, name: str, uidvalidity: int) -> int:
    """Return the next UID as far as any process told the index; 1 when it knows nothing."""
    query = "SELECT uidnext FROM folder WHERE name = ? AND uidvalidity = ?"
    row = connection.execute(query, (name, uidvalidity)).fetchone()
    return int(row[0]) if row else 1


def forget_folder(connection: sqlite3.Connection, folder: int) -> None:
    """Remove all that the index holds of a folder."""
    span = (folder << 32, (folder << 32) | 0xFFFFFFFF)
    for table in ("letter", "field", "text"):
        connection.execute(f"DELETE FROM {table} WHERE id BETWEEN ? AND ?", span)  # noqa: S608 - three fixed names
    for table, column in (("state", "folder"), ("change", "folder"), ("folder", "id")):
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (folder,))  # noqa: S608 - fixed names


def take_recent(connection: sqlite3.Connection, folder: int, uidnext: int) -> int:
    """Return the first UID that no session was told of, and record that all below `uidnext` are told now.

    Within a transaction.
    """
    (first,) = connection.execute("SELECT first_recent FROM folder WHERE id = ?", (folder,)).fetchone()
    if uidnext > first:
        connection.execute("UPDATE folder SET first_recent = ? WHERE id = ?", (uidnext, folder))
    return int(first)


def agree(
    connection: sqlite3.Connection,
    folder: int,
    *,
    seen_modseq: int,
    changed: dict[int, int],
    flags_now: Callable[[int], int | None],
    anything_gone: bool,
    floor: int,
) -> Agreed:
    """Number a change: take over what other processes numbered since `seen_modseq`, and log the rest. Within a write
    transaction.

    `changed`: UID to flags of letters that are new or have other flags than before. `flags_now` tells any letter's
    flags (None: gone).
    """
    highest, log_floor = connection.execute(
        "SELECT highestmodseq, log_floor FROM folder WHERE id = ?", (folder,)
    ).fetchone()
    modseqs: dict[int, int] = {}
    unlogged = dict(changed)
    if highest > seen_modseq:
        logged: dict[int, tuple[int, int]] = {}
        for modseq, uid, flags in _changes_since(connection, folder, seen_modseq, log_floor):
            logged[uid] = (modseq, flags)
        for uid, (modseq, flags) in logged.items():
            now = flags_now(uid)
            if now is None:
                continue
            modseqs[uid] = modseq
            if now == flags:
                unlogged.pop(uid, None)
            else:
                unlogged[uid] = now
    if not unlogged and not anything_gone:
        return Agreed(highest, highest, modseqs)
    modseq = max(highest + 1, floor)  # above the clock too: an index that was lost or set back gives none twice
    uids = sorted(unlogged)
    connection.execute(
        "INSERT INTO change VALUES (?, ?, ?, ?)",
        (folder, modseq, array("I", uids).tobytes(), array("I", [unlogged[uid] for uid in uids]).tobytes()),
    )
    connection.execute("UPDATE folder SET highestmodseq = ? WHERE id = ?", (modseq, folder))
    modseqs.update(dict.fromkeys(modseqs.keys() & unlogged.keys(), modseq))
    return Agreed(modseq, modseq, modseqs)


def _changes_since(
    connection: sqlite3.Connection, folder: int, seen: int, log_floor: int
) -> Iterator[tuple[int, int, int]]:
    """Yield (modseq, uid, flags) in order. What was cut from the log is in the saved columns."""
    if seen < log_floor:
        row = connection.execute("SELECT uid, flags, modseqs FROM state WHERE folder = ?", (folder,)).fetchone()
        if row is not None:
            columns = zip(_array("Q", row[2]), _array("I", row[0]), _array("I", row[1]), strict=True)
            yield from sorted(entry for entry in columns if entry[0] > seen)
    rows = connection.execute(
        "SELECT modseq, uids, flags FROM change WHERE folder = ? AND modseq > ? ORDER BY modseq", (folder, seen)
    )
    for modseq, uids, flags in rows.fetchall():
        for uid, flag in zip(_array("I", uids), _array("I", flags), strict=True):
            yield modseq, uid, flag


def _array(code: str, octets: bytes) -> array[int]:
    out = array(code)
    out.frombytes(octets)
    return out


def wants_saving(connection: sqlite3.Connection, folder: int) -> bool:
    """Whether the log has grown long."""
    (count,) = connection.execute("SELECT count(*) FROM change WHERE folder = ?", (folder,)).fetchone()
    return int(count) > _LOG_ROWS


def save(connection: sqlite3.Connection, folder: int, saved: Saved) -> None:
    """Keep the columns, unless another process kept newer ones, and cut the log below them.

    Within a write transaction.
    """
    row = connection.execute("SELECT modseq FROM state WHERE folder = ?", (folder,)).fetchone()
    state = saved.state
    if row is not None and row[0] > state.highestmodseq:
        return
    columns = state.columns
    distinct = {info: code for code, info in enumerate(dict.fromkeys(state.infos))}
    known = asdict(saved.known)
    known["header"] = saved.known.header.decode("latin-1")
    known["tail"] = saved.known.tail.decode("latin-1")
    connection.execute(
        "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            folder,
            state.highestmodseq,
            state.uidnext,
            json.dumps(saved.stamp),
            json.dumps(known),
            json.dumps(asdict(saved.counts)),
            columns.uid.tobytes(),
            columns.flags.tobytes(),
            columns.size.tobytes(),
            columns.internaldate.tobytes(),
            columns.modseq.tobytes(),
            os.fsencode("\n".join(state.bases)),
            os.fsencode("\n".join(distinct)),
            array("I", [distinct[info] for info in state.infos]).tobytes(),
        ),
    )
    connection.execute("UPDATE folder SET log_floor = ? WHERE id = ?", (state.highestmodseq, folder))
    connection.execute("DELETE FROM change WHERE folder = ? AND modseq <= ?", (folder, state.highestmodseq))


def load(connection: sqlite3.Connection, folder: int, uidvalidity: int) -> Saved | None:
    """Return the kept columns."""
    row = connection.execute(
        "SELECT modseq, uidnext, stamp, uidlist, counts, uid, flags, size, internaldate, modseqs, bases, infos, info_of"
        " FROM state WHERE folder = ?",
        (folder,),
    ).fetchone()
    if row is None:
        return None
    columns = Columns(
        _array("I", row[5]), _array("I", row[6]), _array("Q", row[7]), _array("q", row[8]), _array("Q", row[9])
    )
    bases = os.fsdecode(row[10]).split("\n") if row[10] else []
    distinct = os.fsdecode(row[11]).split("\n")
    infos = [distinct[code] for code in _array("I", row[12])]
    if not len(columns.uid) == len(columns.flags) == len(columns.modseq) == len(bases) == len(infos):
        return None
    state = State(columns, bases, infos, uidvalidity, row[1], row[0])
    return Saved(state, *_small(row))


def load_figures(connection: sqlite3.Connection, folder: int) -> tuple[int, int, Stamp | None, Known, Counts] | None:
    """Return (highestmodseq, uidnext, stamp, known, counts) without the columns, for STATUS."""
    row = connection.execute(
        "SELECT modseq, uidnext, stamp, uidlist, counts FROM state WHERE folder = ?", (folder,)
    ).fetchone()
    return (row[0], row[1], *_small(row)) if row else None


def _small(row: tuple[object, ...]) -> tuple[Stamp | None, Known, Counts]:
    stamp = json.loads(str(row[2]))
    known = json.loads(str(row[3]))
    known["header"] = known["header"].encode("latin-1")
    known["tail"] = known["tail"].encode("latin-1")
    return (Stamp(*stamp) if stamp else None), Known(**known), Counts(**json.loads(str(row[4])))
