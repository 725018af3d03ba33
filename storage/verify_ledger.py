"""What the ledger says was delivered, held against the mailbox: a letter that was answered 250 is there, or was seen.

A delivery names the letter's file. That is in some folder of the mailbox; or some `dovecot-uidlist` has it: then a
session was given its UID, and whoever has a mailbox may remove what is in it. A file that is in neither was lost before
anybody saw it. Where lines were dropped from a uidlist (`UidList.compact` notes when; Dovecot leaves a gap), or UIDs
began anew, letters of before cannot be told from removed ones, and are passed over.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from storage.errors import NotFound
from storage.maildir import INBOX, folder_dirs, folder_name
from storage.uidlist import FILE_NAME, compacted_at, parse_header, parse_lines
from storage.verify import Problem

Span = tuple[float, float]
"""From, until, in seconds since 1970."""
_READINGS = 3
_PAUSE_S = 0.05
_SLACK_S = 60.0  # names are given by several processes, and listed in batches
_UIDLIST_MAX_OCTETS = 256 << 20
_DELIVERIES = (
    "SELECT json_extract(f.detail, '$.file'), json_extract(f.detail, '$.folder'), f.reference"
    " FROM parties p JOIN facts f ON f.id = p.fact"
    " WHERE p.address = ? AND f.event = 'delivered' AND f.recipient = ? AND json_extract(f.detail, '$.file') <> ''"
)


@dataclass(slots=True)
class _Known:
    """Every base name that a mailbox has or had, and until when each folder cannot tell."""

    names: set[str] = field(default_factory=set)
    until: dict[str, float] = field(default_factory=dict)


def verify_deliveries(
    ledger: sqlite3.Connection, address: str, key: str, mailbox: str, excused: Sequence[Span]
) -> Iterator[Problem]:  # fmt: skip
    """Deliveries to `address` of which there is no trace. `key`: the address as the ledger compares it.

    `excused`: when what was delivered need not be there any more (a restore of an older backup). Of a mailbox in use
    too: what is missing is looked for three times.
    """
    facts = ledger.execute(_DELIVERIES, (key, address)).fetchall()
    missing = [(str(file), str(folder or INBOX), str(reference)) for file, folder, reference in facts]
    for reading in range(_READINGS):
        if not missing:
            return
        if reading:
            time.sleep(_PAUSE_S)
        known = _read(mailbox)
        missing = [one for one in missing if one[0] not in known.names]
    for file, folder, reference in missing:
        at = _named_at(file)
        if at <= known.until.get(folder, 0.0) + _SLACK_S or any(since <= at <= until for since, until in excused):
            continue
        if folder != INBOX and folder not in known.until:
            continue  # the folder was removed with all that was in it
        text = f"{file} ({reference}) was acknowledged, is in no folder, and no session was given its UID"
        yield Problem(mailbox, "delivery", text)


def _read(mailbox: str) -> _Known:
    """The letters first, then the lists: what is moved meanwhile is in a list."""
    known = _Known()
    try:
        folders = folder_dirs(mailbox)
    except NotFound:
        return known
    for path in folders:
        for sub in ("new", "cur"):
            try:
                known.names.update(name.partition(":")[0] for name in os.listdir(f"{path}/{sub}"))
            except (FileNotFoundError, NotADirectoryError):
                continue
    for path in folders:
        name = INBOX if path == mailbox else folder_name(os.path.basename(path)) or ""
        known.until[name] = _read_list(f"{path}/{FILE_NAME}", known.names)
    return known


def _read_list(path: str, names: set[str]) -> float:
    """Add the names of a uidlist; until when (seconds since 1970) it cannot tell what was in the folder."""
    try:
        with open(path, "rb") as file:
            octets = file.read(_UIDLIST_MAX_OCTETS)
            changed_at = os.fstat(file.fileno()).st_mtime
    except OSError:
        return 0.0
    header, _, lines = octets.partition(b"\n")
    parsed = parse_header(header)
    if parsed is None:
        return changed_at
    uidvalidity, next_uid = parsed
    until = max(float(uidvalidity), compacted_at(header))  # UIDVALIDITY is when the folder's UIDs began
    last, newest = 0, 0.0
    for uid, base in parse_lines(lines, above_uid=0):
        names.add(base)
        newest = max(newest, _named_at(base))
        if uid != last + 1:
            until = max(until, newest)
        last = uid
    return max(until, changed_at) if next_uid > last + 1 else until


def _named_at(base: str) -> float:
    """When the file was named, by its name; 0 when that does not tell."""
    seconds = base.partition(".")[0]
    return float(seconds) if seconds.isdigit() and len(seconds) <= 12 else 0.0
