"""What the index keeps of each letter: ready octets for FETCH, folded fields for SEARCH and SORT, folded text where
the file will not do.
"""

from __future__ import annotations

import sqlite3
import zlib
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from storage.box_types import FIELDS, RENDERED, Rendered

LetterRow = tuple[int, int, Rendered]  # UID, octets in the letter, what was read in it
_QUOTED = {name: f'"{name}"' for name in (*FIELDS, *RENDERED, "size")}


def row_id(folder: int, uid: int) -> int:
    """Return the primary key of a letter's rows: folders one after the other, in each the UIDs."""
    return folder << 32 | uid


def insert_letters(connection: sqlite3.Connection, folder: int, rows: Sequence[LetterRow]) -> None:
    """Keep letters that were read; a second time is no harm. Within a write transaction."""
    connection.executemany(
        "INSERT OR REPLACE INTO letter VALUES (?, ?, ?, ?)",
        [(row_id(folder, uid), r.envelope, r.body, r.bodystructure) for uid, _, r in rows],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO field VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [_field_row(row_id(folder, uid), size, r) for uid, size, r in rows],
    )
    texts = [
        (row_id(folder, uid), _packed(r.header_text), _packed(r.text))
        for uid, _, r in rows
        if r.text is not None or r.header_text is not None
    ]
    if texts:
        connection.executemany("INSERT OR REPLACE INTO text VALUES (?, ?, ?)", texts)


def _field_row(key: int, size: int, r: Rendered) -> tuple[Any, ...]:
    return (
        key, size, r.header_octets, r.subject, r.from_, r.to, r.cc, r.bcc, r.base_subject, r.sort_from, r.sort_to,
        r.sort_cc, r.sent_at, r.sent_day, r.message_id, "\n".join(r.references), int(r.is_reply),
        array("Q", r.spans).tobytes(),
    )  # fmt: skip


def _packed(text: str | None) -> bytes | None:
    return None if text is None else zlib.compress(text.encode("utf-8", "surrogatepass"), 1)


def unpacked(octets: bytes) -> bytes:
    """Return the folded text as UTF-8."""
    return zlib.decompress(octets)


def known_uids(connection: sqlite3.Connection, folder: int, low: int, high: int) -> array[int]:
    """Return the UIDs in that span whose letters were read."""
    rows = connection.execute(
        "SELECT id FROM field WHERE id BETWEEN ? AND ?", (row_id(folder, low), row_id(folder, high))
    )
    base = folder << 32
    return array("I", [key - base for (key,) in rows])


def rendered_rows(
    connection: sqlite3.Connection, folder: int, uids: Sequence[int], names: Sequence[str]
) -> list[tuple[bytes, ...] | None]:
    """Return the named octets of those letters (UIDs ascending), None where the index has none."""
    columns = ", ".join(_QUOTED[name] for name in names)
    span = (row_id(folder, uids[0]), row_id(folder, uids[-1]))
    dense = uids[-1] - uids[0] < 4 * len(uids) + 64
    if not dense:
        return _sparse(connection, f"SELECT id, {columns} FROM letter WHERE id = ?", folder, uids)  # noqa: S608 - names from a fixed set
    rows = connection.execute(f"SELECT {columns} FROM letter WHERE id BETWEEN ? AND ? ORDER BY id", span).fetchall()  # noqa: S608
    if len(rows) == len(uids) and _exactly(connection, "letter", folder, uids):
        return rows
    keyed = connection.execute(f"SELECT id, {columns} FROM letter WHERE id BETWEEN ? AND ?", span).fetchall()  # noqa: S608
    found = {row[0]: row[1:] for row in keyed}
    base = folder << 32
    return [found.get(base | uid) for uid in uids]


def _exactly(connection: sqlite3.Connection, table: str, folder: int, uids: Sequence[int]) -> bool:
    """Whether the rows of the span are those of the UIDs, given that they are as many: so if the span has no gap, or
    the sums agree with the ids.
    """
    if uids[-1] - uids[0] + 1 == len(uids):
        return True
    ids = connection.execute(
        f"SELECT id FROM {table} WHERE id BETWEEN ? AND ? ORDER BY id",  # noqa: S608 - a fixed name
        (row_id(folder, uids[0]), row_id(folder, uids[-1])),
    )
    base = folder << 32
    return [key - base for (key,) in ids] == list(uids)


def _sparse(connection: sqlite3.Connection, query: str, folder: int, uids: Iterable[int]) -> list[Any]:
    out: list[Any] = []
    for uid in uids:
        row = connection.execute(query, (row_id(folder, uid),)).fetchone()
        out.append(row[1:] if row else None)
    return out


def field_values(connection: sqlite3.Connection, folder: int, name: str, low: int, high: int) -> list[tuple[int, Any]]:
    """Return (UID, value) of one field for the letters of a span, UIDs ascending."""
    base = folder << 32
    query = f"SELECT id - ?, {_QUOTED[name]} FROM field WHERE id BETWEEN ? AND ? ORDER BY id"  # noqa: S608 - names from a fixed set
    return connection.execute(query, (base, base | low, base | high)).fetchall()


def search_rows(
    connection: sqlite3.Connection, folder: int, uids: Sequence[int]
) -> dict[int, tuple[int, bytes, bytes | None, bytes | None]]:
    """Return, by UID, (header octets, spans, folded header or None, folded text or None)."""
    base = folder << 32
    query = (
        "SELECT f.id - ?, f.header_octets, f.spans, t.header, t.body"
        " FROM field f LEFT JOIN text t ON t.id = f.id WHERE f.id BETWEEN ? AND ?"
    )
    rows = connection.execute(query, (base, base | uids[0], base | uids[-1])).fetchall()
    return {row[0]: row[1:] for row in rows}


def copy_rows(connection: sqlite3.Connection, source: int, target: int, pairs: Sequence[tuple[int, int]]) -> None:
    """Give letters that were copied or moved the rows of their sources, (source UID, target UID) each.

    Within a write transaction.
    """
    keys = [(row_id(target, new), row_id(source, old)) for old, new in pairs]
    connection.executemany(
        "INSERT OR IGNORE INTO letter SELECT ?, envelope, body, bodystructure FROM letter WHERE id = ?", keys
    )
    names = ", ".join(_QUOTED[name] for name in ("size", *FIELDS))
    connection.executemany(f"INSERT OR IGNORE INTO field SELECT ?, {names}, spans FROM field WHERE id = ?", keys)  # noqa: S608
    connection.executemany("INSERT OR IGNORE INTO text SELECT ?, header, body FROM text WHERE id = ?", keys)


def forget_letters(connection: sqlite3.Connection, folder: int, uids: Sequence[int]) -> None:
    """Remove the rows of letters that are gone. Within a write transaction."""
    keys = [(row_id(folder, uid),) for uid in uids]
    for table in ("letter", "field", "text"):
        connection.executemany(f"DELETE FROM {table} WHERE id = ?", keys)  # noqa: S608 - three fixed names
