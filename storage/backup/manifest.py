"""What a backup holds, as JSON lines that people can read: folders, letters and files.

A mailbox's manifest has a line for each folder, followed by those of its letters, then its other files. The site's has
files only. Letters and files name their octets by SHA-256 (`storage.backup.objects`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from storage.errors import Corrupt
from storage.scan_folder import Stamp


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A letter. Its name was `base` + `info` in `sub` ("cur" or "new"); `at_ns` is its internal date (mtime)."""

    base: str
    info: str
    sub: str
    uid: int | None
    at_ns: int
    octets: int
    sha256: str
    message_id: str = ""
    sender: str = ""


@dataclass(slots=True)
class FolderRow:
    """A folder: `name` in Unicode ("" when its directory's name is none), `dir` within the mailbox, its letters.

    `stamp` is there when its letters are the same as long as the directories look the same.
    """

    name: str
    dir: str
    uidvalidity: int = 0
    uidnext: int = 1
    keywords: tuple[str, ...] = ()
    stamp: Stamp | None = None
    letters: list[LetterRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FileRow:
    """Another file: `path` within its mailbox or site; its octets are those of `parts`, one after the other."""

    path: str
    mode: int
    at_ns: int
    octets: int
    parts: tuple[str, ...]
    inode: int = 0
    sealed: bool = False
    """Whether the parts are encrypted (`storage.backup.sealed`); `octets` is the plain length."""


@dataclass(slots=True)
class Manifest:
    """One mailbox, or (without folders) the site."""

    folders: list[FolderRow] = field(default_factory=list)
    files: list[FileRow] = field(default_factory=list)

    def letters(self) -> Iterator[tuple[FolderRow, LetterRow]]:
        """Every letter with its folder."""
        for folder in self.folders:
            for letter in folder.letters:
                yield folder, letter

    def objects(self) -> Iterator[str]:
        """Every SHA-256 named."""
        for _, letter in self.letters():
            yield letter.sha256
        for file in self.files:
            yield from file.parts

    @property
    def octets(self) -> int:
        """Octets of letters and files."""
        return sum(letter.octets for _, letter in self.letters()) + sum(file.octets for file in self.files)


def render(manifest: Manifest) -> bytes:
    """The manifest's file."""
    lines: list[str] = []
    for folder in manifest.folders:
        row = {
            "folder": folder.name, "dir": folder.dir, "uidvalidity": folder.uidvalidity, "uidnext": folder.uidnext,
            "keywords": folder.keywords, "stamp": folder.stamp, "letters": len(folder.letters),
        }  # fmt: skip
        lines.append(_line(row))
        lines += [_line(_letter_row(letter)) for letter in folder.letters]
    lines += [_line({"file": file.path, **{k: v for k, v in asdict(file).items() if k != "path"}})
              for file in manifest.files]  # fmt: skip
    return ("\n".join(lines) + "\n" if lines else "").encode("utf-8", "surrogateescape")


def _letter_row(letter: LetterRow) -> dict[str, Any]:
    return {
        "letter": letter.base, "info": letter.info, "sub": letter.sub, "uid": letter.uid, "at_ns": letter.at_ns,
        "octets": letter.octets, "sha256": letter.sha256, "message_id": letter.message_id, "sender": letter.sender,
    }  # fmt: skip


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(", ", ": "))


def parse(octets: bytes, path: str) -> Manifest:
    """The manifest in file `path`. Raises Corrupt, naming it."""
    manifest = Manifest()
    try:
        for line in octets.decode("utf-8", "surrogateescape").split("\n"):
            if not line:
                continue
            row = json.loads(line)
            if "letter" in row:
                manifest.folders[-1].letters.append(_letter(row))
            elif "folder" in row:
                manifest.folders.append(_folder(row))
            else:
                row["path"], row["parts"] = row.pop("file"), tuple(row["parts"])
                manifest.files.append(FileRow(**row))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Corrupt(f"{path} is no manifest of a backup: {error}") from error
    return manifest


def _letter(row: dict[str, Any]) -> LetterRow:
    return LetterRow(
        row["letter"], row["info"], row["sub"], row["uid"], row["at_ns"], row["octets"], row["sha256"],
        row["message_id"], row["sender"],
    )  # fmt: skip


def _folder(row: dict[str, Any]) -> FolderRow:
    stamp = Stamp(*row["stamp"]) if row["stamp"] else None
    return FolderRow(
        row["folder"], row["dir"], row["uidvalidity"], row["uidnext"], tuple(row["keywords"]), stamp
    )  # fmt: skip
