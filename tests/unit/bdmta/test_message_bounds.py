"""What strangers send to stop us, by the threat list's classes; times are five times and more what was seen."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from bdmta.message import Message, scan
from bdmta.message.addresses import mailboxes
from bdmta.message.transfer import decoded, uuencoded_files
from bdmta.message.words import header_text


def looked_at(octets: bytes) -> Message:
    """Everything that is decoded late, decoded."""
    message = scan(octets)
    for part in message.walk():
        assert isinstance(part.names, tuple)
        assert isinstance(part.parameters, dict)
        assert isinstance(part.disposition_parameters, dict)
        assert all(isinstance(header.text, str) for header in part.headers)
    return message


def fastest_ms(action: Callable[[], object], tries: int = 3) -> float:
    best = float("inf")
    for _ in range(tries):
        start = time.process_time()
        action()
        best = min(best, time.process_time() - start)
    return best * 1000


def typed(value: bytes) -> bytes:
    return b"Content-Type: " + value + b"\r\n\r\nx"


MULTIPART = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
NESTED = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(2000))
DASHES = b"".join(
    b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n" % (b"-" * (60 - n), b"-" * (60 - n))
    for n in range(20)
)


def test_semicolon_bomb_of_cpython_gh_136063() -> None:
    octets = typed(b"text/plain" + b";" * 20_000)
    assert looked_at(octets).root.media_type == "text/plain"
    assert fastest_ms(lambda: looked_at(octets)) < 5


def test_two_thousand_nested_multiparts() -> None:
    message = looked_at(NESTED)
    assert "depth" in message.defects
    assert max(part.depth for part in message.walk()) == 20
    assert fastest_ms(lambda: looked_at(NESTED)) < 50


def test_two_thousand_nested_letters() -> None:
    assert looked_at(b"Content-Type: message/rfc822\r\n\r\n" * 2000).defects == ("depth",)


def test_a_hundred_thousand_addresses_of_cve_2024_23184() -> None:
    value = b", ".join(b"a%d@b" % number for number in range(100_000))
    assert len(mailboxes(value)) == 1000
    assert fastest_ms(lambda: mailboxes(value)) < 100


def test_rfc2231_parameter_bomb_of_cve_2026_27859() -> None:
    octets = typed(b"a/b" + b"".join(b"; name*%d*=%%41%%41" % number for number in range(12_000)))
    message = looked_at(octets)
    assert "parameters" in message.defects
    assert message.root.names[0] == "A" * 200
    assert fastest_ms(lambda: looked_at(octets)) < 50


def test_duplicate_headers_all_stand_there() -> None:
    assert len(scan(b"From: a@b\r\n" * 2 + b"\r\n").all("from")) == 2


@pytest.mark.parametrize(
    ("octets", "defect"),
    [
        (b"A: b\r\n" * 1001 + b"\r\n", "headers"),
        (b"A: " + b"b" * 300_000 + b"\r\n\r\n", "header-block"),
        (MULTIPART + b"--b\r\n\r\n" * 2000, "parts"),
        (typed(b"a/b" + b";a=b" * 101), "parameters"),
        (typed(b"a/b" + b";a" * 200), "parameters"),
        (MULTIPART + (b"--b\r\nContent-Type: message/rfc822\r\n\r\n\r\n") * 999, "parts"),
    ],
)
def test_over_a_bound_is_said(octets: bytes, defect: str) -> None:
    message = looked_at(octets)
    assert defect in message.defects
    assert sum(1 for _ in message.walk()) <= 1000


@pytest.mark.parametrize(
    "octets",
    [
        typed(b"text/plain" + b"; " * 125_000),
        typed(b"text/plain; name=" + b"(" * 200_000),
        typed(b"text/plain; name=" + b"()" * 100_000),
        typed(b'text/plain; name="' + b'\\"' * 100_000),
        typed(b"text/plain" + b';name="a' * 30_000),
        typed(b"text/plain; " + b"name=a " * 35_000),
        typed(b"a/b" + b"".join(b"; n%d*=utf-8''%s" % (n, b"%41" * 800) for n in range(100))),
        typed(b'a/b; name="' + b"=?utf-8?Q?a?= " * 16_000),
        b"A: b" + b"\r\n " * 85_000 + b"\r\n\r\n",
        b"Ab\r\n" * 60_000 + b"\r\n",
        MULTIPART + b"--b" * 1_000_000,
        MULTIPART + b"--b\r\n" * 1_000_000,
        MULTIPART + b"--bx\r\n" * 500_000,
        MULTIPART + (b"--b" + b" " * 1000 + b"x\r\n") * 3000,
        MULTIPART + b"--\r\n" * 1_000_000,
        DASHES + b"\r\n" + b"-" * 1_000_000,
        DASHES + b"\r\n" + (b"-" * 58 + b"\r\n") * 20_000,
        NESTED[:2000] + b"\r\n" + b"--bx\r\n" * 200_000,
    ],
    ids=range(18),
)
def test_hostile_letters_are_read_in_linear_time(octets: bytes) -> None:
    assert fastest_ms(lambda: looked_at(octets), 2) < 500


@pytest.mark.parametrize(
    "piece", ["<", ">", "(", ")", '"', "\\", ",", "@", ":", ";", "a ", "[", "()", '""', "a<", "g:", "=?"]
)
def test_hostile_address_lists(piece: str) -> None:
    value = piece * (250_000 // len(piece))
    assert len(mailboxes(value)) <= 1000
    assert fastest_ms(lambda: mailboxes(value), 1) < 500


@pytest.mark.parametrize("value", [b"=?" * 130_000, b"=?a?q?" * 43_000, b"=?utf-8?q?a?= " * 18_000])
def test_hostile_words(value: bytes) -> None:
    assert fastest_ms(lambda: header_text(value), 1) < 200


@pytest.mark.parametrize(
    ("octets", "encoding"),
    [
        (b"A=" * 1_000_000, "base64"),
        (b"!" * 5_000_000, "base64"),
        (b" " * 2_000_000, "quoted-printable"),
        (b" x" * 1_000_000, "quoted-printable"),
        (b"=" * 2_000_000, "quoted-printable"),
        (b"=\r" * 1_000_000, "quoted-printable"),
        (b"begin 644 a\r\n" + b"\r\n" * 200_000, "x-uuencode"),
    ],
    ids=range(7),
)
def test_hostile_bodies(octets: bytes, encoding: str) -> None:
    assert fastest_ms(lambda: decoded(octets, 0, len(octets), encoding, 10_000_000), 1) < 800


def test_many_begins() -> None:
    octets = b"begin 644 a\r\nend\r\n" * 100_000
    assert len(uuencoded_files(octets, 0, len(octets), 50)) == 50


def test_a_plain_letter_is_scanned_in_well_under_100_microseconds() -> None:
    head = b"".join(b"Header-%d: a value of some length\r\n" % number for number in range(12))
    octets = head + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + b"Kinh gui quy co quan.\r\n" * 150
    assert fastest_ms(lambda: [scan(octets) for _ in range(100)]) / 100 < 0.1
