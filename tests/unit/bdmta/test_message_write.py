"""The one writer of header fields (threats: CRLF injection), and the letters made with it."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bdmta.message import scan
from bdmta.message.addresses import Mailbox, mailboxes
from bdmta.message.write import (
    compose_file,
    compose_multipart,
    compose_part,
    compose_text,
    date,
    field,
    kept,
    parameter,
    prepend,
    remove,
)

TEXT = "Kính gửi đồng chí,\n\nHộp thư đã dùng 95 % dung lượng.\n.\nFrom đây: =3D\n"


@pytest.mark.parametrize("value", ["a\r\nBcc: x@y", "a\nb", "a\rb", "a\0b"])
def test_a_field_refuses_line_breaks(value: str) -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        field("Subject", value)
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        parameter("filename", value)


@pytest.mark.parametrize("name", ["", "A b", "A:", "Á", "A\r\nB", "a" * 77])
def test_a_field_refuses_a_name_that_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="not a field name"):
        field(name, "x")


@pytest.mark.parametrize(
    ("name", "value", "octets"),
    [
        ("Subject", "plain", b"Subject: plain\r\n"),
        ("Subject", "", b"Subject:\r\n"),
        ("Subject", "Báo", b"Subject: =?utf-8?B?QsOhbw==?=\r\n"),
        ("From", "Bưu điện <a@b>", b"From: =?utf-8?B?QsawdSDEkWnhu4du?= <a@b>\r\n"),
        ("To", '"Lê, Bá" <a@b>, c@d', b"To: =?utf-8?B?TMOqLCBCw6E=?= <a@b>, c@d\r\n"),
        ("To", "<lê@b>", "To: <lê@b>\r\n".encode()),
    ],
)
def test_fields(name: str, value: str, octets: bytes) -> None:
    assert field(name, value) == octets


@pytest.mark.parametrize(
    "value", ["Báo cáo " * 60, "word " * 60, "x" * 3000, "ấ" * 500, "a =?utf-8?Q?b?= c", "á  b  ć"]
)
def test_long_values_fold_and_come_back(value: str) -> None:
    octets = field("Subject", value)
    assert max(len(line) for line in octets.split(b"\r\n")) <= 78
    assert all(line[:1] == b" " and line.strip() for line in octets.split(b"\r\n")[1:-1])
    assert scan(octets + b"\r\n").headers[0].text == value.strip()
    parsed = email.message_from_bytes(octets + b"\r\n", policy=email.policy.default)
    assert str(parsed["subject"]) == value.strip()


def test_an_address_longer_than_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match="998"):
        field("To", "<" + "a" * 1200 + "@b>")


def test_names_of_addresses_come_back() -> None:
    value = '"Nguyễn, Văn A" <a@b.vn>, Trần Thị Bích Ngọc <c@d.vn>, plain <e@f.vn>'
    header = scan(field("Cc", value) + b"\r\n").headers[0]
    assert mailboxes(header.value) == [
        Mailbox("Nguyễn, Văn A", "a", "b.vn"),
        Mailbox("Trần Thị Bích Ngọc", "c", "d.vn"),
        Mailbox("plain", "e", "f.vn"),
    ]


@pytest.mark.parametrize(
    "name", ["a.pdf", "a b.pdf", 'a"b\\c.pdf', "Công văn.pdf", "Công văn " * 20 + ".pdf", "50%.pdf", "a=?b"]
)
def test_parameters_come_back(name: str) -> None:
    octets = field("Content-Disposition", "attachment; " + parameter("filename", name)) + b"\r\n"
    assert max(len(line) for line in octets.split(b"\r\n")) <= 78
    assert scan(octets).root.names[0] == name
    assert email.message_from_bytes(octets, policy=email.policy.default).get_filename() == name


def test_date() -> None:
    hanoi = timezone(timedelta(hours=7))
    assert date(datetime(2009, 12, 16, 9, 5, 0, tzinfo=hanoi)) == b"Wed, 16 Dec 2009 09:05:00 +0700"
    assert date(datetime(2026, 1, 2, tzinfo=UTC)) == b"Fri, 2 Jan 2026 00:00:00 +0000"
    west = timezone(-timedelta(hours=3, minutes=30))
    assert date(datetime(2026, 1, 2, tzinfo=west)).endswith(b" -0330")
    with pytest.raises(ValueError, match="zone"):
        date(datetime(2026, 1, 2))


def test_fields_are_removed_and_prepended() -> None:
    octets = b"Bcc: a@b,\r\n c@d\r\nFrom: x@y\r\nbcc : e@f\r\nTo: z@z\r\n\r\nBcc: stays\r\n"
    message = scan(octets)
    rest = b"From: x@y\r\nTo: z@z\r\n\r\nBcc: stays\r\n"
    assert remove(octets, message, ["bcc"]) == rest
    assert b"".join(octets[start:end] for start, end in kept(message, ["Bcc"])) == rest
    assert remove(octets, message, ["Subject"]) == octets
    assert prepend(rest, field("X", "1"), field("Y", "2")) == b"X: 1\r\nY: 2\r\n" + rest


@pytest.mark.parametrize("text", [TEXT, "plain\r\n", "", "no end", "ấ" * 2000, "x" * 5000 + "\n", "a  \nb\t\n"])
def test_composed_text_is_read_back_by_both_readers(text: str) -> None:
    octets = compose_text([("From", "Bưu điện <a@b>"), ("Subject", "Thư")], text)
    expected = text.replace("\r\n", "\n").removesuffix("\n") + "\n"
    lines = octets.split(b"\r\n")
    assert octets.isascii()
    assert max(map(len, lines)) <= 78
    assert not any(b"\n" in line or b"\r" in line for line in lines)
    message = scan(octets)
    assert message.defects == ()
    assert message.root.decoded(100_000).decode().replace("\r\n", "\n") == expected
    oracle = email.message_from_bytes(octets, policy=email.policy.default)
    assert oracle.get_content().replace("\r\n", "\n") == expected


def test_a_composed_report() -> None:
    status = b"Reporting-MTA: dns; mx.binhduong.gov.vn\r\n\r\nAction: failed\r\n"
    octets = compose_multipart(
        [("Subject", "Không gửi được")],
        [
            compose_text([], TEXT),
            compose_part("message/delivery-status", status),
            compose_part("message/rfc822", b"Subject: x\r\n\r\n=_ y\r\n"),
            compose_file("application/pdf", b"%PDF-1.4" * 100, "Công văn.pdf"),
        ],
        "report",
        [("report-type", "delivery-status")],
    )
    message = scan(octets)
    kinds = [part.media_type for part in message.walk()]
    assert kinds == [
        "multipart/report", "text/plain", "message/delivery-status", "message/rfc822", "text/plain", "application/pdf",
    ]  # fmt: skip
    assert message.defects == ()
    assert message.root.parameters["report-type"] == "delivery-status"
    assert bytes(message.root.children[1].raw()) == status
    assert message.root.children[3].names == ("Công văn.pdf",)
    assert message.root.children[3].decoded(10_000) == b"%PDF-1.4" * 100
    oracle = email.message_from_bytes(octets).get_payload()
    assert [part.get_content_type() for part in oracle] == [part.media_type for part in message.root.children]


def test_a_boundary_stands_in_no_part() -> None:
    inner = compose_multipart([], [compose_text([], "a")])
    outer = compose_multipart([], [inner, compose_part("text/plain", inner)])
    assert compose_multipart([], [inner]) == compose_multipart([], [inner])
    assert [len(part.children) for part in scan(outer).walk()] == [2, 1, 0, 0]
