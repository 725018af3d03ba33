"""A long plain text is told from one that hides something without opening anything."""

import pytest

from bdmta.examine.walk import plain_text, take_inventory
from bdmta.message import scan

HEAD = b"From: a@b.vn\r\nSubject: x\r\n"
LONG = b"mot dong chu binh thuong\r\n" * 20_000


def letter(body: bytes, extra: bytes = b"") -> bytes:
    return HEAD + extra + b"\r\n" + body


def test_it_says_what_the_whole_look_says():
    message = scan(letter(LONG))
    assert plain_text(message) == take_inventory(message)


@pytest.mark.parametrize(
    ("body", "extra"),
    [
        (LONG + b"begin 644 a.exe\r\n#35J0\r\n`\r\nend\r\n", b""),
        (LONG + b"=ybegin line=128 size=3 name=a.exe\r\nabc\r\n=yend size=3\r\n", b""),
        (LONG + b"begin-base64 644 a.exe\r\nTVqQAAMA\r\n====\r\n", b""),
        (LONG + b"Content-Transfer-Encoding: base64\r\n\r\nTVqQAAMA\r\n", b""),
        (LONG + b"PK\x05\x06" + bytes(18), b""),
        (LONG, b"Content-Type: text/plain; name=a.exe\r\n"),
        (LONG, b"Content-Disposition: attachment; filename=a.exe\r\n"),
        (LONG, b"Content-Type: text/html\r\n"),
        (LONG, b"Content-Transfer-Encoding: base64\r\n"),
        (LONG, b"Content-Type: text/plain\r\nContent-Type: application/octet-stream\r\n"),
    ],
)
def test_whatever_could_hide_something_goes_to_a_worker(body, extra):
    assert plain_text(scan(letter(body, extra))) is None


def test_an_executable_called_text_goes_to_a_worker():
    assert plain_text(scan(letter(b"MZ\x90\0\x03" + bytes(60) + LONG))) is None
