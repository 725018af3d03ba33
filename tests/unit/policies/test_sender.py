import asyncio

import pytest

from bdmta.policy import Annotate, Direction, Pass, Quarantine, Reject
from bdmta.testing import PolicyContext


def judge(headers: bytes, direction=Direction.INBOUND, **options):
    with PolicyContext("policies.sender", **options) as p:
        return asyncio.run(p.data(headers + b"\r\n\r\nbody\r\n", direction=direction))


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("name", [b"From", b"Sender", b"Subject", b"Date", b"Message-ID"])
def test_duplicate_headers_are_refused(name, direction):
    """threats: two From fields let one program check an author that another does not show."""
    letter = b"From: <a@example.org>\r\n" if name != b"From" else b""
    verdict = judge(letter + name + b": <a@example.org>\r\n" + name.upper() + b": <b@example.org>", direction)
    assert isinstance(verdict, Reject)


def test_a_plain_letter_passes():
    assert judge(b"From: A <a@example.org>\r\nSubject: x") == Pass()


def test_own_domain_from_outside_is_marked():
    verdict = judge(b"From: <minhnv@binhduong.gov.vn>")
    assert isinstance(verdict, Annotate) and verdict.headers == (("X-Bdmta-Sender", "own-domain"),)
    assert judge(b"From: <minhnv@binhduong.gov.vn>", Direction.SUBMISSION) == Pass()
    assert isinstance(judge(b"From: <m@binhduong.gov.vn>", own_domain_from_outside="reject"), Reject)


def test_an_officials_address_as_display_name_goes_to_junk():
    assert isinstance(judge(b'From: "sotttt@binhduong.gov.vn" <a@evil.example>'), Quarantine)
    assert judge(b'From: "a@evil.example" <a@evil.example>') == Pass()


@pytest.mark.parametrize("author", [b"", b"undisclosed", b"<>", b"nobody:;"])
def test_no_author(author):
    headers = b"From: " + author if author else b"Subject: x"
    assert isinstance(judge(headers), Annotate)
    assert isinstance(judge(headers, missing_from="reject"), Reject)
