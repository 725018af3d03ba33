"""Letters around files."""

from __future__ import annotations

import base64
import binascii
import itertools
from dataclasses import dataclass

HEAD = (
    b"From: <hanhchinh@dian.example>\r\nTo: <vpub@binhduong.gov.vn>\r\nDate: Mon, 5 Jan 2026 09:00:00 +0700\r\n"
    b"Message-ID: <%d@corpus.example>\r\nSubject: Van ban\r\nMIME-Version: 1.0\r\n"
)
_numbers = itertools.count(1)


def head() -> bytes:
    return HEAD % next(_numbers)


@dataclass(frozen=True)
class Case:
    """A letter, and what must come of it; `problem` is a finding's code that must be among those named."""

    name: str
    octets: bytes
    problem: str = ""


def b64(octets: bytes) -> bytes:
    encoded = base64.b64encode(octets)
    return b"\r\n".join(encoded[i : i + 76] for i in range(0, len(encoded), 76)) + b"\r\n"


def part(octets: bytes, *fields: str, encoding: str = "base64") -> bytes:
    """A part with these header fields; `octets` in base64, or as they are for another encoding."""
    lines = [*fields, f"Content-Transfer-Encoding: {encoding}"] if encoding else list(fields)
    body = b64(octets) if encoding.lower() == "base64" else octets
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def text_part(text: str = "Gửi anh chị tài liệu.\r\n") -> bytes:
    return part(text.encode(), "Content-Type: text/plain; charset=utf-8")


def multipart(*parts: bytes, kind: str = "mixed", boundary: str = "=_bd", more: str = "",
              before: bytes = b"", after: bytes = b"") -> bytes:  # fmt: skip
    line = f'Content-Type: multipart/{kind}; boundary="{boundary}"{more}\r\n\r\n'.encode()
    mark = boundary.encode()
    return (
        line + before + b"".join(b"--" + mark + b"\r\n" + p + b"\r\n" for p in parts) + b"--" + mark + b"--\r\n" + after
    )


def file_part(
    name: str, octets: bytes, kind: str = "application/octet-stream", disposition: str = "attachment"
) -> bytes:
    return part(
        octets, f'Content-Type: {kind}; name="{name}"', f'Content-Disposition: {disposition}; filename="{name}"'
    )


def letter(body: bytes) -> bytes:
    return head() + body


def attached(name: str, octets: bytes, kind: str = "application/octet-stream") -> bytes:
    return letter(multipart(text_part(), file_part(name, octets, kind)))


def many(files: dict[str, bytes]) -> bytes:
    return letter(multipart(text_part(), *(file_part(name, octets) for name, octets in files.items())))


def uuencoded(name: str, octets: bytes) -> bytes:
    lines = [binascii.b2a_uu(octets[i : i + 45], backtick=True) for i in range(0, len(octets), 45)]
    return (
        b"begin 644 "
        + name.encode()
        + b"\r\n"
        + b"".join(line.replace(b"\n", b"\r\n") for line in lines)
        + b"`\r\nend\r\n"
    )


def yencoded(name: str, octets: bytes) -> bytes:
    out = bytearray()
    for octet in octets:
        coded = (octet + 42) & 255
        out += bytes([0x3D, (coded + 64) & 255]) if coded in (0, 10, 13, 0x3D) else bytes([coded])
    lines = b"\r\n".join(bytes(out[i : i + 128]) for i in range(0, len(out), 128))
    return b"=ybegin line=128 size=%d name=%s\r\n%s\r\n=yend size=%d\r\n" % (
        len(octets),
        name.encode(),
        lines,
        len(octets),
    )
