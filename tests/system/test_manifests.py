"""Every row of the shared corpus comes out as its manifest states: by `policy try --json`, and over SMTP.

Attachments come from outside to port 25 through the default chain. Texts are handed in by a login that owns their From;
the few whose author is foreign are given that From on the way.
"""

from __future__ import annotations

import email
import email.policy
import json
import re
import unicodedata
from pathlib import Path

import pytest

from tests.system.wire import DOMAIN, Wire, deliver, here, office

CORPUS = Path(__file__).parents[2] / "../shared/corpus"
AUTHOR, PASSWORD = "ngocttb", "Mat-khau-2030"


def rows(folder):
    """The manifest's rows, each with its file's path."""
    manifest = CORPUS / folder / "manifest.json"
    if not manifest.exists():
        return []
    return [row | {"path": manifest.parent / row["file"]} for row in json.loads(manifest.read_text())["messages"]]


ATTACHMENTS, ENCODINGS = rows("mail-attachments"), rows("mail-encodings")
pytestmark = pytest.mark.skipif(
    not (ATTACHMENTS and ENCODINGS), reason="the shared corpus does not lie beside this clone"
)


def wanted(row):
    return row["expected"].get("verdict_if_extended", row["expected"]["verdict"])


def each(given):
    return pytest.mark.parametrize("row", given, ids=[row["file"] for row in given])


def assert_reads_as(octets, expected):
    """The subject and body, decoded by another reader."""
    read = email.message_from_bytes(octets, policy=email.policy.default)
    if "subject" in expected:
        assert as_compared(str(read["subject"])) == as_compared(expected["subject"])
    if "body" in expected:
        assert as_compared(read.get_body(("plain", "html")).get_content()) == as_compared(expected["body"])


def as_compared(text):
    """TCVN3 has no toned capitals, so case does not count; what is not rewritten need not be NFC."""
    return unicodedata.normalize("NFC", text).replace("\r\n", "\n").strip().casefold()


def whole_lines(octets):
    """As a client sends it: the last line has an end."""
    return octets if octets.endswith(b"\r\n") else octets + b"\r\n"


@pytest.fixture(scope="module")
def tried(site, tmp_path_factory):
    """What `policy try --json` says of each file, several in one call, and the letters as they would be delivered."""
    out = tmp_path_factory.mktemp("tried")
    answers = {}
    for given, more in ((ATTACHMENTS, ()), (ENCODINGS, ("--direction", "submission", "--only", "policies.charset"))):
        done = site.run("policy", "try", "--json", "--out", str(out), *more, *(str(row["path"]) for row in given))
        for line in done.stdout.splitlines():
            answer = json.loads(line)
            letter = out / Path(answer["file"]).name
            answers[answer["file"]] = answer | {"letter": letter.read_bytes() if letter.exists() else None}
    return answers


@each(ATTACHMENTS + ENCODINGS)
def test_policy_try(tried, row):
    answer, expected = tried[str(row["path"])], row["expected"]
    assert answer["verdict"] + ("+transcode" if answer["rewritten"] else "") == wanted(row), answer["reply"]
    codes = {finding["code"] for step in answer["steps"] for finding in step["findings"]}
    assert codes >= set(expected.get("warnings", ()))
    if answer["verdict"] == "reject":
        assert answer["letter"] is None
    elif answer["rewritten"]:
        assert_reads_as(answer["letter"], expected)
    else:
        assert answer["letter"].endswith(whole_lines(row["path"].read_bytes()))


@each(ATTACHMENTS)
def test_attachments_over_smtp(site, mailbox, row):
    local, octets = mailbox(), whole_lines(row["path"].read_bytes())
    answer = deliver(site, octets, here(local), sender="hanhchinh@dian.example")
    kept = site.letters(local)
    if wanted(row) == "reject":
        assert answer.code in (550, 552, 554), answer.text
        assert re.match(r"5\d\d[- ]5\.", answer.text)
        assert kept == []
    else:
        assert answer.code == 250, answer.text
        assert len(kept) == 1
        assert kept[0].endswith(octets)


@pytest.fixture(scope="module")
def author(site):
    """The login to which the letters' From belongs."""
    office(site, "mailbox_add", address=here(AUTHOR), name="Trần Thị Bích Ngọc", password=PASSWORD)
    return here(AUTHOR)


def of_author(octets, author):
    """The letter with an author that belongs to the login; its text is as it was."""
    head, blank, body = octets.partition(b"\r\n\r\n")
    if b"@" + DOMAIN.encode() + b">\r\nTo:" in head:
        return octets
    head, count = re.subn(rb"(?m)^From: .*\r$", b"From: " + author.encode() + b"\r", head)
    assert count == 1
    return head + blank + body


@each(ENCODINGS)
def test_texts_over_submission(site, mailbox, author, row):
    local, octets = mailbox(), of_author(whole_lines(row["path"].read_bytes()), author)
    parameters = " SMTPUTF8 BODY=8BITMIME" if row["expected"].get("smtputf8") else ""
    with Wire(site, "submissions") as wire:
        assert wire.login(AUTHOR, PASSWORD).code == 235
        answer = wire.deliver(octets, here(local), sender=author, parameters=parameters)
    kept = site.letters(local)
    if wanted(row) == "reject":
        assert answer.code == 554, answer.text
        assert kept == []
        return
    assert answer.code == 250, answer.text
    assert len(kept) == 1
    assert_reads_as(kept[0], row["expected"])
    is_rewritten = not kept[0].endswith(octets)
    assert is_rewritten == (wanted(row) == "accept+transcode")
    assert (b"\r\nX-Bdmta-Charset: converted; " in kept[0]) == is_rewritten
