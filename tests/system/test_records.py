"""Audit and incidents: who did what, what was refused; no content."""

import smtplib

import pytest

from tests.site import DOMAIN


def test_audit_and_incidents(own_site):
    site = own_site({"dns": {"servers": "[]"}})
    site.start()
    exe = 'From: a@example.org\r\nSubject: hidden\r\nContent-Type: application/octet-stream; name="a.exe"\r\n\r\nMZ\r\n'
    for _ in range(2):
        with smtplib.SMTP("127.0.0.1", site.port("smtp")) as client, pytest.raises(smtplib.SMTPDataError):
            client.sendmail("a@example.org", [f"minhnv@{DOMAIN}"], exe)
    (incident,) = site.json("incident", "list")
    assert (incident["sender"], incident["policy"], incident["count"]) == ("a@example.org", "attachments", 2)
    site.run("mailbox", "suspend", f"minhnv@{DOMAIN}")
    acts = site.json("audit", "list", "--subject", f"minhnv@{DOMAIN}")
    assert [act["action"] for act in acts][:1] == ["mailbox.suspended"]
    exported = site.run("audit", "export").stdout
    assert exported.startswith("at,actor,action,subject,grounds,before,after,detail") and "mailbox.add" in exported
    assert "hidden" not in exported + str(incident)
