"""Transfer encodings undone as clients undo them: junk skipped, bounded in time and memory (RFC 2045 §6)."""

from __future__ import annotations

import binascii
import re
from typing import NamedTuple

from bdmta.message.octets import Octets, cut, find

_BLOCK_OCTETS = 192 * 1024
_MAX_SEGMENTS = 10_000  # runs of base64 that end in `=`; beyond it `=` is junk

IDENTITY = frozenset({"", "7bit", "8bit", "binary"})
BASE64 = frozenset({"base64", "b64", "x-base64"})
QUOTED_PRINTABLE = frozenset({"quoted-printable", "quotedprintable", "qp", "x-qp"})
UUENCODE = frozenset({"x-uuencode", "uuencode", "x-uue", "uue", "x-uu", "uu"})

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NOT_BASE64 = bytes(octet for octet in range(256) if octet not in _ALPHABET)
_NOT_BASE64_NOR_PAD = _NOT_BASE64 + b"="
_TRAILING_BLANKS = re.compile(rb"(?<![ \t])[ \t]++(?=\r?(?:\n|\Z))")
_SOFT_BARE_CR = re.compile(rb"=\r(?!\n)")
_BEGIN = re.compile(rb"begin(?:-base64)? +[0-7]{3,4} +([^\r\n]{1,255})(?:\r\n|\n|\r)")
_UU_LINE = re.compile(rb"([^\r\n]{0,1000})[^\r\n]*+(?:\r\n|\n|\r|\Z)")


def decoded(octets: Octets, start: int, end: int, encoding: str, max_octets: int) -> bytes:
    """The body `start:end` with `encoding` undone, at most `max_octets`; never raises.

    An encoding that is unknown leaves the octets as they stand (RFC 2045 §6.4 has clients save them so).
    """
    if max_octets <= 0 or end <= start:
        return b""
    if encoding in BASE64:
        return _base64(octets, start, end, max_octets)
    if encoding in QUOTED_PRINTABLE:
        return _quoted_printable(octets, start, end, max_octets)
    if encoding in UUENCODE:
        for file in uuencoded_files(octets, start, end, 1):
            return uudecoded(octets, file, max_octets)
    return cut(octets, start, min(end, start + max_octets))


def _base64(octets: Octets, start: int, end: int, max_octets: int) -> bytes:
    """Concatenated runs are read on after their padding: the reading that yields more."""
    out = bytearray()
    carry = b""
    segments_left = _MAX_SEGMENTS
    step = min(_BLOCK_OCTETS, max(1024, 2 * max_octets))
    for at in range(start, end, step):
        block = carry + cut(octets, at, min(end, at + step)).translate(None, _NOT_BASE64)
        if b"=" in block and segments_left > 0:
            *whole, block = block.split(b"=", segments_left)
            segments_left -= len(whole)
            for run in whole:
                out += _run(run)
        if b"=" in block:
            block = block.translate(None, _NOT_BASE64_NOR_PAD)
        full = len(block) - len(block) % 4
        out += binascii.a2b_base64(block[:full])
        carry = block[full:]
        if len(out) >= max_octets:
            return bytes(memoryview(out)[:max_octets])
    out += _run(carry)
    return bytes(memoryview(out)[:max_octets])


def _run(run: bytes) -> bytes:
    if not run:
        return b""
    if len(run) % 4 == 1:  # six bits are no octet
        run = run[:-1]
    return binascii.a2b_base64(run + b"=" * (-len(run) % 4))


def _quoted_printable(octets: Octets, start: int, end: int, max_octets: int) -> bytes:
    out = bytearray()
    step = min(_BLOCK_OCTETS, max(1024, 4 * max_octets))
    at = start
    while at < end and len(out) < max_octets:
        stop = min(end, at + step)
        block = cut(octets, at, stop)
        if stop < end:  # cut behind a line, else before an `=` whose octets are beyond
            last = block.rfind(b"\n") + 1
            if not last:
                escape = block.rfind(b"=", len(block) - 3)
                last = escape if escape > 0 else len(block)
            block = block[:last]
        at += len(block)
        block = _TRAILING_BLANKS.sub(b"", block)
        if b"=\r" in block:
            block = _SOFT_BARE_CR.sub(b"", block)
        out += binascii.a2b_qp(block)
    return bytes(memoryview(out)[:max_octets])


class UuencodedFile(NamedTuple):
    """A file between `begin` and `end` in a text: its name as it stands there, and where its lines are."""

    name: bytes
    start: int
    end: int


def uuencoded_files(octets: Octets, start: int, end: int, max_files: int) -> list[UuencodedFile]:
    """The uuencoded files in `start:end`, at most `max_files`; a `begin` without its `end` reaches to the end."""
    files: list[UuencodedFile] = []
    at = start
    tries_left = max_files * 100 + 1000
    while len(files) < max_files and tries_left > 0:
        tries_left -= 1
        at = find(octets, b"begin", at, end)
        if at < 0:
            break
        begin = _BEGIN.match(octets, at, end)
        if begin is None or (at > start and octets[at - 1] not in b"\r\n"):
            at += 5
            continue
        stop = find(octets, b"\nend", begin.end() - 1, end)
        files.append(UuencodedFile(begin[1].strip(), begin.end(), stop + 1 if stop >= 0 else end))
        at = stop + 1 if stop >= 0 else end
    return files


def uudecoded(octets: Octets, file: UuencodedFile, max_octets: int) -> bytes:
    """The octets of `file`, at most `max_octets`; lines that are none are skipped, as clients do."""
    out = bytearray()
    at = file.start
    while at < file.end and len(out) < max_octets:
        line = _UU_LINE.match(octets, at, file.end)
        if line is None or line.end() == at:
            break
        at = line.end()
        out += _uu_line(line[1])
    return bytes(memoryview(out)[:max_octets])


def _uu_line(line: bytes) -> bytes:
    if not line:  # a2b_uu would make 32 NULs of it
        return b""
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        octets = (line[0] - 32) & 63  # some writers put more behind the line
        try:
            return binascii.a2b_uu(line[: 1 + (octets + 2) // 3 * 4])
        except binascii.Error:
            return b""
