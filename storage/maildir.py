"""Maildir++ as Dovecot reads it: where mailboxes and folders lie, what files are called.

Folder names here are Unicode with `/` between levels; on disk `.A.B` in modified UTF-7, NFC. The dot is the separator
on disk and modified UTF-7 has no way to spell another, so a dot in a name is refused, as Dovecot does.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import unicodedata
from collections.abc import Callable

from storage.clock import Clock
from storage.errors import Conflict, Invalid, NotFound
from storage.files import fsync_dir, store_error
from storage.mutf7 import mutf7_decode, mutf7_encode
from storage.subscriptions import change_subscriptions

SPECIAL_FOLDERS = {
    "Drafts": "\\Drafts",
    "Sent": "\\Sent",
    "Trash": "\\Trash",
    "Junk": "\\Junk",
    "Archive": "\\Archive",
}
INBOX = "INBOX"
NAME_MAX_OCTETS = 255  # of one directory entry

_PLAIN = re.compile(r"[a-z0-9_+=-][a-z0-9._+=-]*")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # RFC 6855 §3, by RFC 5198
_serial = itertools.count()
_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789._+=-")


def mailbox_dir(root: str, address: str) -> str:
    """The Maildir of `address` (its key: the caller has folded the case): `<root>/<domain>/<local part>`.

    What is not a plain lower-case name is percent-encoded in UTF-8, so no address leads out of `root`. Nothing is
    created. Raises Invalid without a local part or domain, or when an encoded part is longer than a file name.
    """
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain:
        raise Invalid(f"{address!r} is no address of a mailbox")
    return f"{root}/{_encoded(domain)}/{_encoded(local)}"


def _encoded(text: str) -> str:
    if _PLAIN.fullmatch(text) and len(text) <= NAME_MAX_OCTETS:
        return text
    try:
        octets = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Invalid(f"{text!r} is not Unicode text") from error
    out = "".join(chr(o) if o in _SAFE else f"%{o:02X}" for o in octets)
    if out.startswith("."):
        out = "%2E" + out[1:]
    if len(out) > NAME_MAX_OCTETS:
        raise Invalid(f"{text[:40]!r}... is too long for a mailbox")
    return out


def folder_dir(mailbox: str, folder: str) -> str:
    """The directory of `folder`: "INBOX" in any case is the mailbox itself, "Công văn/2026" a Maildir++ folder.

    Raises Invalid: an empty level, a dot, a control character, or more than 255 octets encoded.
    """
    if folder.upper() == INBOX:
        return mailbox
    levels = unicodedata.normalize("NFC", folder).split("/")
    if levels[0].upper() == INBOX:
        levels[0] = INBOX
    for level in levels:
        if not level:
            raise Invalid(f"{folder!r}: a level of the folder's name is empty")
        if "." in level:
            raise Invalid(f"{folder!r}: a folder's name cannot hold a dot")
        if _CONTROL.search(level):
            raise Invalid(f"{folder!r}: a folder's name cannot hold control characters")
    name = "".join("." + mutf7_encode(level) for level in levels)
    if len(name) > NAME_MAX_OCTETS:
        raise Invalid(f"{folder[:40]!r}...: the folder's name is too long ({len(name)} octets on disk, 255 at most)")
    return f"{mailbox}/{name}"


def folder_name(directory_name: str) -> str | None:
    """The folder that directory `.A.B` of a mailbox holds; None when it is no folder we could open by its name."""
    if not directory_name.startswith(".") or directory_name in (".", ".."):
        return None
    try:
        name = "/".join(mutf7_decode(level) for level in directory_name[1:].split("."))
        return name if folder_dir("", name) == f"/{directory_name}" else None
    except Invalid:
        return None


def create_mailbox(mailbox: str) -> None:
    """Make a mailbox with its special folders, subscribed. Durable; what is there stays. Raises StoreError."""
    try:
        os.makedirs(mailbox, mode=0o700, exist_ok=True)
        _make_letters_dirs(mailbox)
        for folder in SPECIAL_FOLDERS:
            create_folder(mailbox, folder)
        if not os.path.exists(f"{mailbox}/subscriptions"):
            change_subscriptions(mailbox, add=list(SPECIAL_FOLDERS))
        for path in (mailbox, os.path.dirname(mailbox), os.path.dirname(os.path.dirname(mailbox))):
            fsync_dir(path)
    except OSError as error:
        raise store_error(error, f"cannot create mailbox {mailbox}") from error


def create_folder(mailbox: str, folder: str, *, prepare: Callable[[str], object] | None = None) -> str:
    """Make `folder` if it is missing; its directory. Durable. Raises Invalid, NotFound, StoreError.

    A new one appears whole, with what `prepare` puts into its directory. With `prepare` one that is there already is a
    Conflict.
    """
    path = folder_dir(mailbox, folder)
    if not os.path.isdir(mailbox):
        raise NotFound(f"there is no mailbox {mailbox}")
    try:
        if path == mailbox or not _appear(mailbox, path, prepare):
            if prepare is not None and os.path.isdir(f"{path}/cur"):
                raise Conflict(f"the folder {folder!r} exists already")
            _complete(path, is_folder=path != mailbox, prepare=prepare)
        fsync_dir(path)
        fsync_dir(mailbox)
    except OSError as error:
        raise store_error(error, f"cannot create folder {path}") from error
    return path


def _appear(mailbox: str, path: str, prepare: Callable[[str], object] | None) -> bool:
    """Make the folder aside and give it its name; false when something has that name, or it cannot be."""
    tmp = f"{mailbox}/tmp"  # noqa: S108 - the Maildir's own
    if os.path.lexists(path) or not os.path.isdir(tmp):
        return False
    aside = f"{tmp}/created.{os.getpid()}.{os.urandom(8).hex()}"
    os.mkdir(aside, 0o700)
    try:
        _complete(aside, is_folder=True, prepare=prepare)
        os.rename(aside, path)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False  # another was faster
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return True


def _complete(path: str, *, is_folder: bool, prepare: Callable[[str], object] | None) -> None:
    if is_folder and not os.path.exists(f"{path}/maildirfolder"):
        os.close(os.open(f"{path}/maildirfolder", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    if prepare is not None:
        prepare(path)
    _make_letters_dirs(path)


def _make_letters_dirs(path: str) -> None:
    for name in ("tmp", "cur", "new"):  # new last: a folder with new/ is complete
        try:
            os.mkdir(f"{path}/{name}", 0o700)
        except FileExistsError:
            pass


def list_folders(mailbox: str) -> list[str]:
    """Every folder that exists, INBOX first, then by name. Raises NotFound when there is no such mailbox."""
    return [INBOX, *sorted(name for name, _ in _folders(mailbox))]


def folder_dirs(mailbox: str) -> list[str]:
    """The directories of all folders, also of those whose names cannot be read: what counts for quota."""
    try:
        with os.scandir(mailbox) as entries:
            found = [e.path for e in entries if e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
    except FileNotFoundError as error:
        raise NotFound(f"there is no mailbox {mailbox}") from error
    return [mailbox, *(p for p in sorted(found) if os.path.isdir(f"{p}/cur") or os.path.isdir(f"{p}/new"))]


def _folders(mailbox: str) -> list[tuple[str, str]]:
    named = ((folder_name(os.path.basename(path)), path) for path in folder_dirs(mailbox)[1:])
    return [(name, path) for name, path in named if name is not None]


def unique_name(clock: Clock, host: str, size_octets: int, tag: str = "") -> str:
    """A new file name, `<s>.M<us>P<pid>Q<serial><tag>.<host>,S=<octets>,W=<octets>`; sizes agree, we store CRLF."""
    at = clock.time()
    seconds = int(at)
    safe = host if host.isalnum() else host.replace("/", "\\057").replace(":", "\\072").replace(",", "\\054")
    return (
        f"{seconds}.M{int((at - seconds) * 1_000_000)}P{os.getpid()}Q{next(_serial)}{tag}.{safe}"
        f",S={size_octets},W={size_octets}"
    )


_SIZE = re.compile(r",S=(\d{1,18})(?=[,:]|$)")


def name_octets(name: str) -> int | None:
    """The octets that a letter's file name tells (`,S=`), or None."""
    found = _SIZE.search(name)
    return int(found.group(1)) if found else None
