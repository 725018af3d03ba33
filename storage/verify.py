"""What is wrong with a mailbox on disk, for `bdmta verify-store`; reads, changes nothing."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from storage.clock import Clock, SystemClock
from storage.maildir import folder_dirs, folder_name, name_octets
from storage.maildirsize import FILE_NAME, MAX_FILE_OCTETS, Usage, parse_sizes, sum_letters

TMP_LEFTOVER_AFTER_S = 36 * 3600.0  # maildir(5)
_UIDLIST_MAX_OCTETS = 256 << 20
_QUOTA_READINGS = 3
_QUOTA_READINGS_MAX = 8
_QUOTA_PAUSE_S = 0.1
_NAME = re.compile(r"\d{1,12}\.[^/:]{1,200}(?::2,[A-Za-z]*)?")
_UID_LINE = re.compile(rb"(\d{1,10})(?: [A-Z][^ ]*)* :(.+)")


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: `path`, a fixed `kind` for programs, and a sentence for people. Never content of a letter."""

    path: str
    kind: str
    text: str


def verify_mailbox(mailbox: str, clock: Clock | None = None) -> list[Problem]:
    """Every problem in the mailbox and its folders, in a stable order. Blocks. Raises NotFound, OSError."""
    now = (clock or SystemClock()).time()
    problems: list[Problem] = []
    for folder in folder_dirs(mailbox):
        if folder != mailbox and folder_name(os.path.basename(folder)) is None:
            problems.append(Problem(folder, "folder-name", "the folder's name is not modified UTF-7 in NFC"))
        problems += _letters(folder)
        problems += _leftovers(folder, now)
        problems += _uidlist(folder)
    problems += _quota(mailbox)
    return problems


def _letters(folder: str) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for sub in ("new", "cur"):
        path = f"{folder}/{sub}"
        if not os.path.isdir(path):
            yield Problem(path, "missing", "the directory is missing")
            continue
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if entry.name.startswith("."):
                    continue
                yield from _letter(entry)
                base = entry.name.partition(":")[0]
                if base in seen and os.path.lexists(seen[base]) and os.path.lexists(entry.path):  # not just moved
                    yield Problem(entry.path, "twice", f"the letter is in {seen[base].split('/')[-2]}/ too")
                seen[base] = entry.path


def _letter(entry: os.DirEntry[str]) -> Iterator[Problem]:
    if not entry.is_file(follow_symlinks=False):
        yield Problem(entry.path, "not-a-file", "there is something that is no letter")
        return
    if not _NAME.fullmatch(entry.name):
        yield Problem(entry.path, "name", "the name is not one of a Maildir")
    try:
        found = entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return  # renamed meanwhile
    told = name_octets(entry.name)
    if told is not None and told != found:
        yield Problem(entry.path, "size", f"the name tells {told} octets, the file has {found}")
    elif found == 0:
        yield Problem(entry.path, "empty", "the letter is empty")


def _leftovers(folder: str, now: float) -> Iterator[Problem]:
    try:
        with os.scandir(f"{folder}/tmp") as entries:  # noqa: S108 - the Maildir's own tmp/
            old = [e.path for e in entries if now - e.stat(follow_symlinks=False).st_mtime > TMP_LEFTOVER_AFTER_S]
    except FileNotFoundError:
        return
    for path in sorted(old):
        yield Problem(path, "leftover", "a temporary file older than 36 hours")


def _uidlist(folder: str) -> Iterator[Problem]:
    path = f"{folder}/dovecot-uidlist"
    try:
        with open(path, "rb") as file:
            lines = file.read(_UIDLIST_MAX_OCTETS).split(b"\n")[:-1] or [b""]  # what has no end is being written
    except FileNotFoundError:
        return
    if not re.match(rb"3 V\d+ N\d+", lines[0]):
        yield Problem(path, "uidlist", "the first line is not `3 V<uidvalidity> N<next uid>`")
        return
    last, names = 0, set()
    for number, line in enumerate(lines[1:], 2):
        found = _UID_LINE.fullmatch(line)
        if found is None:
            if line:
                yield Problem(path, "uidlist", f"line {number} cannot be read")
            continue
        uid, name = int(found.group(1)), found.group(2).partition(b":")[0]
        if uid <= last:
            yield Problem(path, "uidlist", f"line {number}: UID {uid} does not follow {last}")
        if name in names:
            yield Problem(path, "uidlist", f"line {number}: the letter has a UID already")
        last = max(last, uid)
        names.add(name)


def _quota(mailbox: str) -> Iterator[Problem]:
    path = f"{mailbox}/{FILE_NAME}"
    try:
        with open(path, "rb") as file:
            octets = file.read(MAX_FILE_OCTETS + 1)
    except FileNotFoundError:
        return  # summed anew when it is needed
    if len(octets) > MAX_FILE_OCTETS:
        return  # will be summed anew
    sizes = parse_sizes(octets)
    if sizes is None:
        yield Problem(path, "quota", "the file cannot be read and will be summed anew")
        return
    if (wrong := _lasting_difference(mailbox, path)) is not None:
        told, found = wrong
        text = f"tells {told.octets} octets in {told.letters} letters, there are {found.octets} in {found.letters}"
        yield Problem(path, "quota", text)


def _lasting_difference(mailbox: str, path: str) -> tuple[Usage, Usage] | None:
    """What the file tells and what there is, when they differ by the same three times running.

    A letter is counted after it was named: of a mailbox in use they differ for an instant, by now this, now that.
    """
    before, times = (0, 0), 0
    for _ in range(_QUOTA_READINGS_MAX):
        told = _told(path)
        if told is None:
            return None  # it is being summed anew
        found = sum_letters(mailbox)
        difference = (found.octets - told.octets, found.letters - told.letters)
        times = times + 1 if difference == before else 1
        before = difference
        if difference == (0, 0):
            return None
        if times == _QUOTA_READINGS:
            return told, found
        time.sleep(_QUOTA_PAUSE_S)
    return None


def _told(path: str) -> Usage | None:
    try:
        with open(path, "rb") as file:
            sizes = parse_sizes(file.read(MAX_FILE_OCTETS + 1))
    except FileNotFoundError:
        return None
    return sizes.usage if sizes is not None else None
