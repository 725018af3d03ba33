"""`dovecot-keywords`: which letter of the file name's flags means which keyword. 26 a folder, as Maildir has letters
a to z.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from storage.errors import Invalid
from storage.uidlist_lock import uidlist_lock

FILE_NAME = "dovecot-keywords"
KEYWORDS_PER_FOLDER = 26
_KEYWORD_OCTETS = 250
_FORBIDDEN = frozenset('(){%*"\\] ')


class Keywords:
    """One folder's keywords; `names` is in the order of their letters, "" where a letter has no name."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.path = f"{folder}/{FILE_NAME}"
        self.names: tuple[str, ...] = ()
        self._stamp: tuple[int, int, int] | None = None

    def refresh(self) -> bool:
        """Read the file again if it changed; whether `names` changed."""
        stamp = _stamp_of(self.path)
        if stamp == self._stamp:
            return False
        names = _read(self.path)
        self._stamp = stamp
        changed = names != self.names
        self.names = names
        return changed

    def positions(self, names: Iterable[str], *, create: bool) -> list[int]:
        """Return each keyword's place; new names are added under the UID lock when `create`.

        Raises Invalid at the 27th.
        """
        wanted = list(dict.fromkeys(names))
        missing = [name for name in wanted if self._position(name) is None]
        if missing and create:
            for name in missing:
                check_keyword(name)
            self._add(missing)
        return [place for name in wanted if (place := self._position(name)) is not None]

    def _position(self, name: str) -> int | None:
        folded = name.lower()
        for place, known in enumerate(self.names):
            if known.lower() == folded:
                return place
        return None

    def _add(self, missing: list[str]) -> None:
        with uidlist_lock(self.folder):
            self._stamp = None
            self.refresh()
            names = list(self.names)
            for name in missing:
                if self._position(name) is not None:
                    continue
                if "" in names:
                    names[names.index("")] = name
                elif len(names) < KEYWORDS_PER_FOLDER:
                    names.append(name)
                else:
                    raise Invalid(
                        f"this folder has {KEYWORDS_PER_FOLDER} keywords already; {name!r} would be one too many"
                    )
            _write(self.path, names)
            self._stamp = None
            self.refresh()


def check_keyword(name: str) -> None:
    """Raise Invalid unless the name is an atom (RFC 3501 §9 flag-keyword) of at most 250 octets."""
    if not name or len(name) > _KEYWORD_OCTETS or not all("!" <= c <= "~" and c not in _FORBIDDEN for c in name):
        raise Invalid(f"{name[:60]!r} is no keyword: letters, digits and $_-. without spaces")


def _stamp_of(path: str) -> tuple[int, int, int] | None:
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


def _read(path: str) -> tuple[str, ...]:
    """Return the names; lines that are no "<number> <name>" are passed over."""
    try:
        with open(path, "rb") as file:
            octets = file.read(65536)
    except FileNotFoundError:
        return ()
    found: dict[int, str] = {}
    for line in octets.split(b"\n"):
        number, _, name = line.partition(b" ")
        if number.isdigit() and len(number) <= 2 and name and int(number) < KEYWORDS_PER_FOLDER:
            found[int(number)] = name.decode("utf-8", "replace")
    return tuple(found.get(place, "") for place in range(max(found, default=-1) + 1))


def _write(path: str, names: list[str]) -> None:
    """Write the file whole, by rename, and to the disk: names without it are lost letters' labels."""
    temporary = f"{path}.tmp{os.getpid()}"
    with open(temporary, "wb") as file:
        file.write(b"".join(b"%d %b\n" % (place, name.encode()) for place, name in enumerate(names) if name))
        file.flush()
        os.fdatasync(file.fileno())
    os.rename(temporary, path)
