"""Letters that a server under Điều 13 must refuse, generated (the executables are inert), and letters from a folder."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from bdmta.errors import UsageError
from bdmta.traffic.compose import base64_lines
from bdmta.traffic.letter import Expect

_INERT = b"MZ\x90\0" + bytes(56) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0L\x01" + bytes(80)
_MAX_FILE_OCTETS = 50_000_000


@dataclass(frozen=True, slots=True)
class Hostile:
    """The octets of a letter without its id, and what must become of it."""

    what: str
    octets: bytes
    expect: Expect
    needs_utf8: bool = False
    """Its header is RFC 6532: it is sent with SMTPUTF8."""


def _letter(sender: str, to: str, name: str, octets: bytes, kind: str = "application/octet-stream") -> bytes:
    bound = "=_h"
    return (
        f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: Van ban khan\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/mixed; boundary="{bound}"\r\n\r\n--{bound}\r\nContent-Type: text/plain\r\n\r\n'
        f"Xem tep dinh kem.\r\n--{bound}\r\nContent-Type: {kind}; name=\"{name}\"\r\n"
        f'Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename="{name}"\r\n\r\n'
    ).encode() + base64_lines(octets) + f"--{bound}--\r\n".encode()  # fmt: skip


def _zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, octets in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 5, 8, 0, 0)), octets)
    return out.getvalue()


def _nested(sender: str, to: str) -> bytes:
    head = f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: Long nhau\r\nMIME-Version: 1.0\r\n".encode()
    opened = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(300))
    return head + opened + b"Content-Type: text/plain\r\n\r\nx\r\n"


def _two_authors(sender: str, to: str) -> bytes:
    return f"From: <{to}>\r\nFrom: <{sender}>\r\nTo: <{to}>\r\nSubject: Hai nguoi gui\r\n\r\nx\r\n".encode()


_ATTACHED: dict[str, Callable[[Random], tuple[str, bytes]]] = {
    "exe": lambda draw: (f"setup-{draw.randrange(999)}.exe", _INERT),
    "double-extension": lambda draw: (f"cong van {draw.randrange(999)}.pdf.scr", _INERT),
    "disguised": lambda draw: (f"bao cao {draw.randrange(999)}.pdf", _INERT),
    "script": lambda draw: (f"hoa don {draw.randrange(999)}.js", b"// inert\r\n"),
    "zip": lambda draw: ("ho so.zip", _zip({"bao cao.txt": b"x\r\n", f"chay {draw.randrange(999)}.exe": _INERT})),
    "zip-in-zip": lambda draw: ("ho so.zip", _zip({"trong.zip": _zip({f"c{draw.randrange(999)}.bat": b"rem\r\n"})})),
}
_WHOLE: dict[str, Callable[[str, str], bytes]] = {"nested-300": _nested, "two-authors": _two_authors}
GENERATED = (*_ATTACHED, *_WHOLE)


def generate(draw: Random, sender: str, to: str) -> Hostile:
    """One of the generated kinds, in turn by chance."""
    what = draw.choice(GENERATED)
    if what in _WHOLE:
        return Hostile(what, _WHOLE[what](sender, to), Expect.REFUSE)
    name, octets = _ATTACHED[what](draw)
    return Hostile(what, _letter(sender, to, name, octets), Expect.REFUSE)


def read_folder(folder: str) -> tuple[Hostile, ...]:
    """The letters of a folder, *.eml, as they are (a file of bare LF is sent with CRLF). Raises UsageError.

    A `manifest.json` with `{"messages": [{"file", "expected": {"verdict"}}]}` tells what must become of each: `accept`
    (unchanged), `reject`, anything else and no manifest: either, as long as the server keeps to what it answered.
    `"smtputf8": true` beside the verdict: it is sent so. `"verdict_if_extended"`: the site chooses, either is right.
    """
    found = tuple(_read(folder))
    if not found:
        raise UsageError(f"{folder}: no *.eml in it")
    return found


def _read(folder: str) -> Iterator[Hostile]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".eml"))
        expected = _manifest(os.path.join(folder, "manifest.json"))
        for name in names:
            path = os.path.join(folder, name)
            if os.path.getsize(path) > _MAX_FILE_OCTETS:
                raise UsageError(f"{path}: larger than {_MAX_FILE_OCTETS} octets; take it out of the folder")
            with open(path, "rb") as file:
                octets = file.read()
            if b"\r\n" not in octets:
                octets = octets.replace(b"\n", b"\r\n")
            if not octets.endswith(b"\r\n"):  # the last line of a letter ends before the dot (RFC 5321 §4.5.2)
                octets += b"\r\n"
            told = expected.get(name, {})
            verdict = "" if "verdict_if_extended" in told else told.get("verdict", "")
            expect = {"reject": Expect.REFUSE, "accept": Expect.ACCEPT}.get(verdict, Expect.ANY)
            yield Hostile(name, octets, expect, bool(told.get("smtputf8")))
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error


def _manifest(path: str) -> dict[str, dict[str, Any]]:
    if not os.path.exists(path):
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            return {entry["file"]: dict(entry["expected"]) for entry in json.load(file)["messages"]}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: not a manifest of letters and verdicts ({error!r})") from error
