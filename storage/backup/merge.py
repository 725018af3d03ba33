"""Restoring letters into a mailbox that is in use: through its boxes, so that sessions see them come."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from storage.backup.manifest import FolderRow, LetterRow
from storage.backup.place import Placer
from storage.box import Mailbox
from storage.box_info import flags_of, is_letter_name, split_name
from storage.box_types import KEYWORD_COUNT, SYSTEM_MASK, keyword_bit
from storage.errors import Conflict, Corrupt, Invalid, NotFound
from storage.letter import Letter
from storage.maildir import folder_dir, name_octets


@dataclass(slots=True)
class Merged:
    """What was done with one folder: letters restored, letters that were there already."""

    folder: str
    restored: int = 0
    present: int = 0
    renumbered: bool = False


def merge(
    mailbox: Mailbox, target: str, folder: FolderRow, letters: Sequence[LetterRow], placer: Placer,
    *, renumber: bool = False,
) -> Merged:  # fmt: skip
    """Put `letters`, which were in `folder`, into folder `target`, made if need be, subscribed; durable.

    Flags, keywords and internal dates come along; a letter whose octets are there already is not put there twice.
    `renumber`: letters of the backup get their old order again, by new UIDs for all under a higher UIDVALIDITY; only
    done when letters were there and others came. Raises StoreError.
    """
    if not mailbox.exists(target):
        try:
            mailbox.create(target)
        except Conflict:
            pass  # a client was faster
        mailbox.subscribe(target)
    there = Present(folder_dir(mailbox.path, target))
    had_letters = bool(there)
    done = Merged(target)
    for letter in letters:
        if there.find(letter):
            done.present += 1
            continue
        try:
            octets = placer.checked(letter.sha256)
        except (Corrupt, NotFound) as error:
            placer.problems.append(f"letter {letter.message_id or letter.base} is not restored: {error}")
            continue
        place_letter(mailbox, target, folder, letter, octets)
        done.restored += 1
        placer.note(letter.octets)
    if renumber and had_letters and done.restored:
        again = Present(folder_dir(mailbox.path, target))
        order = {known: number for number, one in enumerate(letters) if (known := again.find(one))}
        mailbox.renumber(target, order)
        done.renumbered = True
    return done


def place_letter(mailbox: Mailbox, target: str, folder: FolderRow, letter: LetterRow, octets: bytes) -> None:
    """Append one letter as it was: flags, keywords, internal date. Raises StoreError."""
    flags = flags_of(letter.info)
    names = [name for place, name in enumerate(folder.keywords[:KEYWORD_COUNT]) if name and flags & keyword_bit(place)]
    whole = Letter.from_octets([octets])
    try:
        mailbox.append(target, whole, flags & SYSTEM_MASK, names, letter.at_ns / 1e9)
    except Invalid:  # the folder has its 26 keywords: a letter is worth more than a label
        mailbox.append(target, whole, flags & SYSTEM_MASK, (), letter.at_ns / 1e9)


class Present:
    """The letters of a folder on disk, to be found by their octets; each is found once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._by_octets: dict[int, list[tuple[str, str]]] = {}
        for sub, name in _names(path):
            octets = name_octets(name)
            if octets is None:
                try:
                    octets = os.stat(f"{path}/{sub}/{name}").st_size
                except FileNotFoundError:
                    continue
            self._by_octets.setdefault(octets, []).append((sub, name))

    def __bool__(self) -> bool:
        return bool(self._by_octets)

    def find(self, letter: LetterRow) -> str:
        """The base name of a letter with the same octets, or ""."""
        waiting = self._by_octets.get(letter.octets, [])
        for position, (sub, name) in enumerate(waiting):
            if split_name(name)[0] == letter.base or self._sha256(sub, name) == letter.sha256:
                del waiting[position]
                return split_name(name)[0]
        return ""

    def _sha256(self, sub: str, name: str) -> str:
        for path in (f"{self._path}/{sub}/{name}", *self._renamed(name)):
            try:
                with open(path, "rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest()
            except FileNotFoundError:
                continue
        return ""

    def _renamed(self, name: str) -> Iterable[str]:
        base = split_name(name)[0]
        return (f"{self._path}/{sub}/{other}" for sub, other in _names(self._path) if split_name(other)[0] == base)


def _names(path: str) -> Iterable[tuple[str, str]]:
    for sub in ("new", "cur"):
        try:
            yield from ((sub, name) for name in os.listdir(f"{path}/{sub}") if is_letter_name(name))
        except FileNotFoundError:
            continue
