"""A mailbox taken out as a tar of .eml files with a manifest; whole or not there, and the same when repeated."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from typing import Any

from bdmta.errors import BdmtaError
from storage.errors import NotFound
from storage.files import fsync_dir, write_durable
from storage.maildir import INBOX, folder_dirs, folder_name

MANIFEST = "manifest.json"


def export_mailbox(mailbox: str, folder: str, address: str, taken_at: str) -> dict[str, Any]:
    """Write `<address>.tar` and its manifest into `folder`; the manifest. Durable. Raises BdmtaError.

    Each letter is one file of its folder's name in the tar, its octets as they are kept; the manifest has folder,
    flags, octets and SHA-256 of each.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    final = os.path.join(folder, f"{address}.tar")
    temporary = f"{final}.part"
    letters: list[dict[str, Any]] = []
    try:
        with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
            for number, (name, flags, octets, at) in enumerate(_letters(mailbox), 1):
                entry = tarfile.TarInfo(f"{name}/{number:06d}.eml")
                entry.size, entry.mtime, entry.mode = len(octets), at, 0o600
                tar.addfile(entry, io.BytesIO(octets))
                digest = hashlib.sha256(octets).hexdigest()
                letters.append(
                    {"file": entry.name, "folder": name, "flags": flags, "octets": len(octets), "sha256": digest}
                )
        os.chmod(temporary, 0o600)
        with open(temporary, "rb") as done:
            os.fsync(done.fileno())
        os.rename(temporary, final)
        fsync_dir(folder)
        manifest = {
            "address": address, "taken_at": taken_at, "letters": len(letters),
            "octets": sum(one["octets"] for one in letters), "tar": os.path.basename(final), "files": letters,
        }  # fmt: skip
        text = json.dumps(manifest, ensure_ascii=False, indent=1).encode() + b"\n"
        write_durable(os.path.join(folder, f"{address}.{MANIFEST}"), text)
    except (OSError, NotFound) as error:
        raise BdmtaError(f"{address}: not exported: {error}") from error
    return manifest


def count_letters(mailbox: str) -> int:
    """How many letters a mailbox holds now."""
    try:
        return sum(1 for _ in _names(mailbox))
    except NotFound:
        return 0


def _names(mailbox: str) -> Iterator[tuple[str, str, str]]:
    for path in folder_dirs(mailbox):
        name = INBOX if path == mailbox else folder_name(os.path.basename(path)) or os.path.basename(path)
        for part in ("cur", "new"):
            try:
                files = sorted(os.listdir(f"{path}/{part}"))
            except FileNotFoundError:
                continue
            yield from ((name, f"{path}/{part}", file) for file in files if not file.startswith("."))


def _letters(mailbox: str) -> Iterator[tuple[str, str, bytes, int]]:
    for name, where, file in _names(mailbox):
        octets, at = _read(where, file)
        yield name, file.partition(":2,")[2], octets, at


def _read(where: str, file: str) -> tuple[bytes, int]:
    """The letter, found again when its owner gave it another flag just now."""
    for _ in range(3):
        try:
            with open(f"{where}/{file}", "rb") as source:
                return source.read(), int(os.fstat(source.fileno()).st_mtime)
        except FileNotFoundError:
            base = file.partition(":")[0]
            folder = os.path.dirname(where)
            moved = [
                (f"{folder}/{part}", n)
                for part in ("cur", "new") for n in os.listdir(f"{folder}/{part}") if n.partition(":")[0] == base
            ]  # fmt: skip
            if not moved:
                raise
            where, file = moved[0]
    raise FileNotFoundError(f"{where}/{file}")
