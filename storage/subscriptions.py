"""A mailbox's subscriptions in Dovecot's file: `V<tab>2`, an empty line, then a name a line, mUTF-7, its levels
parted by tabs.

Files of version 1 (a name a line, levels parted by the folder separator) are read, and written as version 2.
"""

from __future__ import annotations

import fcntl
import os
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from storage.errors import Invalid
from storage.files import write_durable
from storage.mutf7 import mutf7_decode, mutf7_encode

FILE_NAME = "subscriptions"
_HEADER = b"V\t2\n\n"
_NAMES_MAX = 10_000
_NAME_OCTETS = 1000
_ESCAPES = ((b"\x01", b"\x011"), (b"\0", b"\x010"), (b"\t", b"\x01t"), (b"\r", b"\x01r"), (b"\n", b"\x01n"))


def read_subscriptions(mailbox: str) -> list[str]:
    """Return the subscribed names ("/" between levels, NFC), each once, in the file's order. Never raises on junk."""
    try:
        with open(f"{mailbox}/{FILE_NAME}", "rb") as file:
            octets = file.read(4 << 20)
    except FileNotFoundError:
        return []
    names = _read_v2(octets[len(_HEADER) :]) if octets.startswith(b"V\t2") else _read_v1(octets)
    return list(dict.fromkeys(names))[:_NAMES_MAX]


def _read_v2(octets: bytes) -> Iterator[str]:
    for line in octets.split(b"\n"):
        if line:
            yield "/".join(_decoded(_unescaped(level)) for level in line.split(b"\t"))


def _read_v1(octets: bytes) -> Iterator[str]:
    for line in octets.split(b"\n"):
        if line:
            yield _decoded(line.rstrip(b"\r")).replace(".", "/")


def _decoded(name: bytes) -> str:
    text = name.decode("ascii", "replace")
    try:
        return unicodedata.normalize("NFC", mutf7_decode(text))
    except (Invalid, ValueError):
        return text


def _unescaped(level: bytes) -> bytes:
    for plain, escaped in reversed(_ESCAPES):
        level = level.replace(escaped, plain)
    return level


def change_subscriptions(
    mailbox: str, *, add: Sequence[str] = (), remove: str | None = None, rename: tuple[str, str] | None = None
) -> None:
    """Add names, remove or rename (with what lies below it) one; durable. One process at a time. Raises StoreError."""
    with _locked(mailbox):
        names = read_subscriptions(mailbox)
        for name in add:
            if name in names:
                continue
            if len(names) >= _NAMES_MAX or len(name.encode()) > _NAME_OCTETS:
                raise Invalid("too many or too long subscriptions")
            names.append(name)
        if remove is not None:
            names = [name for name in names if name != remove]
        if rename is not None:
            names = [_renamed(name, *rename) for name in names]
        lines = b"".join(b"\t".join(_escaped(level) for level in name.split("/")) + b"\n" for name in names)
        write_durable(f"{mailbox}/{FILE_NAME}", _HEADER + lines)


def _renamed(name: str, old: str, new: str) -> str:
    return new + name[len(old) :] if name == old or name.startswith(old + "/") else name


def _escaped(level: str) -> bytes:
    octets = mutf7_encode(level).encode("ascii")
    for plain, escaped in _ESCAPES:
        octets = octets.replace(plain, escaped)
    return octets


@contextmanager
def _locked(mailbox: str) -> Iterator[None]:
    """Hold the mailbox's own lock: Dovecot replaces the file too, the last writer wins there."""
    fd = os.open(f"{mailbox}/.{FILE_NAME}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
