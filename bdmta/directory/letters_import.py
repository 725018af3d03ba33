"""Letters of another server, taken into a mailbox: names make it repeatable, nothing is there before it is durable."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import BinaryIO

from bdmta.errors import UsageError
from storage.clock import Clock
from storage.errors import StoreError
from storage.files import sync_file_system, write_durable
from storage.maildir import INBOX, create_folder, folder_dir, folder_name
from storage.quota import Limit, Quota
from storage.subscriptions import change_subscriptions

LETTER_OCTETS_MAX = 256 * 1024 * 1024
_AT_ONCE_COUNT = 200
_FLAGS = frozenset("DFPRST")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,180}")


@dataclass(frozen=True, slots=True)
class Source:
    """A letter of the other server. `name` is the same whenever it is read again; `octets` None: passed over."""

    folder: str
    name: str
    octets: bytes | None
    flags: str = ""
    is_recent: bool = False
    at: float | None = None  # when it was received, seconds since 1970
    keywords: bytes | None = None  # the folder's dovecot-keywords, where the flags a-z mean something


def read_maildir(tree: str) -> Iterator[Source]:
    """The letters of a Maildir++ tree, INBOX first, then its folders by name. Links are not followed.

    Raises UsageError when there is no Maildir.
    """
    if not any(os.path.isdir(os.path.join(tree, part)) for part in ("cur", "new")):
        raise UsageError(f"{tree}: no Maildir, it has neither cur nor new")
    with os.scandir(tree) as entries:
        names = sorted(e.name for e in entries if e.name.startswith(".") and e.is_dir(follow_symlinks=False))
    yield from _read_folder(tree, INBOX)
    for name in names:
        folder = folder_name(name)
        if folder is not None and folder != INBOX:
            yield from _read_folder(os.path.join(tree, name), folder)


def _read_folder(path: str, folder: str) -> Iterator[Source]:
    keywords = _read(os.path.join(path, "dovecot-keywords"))
    for part in ("cur", "new"):
        try:
            names = sorted(os.listdir(os.path.join(path, part)))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            if name.startswith("."):
                continue
            base, _, info = name.partition(":2,")
            file = os.path.join(path, part, name)
            octets = _read(file)
            at = os.stat(file, follow_symlinks=False).st_mtime if octets is not None else None
            flags = info.partition(",")[0]
            yield Source(folder, _stable(base.partition(",")[0]), octets, flags, part == "new", at, keywords)


def _read(path: str) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(fd, "rb") as file:
        try:
            octets = file.read(LETTER_OCTETS_MAX + 1)
        except OSError:
            return None
    return octets if len(octets) <= LETTER_OCTETS_MAX else None


def _stable(name: str) -> str:
    """The name itself where it is harmless, else one made of it."""
    if _NAME.fullmatch(name):
        return name
    return f"import.{blake2b(os.fsencode(name), digest_size=16).hexdigest()}"


@dataclass
class Taker:
    """Takes letters into one mailbox; at last `finish`. The quota does not bind an import."""

    mailbox: str  # its folder
    clock: Clock
    limit: Limit
    is_trial: bool = False
    _known: dict[str, set[str]] = field(default_factory=dict)
    _waiting: list[tuple[str, str]] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=lambda: {"letters": 0, "known": 0, "skipped": 0})

    def take(self, source: Source) -> None:
        """Take one letter, unless one of its name is there. It appears with the next of many, or with `finish`."""
        if source.octets is None:
            self._counts["skipped"] += 1
            return
        known = self._known_in(source.folder)
        if source.name in known:
            self._counts["known"] += 1
            return
        known.add(source.name)
        self._counts["letters"] += 1
        if self.is_trial:
            return
        try:
            self._write(source)
            if len(self._waiting) >= _AT_ONCE_COUNT:
                self._show()
        except OSError as error:
            raise StoreError(f"{error.filename or self.mailbox}: {error.strerror}") from error

    def finish(self) -> dict[str, int]:
        """Make the rest appear, durable; count the mailbox anew. Returns letters, known, skipped."""
        if not self.is_trial:
            try:
                self._show()
            except OSError as error:
                raise StoreError(f"{error.filename or self.mailbox}: {error.strerror}") from error
            if folders := [name for name in self._known if name != INBOX]:
                change_subscriptions(self.mailbox, add=folders)
            Quota(self.clock).recalculate(self.mailbox, self.limit)
        return dict(self._counts)

    def _known_in(self, folder: str) -> set[str]:
        known = self._known.get(folder)
        if known is None:
            known = self._known[folder] = set()
            path = folder_dir(self.mailbox, folder)
            for part in ("cur", "new"):
                if os.path.isdir(f"{path}/{part}"):
                    known.update(re.split("[,:]", name, maxsplit=1)[0] for name in os.listdir(f"{path}/{part}"))
            if not self.is_trial:
                create_folder(self.mailbox, folder)
        return known

    def _write(self, source: Source) -> None:
        assert source.octets is not None
        octets = _BARE_LF.sub(b"\r\n", source.octets)  # kept as received: CRLF (contract 3)
        path = folder_dir(self.mailbox, source.folder)
        name = f"{source.name},S={len(octets)},W={len(octets)}"
        hidden = os.path.join(path, "tmp", name)
        fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(octets)
            file.flush()
            if source.at is not None:
                os.utime(fd, (source.at, source.at))  # what IMAP calls INTERNALDATE
        flags = "".join(sorted({flag for flag in source.flags if flag in _FLAGS} | self._keyword_flags(path, source)))
        shown = f"new/{name}" if source.is_recent and not flags else f"cur/{name}:2,{flags}"
        self._waiting.append((hidden, f"{path}/{shown}"))

    @staticmethod
    def _keyword_flags(path: str, source: Source) -> set[str]:
        """The flags a-z, if this folder's keywords are (or become) those of the source."""
        wanted = {flag for flag in source.flags if "a" <= flag <= "z"}
        if not wanted or source.keywords is None:
            return set()
        there = _read(f"{path}/dovecot-keywords")
        if there is None:
            write_durable(f"{path}/dovecot-keywords", source.keywords, 0o600)
        return wanted if there in (None, source.keywords) else set()

    def _show(self) -> None:
        """Durable first, then in sight: nothing partial is ever in cur or new (contract 1)."""
        if not self._waiting:
            return
        fd = os.open(self.mailbox, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_file_system(fd)
            for hidden, shown in self._waiting:
                os.rename(hidden, shown)
            sync_file_system(fd)
        finally:
            os.close(fd)
        self._waiting.clear()


def read_mbox(path: str, folder: str) -> Iterator[Source]:
    """The letters of an mbox file (mboxo, mboxrd), each named by its octets. Raises UsageError when it is none."""
    from bdmta.directory.mbox import split_mbox

    with _open_mbox(path) as file:
        seen: dict[str, int] = {}
        for letter in split_mbox(file, LETTER_OCTETS_MAX):
            if letter.octets is None:
                yield Source(folder, "", None)
                continue
            name = f"mbox.{blake2b(letter.octets, digest_size=16).hexdigest()}"
            seen[name] = seen.get(name, 0) + 1
            name = name if seen[name] == 1 else f"{name}-{seen[name]}"
            yield Source(folder, name, letter.octets, letter.flags, letter.is_recent, letter.at)


def _open_mbox(path: str) -> BinaryIO:
    file = open(path, "rb")  # noqa: SIM115 - the caller closes it
    start = file.read(5)
    if start not in (b"From ", b""):
        file.close()
        raise UsageError(f"{path}: no mbox, it does not begin with `From `")
    file.seek(0)
    return file
