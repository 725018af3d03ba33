"""Replay: a rule that was not there when letters came, asked about them now."""

import smtplib

from tests.site import DOMAIN


def test_letters_that_came_before_a_rule_are_reported_without_content(own_site):
    site = own_site({"dns": {"servers": "[]"}})
    chain = site.folder / "policies.toml"
    whole = chain.read_text()
    chain.write_text('[[policy]]\nuse = "policies.sender"\n')
    site.start()
    exe = 'From: a@example.org\r\nSubject: hidden words\r\nContent-Type: application/octet-stream; name="a.exe"\r\n\r\nMZ\r\n'
    plain = "From: a@example.org\r\nSubject: plain\r\n\r\nbody\r\n"
    with smtplib.SMTP("127.0.0.1", site.port("smtp")) as client:
        client.sendmail("a@example.org", [f"minhnv@{DOMAIN}", f"khaintm@{DOMAIN}"], exe)
        client.sendmail("a@example.org", [f"minhnv@{DOMAIN}"], plain)
    chain.write_text(whole)
    (row,) = site.json("policy", "replay", "--since", "2026-01-01")
    assert (row["verdict"], row["policy"]) == ("reject", "attachments")
    assert sorted(row["mailboxes"]) == [f"khaintm@{DOMAIN}", f"minhnv@{DOMAIN}"]
    assert any(row["reference"].encode() in one for one in site.letters("minhnv"))  # of one second, in either order
    assert "hidden" not in site.run("policy", "replay", "--since", "2026-01-01").stdout
    assert site.json("policy", "replay", "--since", "2999-01-01") == []
    assert site.run("policy", "replay", "--since", "soon", check=False).returncode == 2
    assert len(site.letters("minhnv")) == 2
