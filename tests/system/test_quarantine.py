"""Letters held back: listed without content, released once, dropped, expired; originals of converted letters are kept."""

import email
import email.policy
import json
import smtplib

import pytest

from tests.site import DOMAIN

SPOOF = b'From: "sotttt@binhduong.gov.vn" <a@evil.example>\r\nTo: x\r\nSubject: secret words\r\n\r\nsecret body\r\n'
TCVN3 = (
    b"From: a@example.org\r\nTo: x\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\n"
    b"K\xddnh th\xada \xae\xe5ng ch\xdd Gi\xb8m \xae\xe8c, Ph\xdfng B\xadu ch\xddnh xin b\xb8o c\xb8o k\xd5t qu\xb6 r\xb5 so\xb8t danh b\xb9 th\xad \xae\xd6n t\xf6.\r\n"
)


@pytest.fixture(scope="module")
def holding(tmp_path_factory):
    from tests.site import SiteUnderTest

    site = SiteUnderTest(
        tmp_path_factory.mktemp("holding"), {"quarantine": {"delivery": '"hold"'}, "dns": {"servers": "[]"}}
    )
    site.start()
    yield site
    assert site.stop() == 0, site.log()


def send(site, octets, *recipients):
    with smtplib.SMTP("127.0.0.1", site.port("smtp")) as client:
        client.sendmail("a@evil.example", [f"{r}@{DOMAIN}" for r in recipients], octets)


def test_a_held_letter_is_listed_without_content_and_released_once(holding):
    send(holding, SPOOF, "minhnv", "khaintm")
    assert holding.letters("minhnv") == [] and holding.letters("minhnv", ".Junk") == []
    (row,) = holding.json("quarantine", "list")
    assert (row["why"], row["policy"], sorted(row["recipients"])) == (
        "held", "sender", [f"khaintm@{DOMAIN}", f"minhnv@{DOMAIN}"],
    )  # fmt: skip
    shown = holding.run("quarantine", "show", row["id"]).stdout
    assert "display-name" in shown and "secret" not in shown
    holding.run("quarantine", "release", row["id"])
    assert [len(holding.letters(who)) for who in ("minhnv", "khaintm")] == [1, 1]
    assert holding.run("quarantine", "release", row["id"], check=False).returncode == 1
    assert holding.json("quarantine", "list") == []


def test_dropping(holding):
    send(holding, SPOOF, "sotttt")
    (row,) = holding.json("quarantine", "list")
    holding.run("quarantine", "drop", row["id"])
    assert holding.json("quarantine", "list") == [] and holding.letters("sotttt") == []


def test_the_original_of_a_converted_letter_is_kept(holding):
    before = len(holding.letters("sotttt"))
    send(holding, TCVN3, "sotttt")
    letter = holding.letters("sotttt")[before]
    text = email.message_from_bytes(letter, policy=email.policy.default).get_content()
    assert "Kính thưa đồng chí" in text
    (row,) = holding.json("quarantine", "list")
    assert (row["why"], row["policy"]) == ("original", "charset")
    kept = (holding.folder / "quarantine" / f"{row['id']}.msg").read_bytes()
    assert kept.endswith(TCVN3)
    assert holding.run("quarantine", "release", row["id"], check=False).returncode == 1


def test_the_digest_goes_out_once_a_day_and_old_entries_go():
    from datetime import UTC, datetime

    from bdmta.office.quarantine import digests
    from bdmta.quarantine import Kept

    at = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
    kept = [
        Kept("a-held", "held", "sender", "x@y.example", ("m@b.vn",), at, 1, ()),
        Kept("b-original", "original", "charset", "x@y.example", ("m@b.vn",), at, 1, ()),
        Kept("c-held", "held", "sender", "", ("m@b.vn", "k@b.vn"), at - 90_000, 1, ()),
    ]
    texts = digests(kept, at - 86_400, postmaster="p@b.vn", days=30)
    assert list(texts) == ["m@b.vn"] and "a-held" in texts["m@b.vn"] and "c-held" not in texts["m@b.vn"]
    assert json.dumps(texts).count("b-original") == 0
