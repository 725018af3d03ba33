"""Delivery reports as other programs read them; the stdlib's parser is the other reader."""

from __future__ import annotations

import email
import email.policy

import pytest

from bdmta.queue.dsn import Reporting, compose_report, xtext_decoded
from bdmta.queue.outcome import by_reply
from bdmta.queue.recipients import Report, after, report_due
from bdmta.queue.schedule import Schedule
from storage.letter import Letter
from storage.spool_entry import QueueEntry, QueueRecipient

AT = 1_795_000_000.0
BY = Reporting("mail.binhduong.gov.vn", "postmaster@binhduong.gov.vn", 7 * 3600, 432_000.0)
LETTER = (
    "Return-Path: <minhnv@binhduong.gov.vn>\r\nReceived: from x\r\n\tby y; z\r\nFrom: <minhnv@binhduong.gov.vn>\r\n"
    "Subject: =?utf-8?B?QsOhbyBjw6Fv?=\r\nMessage-ID: <1@binhduong.gov.vn>\r\n\r\nNội dung mật.\r\n"
).encode()


def entry(**fields):
    return QueueEntry("q1", "minhnv@binhduong.gov.vn", received_at=AT, **fields)


def tried(address="a@there.example", reply=(550, "5.1.1 No such user"), **fields):
    outcome = by_reply(*reply, "mx.there.example[192.0.2.1]", is_last=True)
    return after(QueueRecipient(address, **fields), outcome, entry(), Schedule(), AT + 60, 0.5)


def read(report, *recipients, letter=LETTER, **fields):
    octets = compose_report(
        report, recipients, entry(**fields), Letter.from_octets([letter]), BY, reference="r1", now=AT + 60
    )
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    message = email.message_from_bytes(octets, policy=email.policy.SMTP)
    return message, list(message.iter_parts())


def test_a_failure_as_rfc_3464_has_it():
    orcpt = "rfc822;a+2Bb@there.example"
    message, (text, status, headers) = read(Report.FAILED, tried(dsn_orcpt=orcpt), dsn_envid="QQ+2B314")
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["To"].addresses[0].addr_spec == "minhnv@binhduong.gov.vn"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["In-Reply-To"] == "<1@binhduong.gov.vn>"
    assert message["Date"].datetime.timestamp() == AT + 60
    about, recipient = status.get_payload()
    assert about["Reporting-MTA"] == "dns; mail.binhduong.gov.vn"
    assert about["Original-Envelope-Id"] == "QQ+314"
    assert recipient["Original-Recipient"] == "rfc822; a+b@there.example"
    assert recipient["Final-Recipient"] == "rfc822; a@there.example"
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.1.1")
    assert recipient["Remote-MTA"] == "dns; mx.there.example"
    assert recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 No such user"
    words = text.get_content()
    vietnamese, english = words.index("KHÔNG chuyển được"), words.index("could NOT be delivered")
    assert vietnamese < english
    assert "địa chỉ người nhận không tồn tại" in words
    assert headers.get_content_type() == "text/rfc822-headers"
    assert "Subject: =?utf-8?B?QsOhbyBjw6Fv?=" in headers.get_payload()
    assert "mật" not in message.as_string()


def test_the_whole_letter_comes_back_only_when_it_failed_and_that_was_asked_for():
    _, (_, _, whole) = read(Report.FAILED, tried(), dsn_ret="FULL")
    assert whole.get_content_type() == "message/rfc822"
    assert "Nội dung mật." in whole.get_payload(0).get_payload(decode=True).decode()
    _, (_, _, part) = read(Report.DELAYED, tried(reply=(451, "4.7.1 Later")), dsn_ret="FULL")
    assert part.get_content_type() == "text/rfc822-headers"


@pytest.mark.parametrize(
    ("report", "reply", "action", "status"),
    [
        (Report.DELAYED, (451, "4.7.1 Later"), "delayed", "4.7.1"),
        (Report.RELAYED, (250, "2.0.0 OK"), "relayed", "2.0.0"),
        (Report.DELIVERED, (250, "OK"), "delivered", "2.0.0"), (Report.FAILED, (554, "No"), "failed", "5.0.0"),
    ],
)  # fmt: skip
def test_each_kind_of_news(report, reply, action, status):
    _, (_, part, _) = read(report, tried(reply=reply))
    recipient = part.get_payload()[1]
    assert (recipient["Action"], recipient["Status"]) == (action, status)
    assert (recipient["Will-Retry-Until"] is not None) is (report is Report.DELAYED)


def test_what_a_peer_says_cannot_write_fields_or_lines():
    evil = tried(reply=(550, "5.1.1 x\r\nBcc: <victim@example>\r\n\r\nbody\u202e\x00" + "y" * 5000))
    message, (_, status, _) = read(Report.FAILED, evil)
    recipient = status.get_payload()[1]
    assert recipient["Bcc"] is None
    assert message["Bcc"] is None
    assert len(recipient["Diagnostic-Code"]) < 600


def test_addresses_outside_ascii_and_huge_headers():
    address = "ngọc@thư.example"
    big = LETTER.replace(b"Subject:", b"X-Long: " + b"z" * 900 + b"\r\n" + b"X: y\r\n" * 20_000 + b"Subject:")
    _, (text, status, headers) = read(Report.FAILED, tried(address), letter=big)
    assert status.get_payload()[1]["Final-Recipient"].replace(" ", "") == r"utf-8;ng\x{1ECD}c@th\x{1B0}.example"
    assert address in text.get_content()
    assert len(headers.get_payload()) <= 65_536 * 1.1


def test_xtext_is_undone_on_one_line():
    assert xtext_decoded("a+2Bb+3D") == "a+b="
    assert "\n" not in xtext_decoded("a+0D+0Ab")


@pytest.mark.parametrize(
    ("notify", "reply", "told"),
    [
        ("", (550, "x"), Report.FAILED), ("FAILURE", (550, "x"), Report.FAILED), ("DELAY,SUCCESS", (550, "x"), None),
        ("NEVER", (550, "x"), None), ("", (250, "x"), None), ("SUCCESS", (250, "x"), Report.RELAYED),
        ("failure,success", (250, "x"), Report.RELAYED), ("NEVER", (250, "x"), None), ("", (450, "x"), None),
    ],
)  # fmt: skip
def test_who_is_told_what(notify, reply, told):
    recipient = tried(reply=reply, dsn_notify=notify)
    assert report_due(recipient, entry(), Schedule(), AT + 60) is told
    nobody = QueueEntry("q1", "", received_at=AT)
    assert report_due(recipient, nobody, Schedule(), AT + 10**6) is None
