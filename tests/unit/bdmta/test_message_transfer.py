"""Transfer encodings undone as clients do it."""

from __future__ import annotations

import base64
import binascii
import random

import pytest

from bdmta.message.transfer import decoded, uudecoded, uuencoded_files


def undone(octets: bytes, encoding: str, max_octets: int = 1_000_000) -> bytes:
    return decoded(octets, 0, len(octets), encoding, max_octets)


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"TVqQAA==", b"MZ\x90\0"),
        (b"TV\r\nqQ\r\nAA==\r\n", b"MZ\x90\0"),
        (b"T!V*q-Q\x00A\xffA==", b"MZ\x90\0"),
        (b"TVqQAA", b"MZ\x90\0"),
        (b"TVqQA", b"MZ\x90"),
        (b"TQ==WpA=", b"MZ\x90"),
        (b"TVqQ====TVqQ", b"MZ\x90MZ\x90"),
        (b"", b""),
        (b"=", b""),
        (b"A", b""),
    ],
)
def test_base64(octets: bytes, expected: bytes) -> None:
    assert undone(octets, "base64") == expected


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"B=C3=A1o", "Báo".encode()),
        (b"a=\r\nb=\nc", b"abc"),
        (b"a=  \r\nb", b"ab"),
        (b"a  \t\r\nb", b"a\r\nb"),
        (b"=4d=5A", b"MZ"),
        (b"a=XYb=", b"a=XYb"),
        (b"a=\rb", b"ab"),
    ],
)
def test_quoted_printable(octets: bytes, expected: bytes) -> None:
    assert undone(octets, "quoted-printable") == expected


def test_long_bodies_over_block_borders() -> None:
    octets = random.Random(82).randbytes(600_000)
    assert undone(base64.encodebytes(octets).replace(b"\n", b"\r\n"), "base64") == octets
    assert undone(base64.b64encode(octets), "base64") == octets
    quoted = b"".join(b"=%02X" % octet for octet in octets[:200_001])
    assert undone(quoted, "quoted-printable") == octets[:200_001]


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "7bit", "x-uuencode", "nonsense"])
def test_never_more_than_asked(encoding: str) -> None:
    assert len(undone(b"QUFB" * 100_000, encoding, 10)) == 10
    assert undone(b"QUFB", encoding, 0) == b""


def test_uuencoded_files_in_a_text() -> None:
    lines = b"".join(binascii.b2a_uu(bytes([number]) * 45) for number in range(3))
    text = b"Xem tap tin, xin begin:\r\nbegin 644 a b.exe\r\n" + lines + b"`\r\nend\r\nbegin 755 c.js\r\n#0V%T\r\n"
    first, second = uuencoded_files(text, 0, len(text), 10)
    assert (first.name, second.name) == (b"a b.exe", b"c.js")
    assert uudecoded(text, first, 1000) == b"\0" * 45 + b"\1" * 45 + b"\2" * 45
    assert uudecoded(text, second, 1000) == b"Cat"
    assert uudecoded(text, first, 50) == b"\0" * 45 + b"\1" * 5


def test_uu_lines_with_junk_behind_them() -> None:
    text = b"begin 644 a\n#0V%TXX junk\n\n`\nend\n"
    (file,) = uuencoded_files(text, 0, len(text), 10)
    assert uudecoded(text, file, 100) == b"Cat"


def test_no_uuencoded_file_within_a_line() -> None:
    text = b"we begin 644 times\r\nbegin with 644\r\n"
    assert uuencoded_files(text, 0, len(text), 10) == []
