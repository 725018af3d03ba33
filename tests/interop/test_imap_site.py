"""The served site: a letter sent by submission is read by IMAP and POP3, by whom it is for and by nobody else."""

from __future__ import annotations

import imaplib
import poplib
import smtplib
import time

import pytest

from tests.site import DOMAIN, PASSWORDS

LETTER = (
    "From: minhnv@{domain}\r\nTo: khaintm@{domain}\r\nSubject: {subject}\r\n"
    "Date: Mon, 23 Nov 2026 10:00:00 +0700\r\n"
    "Message-ID: <{subject}@{domain}>\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n\r\nXin chào\r\n"
)


def send(site, subject: str) -> None:
    with smtplib.SMTP("localhost", site.port("submission")) as client:
        client.starttls(context=site.tls())
        client.login(f"minhnv@{DOMAIN}", PASSWORDS["minhnv"])
        letter = LETTER.format(domain=DOMAIN, subject=subject).encode()
        client.sendmail(f"minhnv@{DOMAIN}", [f"khaintm@{DOMAIN}"], letter)


def test_sent_and_read(site):
    client = imaplib.IMAP4_SSL("localhost", site.port("imaps"), ssl_context=site.tls())
    client.login(f"khaintm@{DOMAIN}", PASSWORDS["khaintm"])
    before = int(client.select("INBOX")[1][0])
    send(site, "interop-imap")
    end_at = time.monotonic() + 5
    while int(client.select("INBOX")[1][0]) == before and time.monotonic() < end_at:
        client.noop()
    found = client.search(None, "SUBJECT", "interop-imap")[1][0]
    assert found
    text = client.fetch(found.split()[-1].decode(), "(BODY[])")[1][0][1]
    assert b"Xin ch\xc3\xa0o" in text and b"\r\n" in text
    client.logout()
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        other = imaplib.IMAP4_SSL("localhost", site.port("imaps"), ssl_context=site.tls())
        other.login(f"khaintm@{DOMAIN}", PASSWORDS["minhnv"])
    with pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED"):
        imaplib.IMAP4("localhost", site.port("imap")).login(f"khaintm@{DOMAIN}", PASSWORDS["khaintm"])
    drop = poplib.POP3_SSL("localhost", site.port("pop3s"), context=site.tls())
    drop.user(f"khaintm@{DOMAIN}")
    drop.pass_(PASSWORDS["khaintm"])
    count = drop.stat()[0]
    assert any(b"Subject: interop-imap" in line for line in drop.top(count, 0)[1])
    drop.quit()
