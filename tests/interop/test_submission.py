"""Letters handed in by the programs that people use, and what lies in the mailboxes afterwards."""

from __future__ import annotations

import email
import email.policy
import os
import shutil
import smtplib
import subprocess

import pytest

from tests.site import DOMAIN, PASSWORDS
from tests.system.wire import here, office

BODY = "Kính gửi anh chị,\r\n\r\n.một dòng bắt đầu bằng dấu chấm\r\n\ttab và dấu cách cuối dòng \r\n..\r\nHết.\r\n"
USER, PASSWORD = here("minhnv"), PASSWORDS["minhnv"]
WAYS = [("submission", "PLAIN"), ("submission", "LOGIN"), ("submissions", "PLAIN"), ("submissions", "LOGIN")]
IDS = ["587-PLAIN", "587-LOGIN", "465-PLAIN", "465-LOGIN"]


def needs(tool):
    """Run with `-m interop` only, where the program is installed; what smtplib does runs always."""

    def mark(test):
        skip = pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")
        return pytest.mark.interop(skip(test))

    return mark


@pytest.fixture
def boxes(site):
    """Two fresh mailboxes: one named in To, one in Bcc."""
    names = [f"it{os.urandom(4).hex()}" for _ in range(2)]
    for name in names:
        office(site, "mailbox_add", address=here(name), name=name)
    return names


@pytest.fixture
def octets(boxes):
    """What the program is given; neither Date nor Message-ID."""
    to, blind = boxes
    head = f"From: Nguyen Van Minh <{USER}>\r\nTo: <{here(to)}>\r\nBcc: <{here(blind)}>\r\nSubject: Thu\r\n"
    return (head + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + BODY).encode()


@pytest.fixture
def file(tmp_path, octets):
    path = tmp_path / "letter.eml"
    path.write_bytes(octets)
    return path


def check(site, boxes):
    """The letter lies in both new/, as one file, complete, with its body as it was."""
    files = [list((site.mailbox(name) / "new").iterdir()) for name in boxes]
    assert [len(found) for found in files] == [1, 1]
    assert files[0][0].stat().st_ino == files[1][0].stat().st_ino
    kept = files[0][0].read_bytes()
    assert kept.startswith(f"Return-Path: <{USER}>\r\nReceived: from ".encode())
    head, _, body = kept.partition(b"\r\n\r\n")
    assert body == BODY.encode()
    assert b"\r\nbcc:" not in head.lower()
    assert boxes[1].encode() not in kept
    read = email.message_from_bytes(kept, policy=email.policy.default)
    assert "ESMTPSA" in read["received"]
    assert read["date"].datetime is not None
    assert "@" in read["message-id"]
    assert read["to"] == here(boxes[0])
    assert f"by mail.{DOMAIN}" in read["received"]


def run(command, **more):
    done = subprocess.run(command, capture_output=True, timeout=60, **more)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


@needs("swaks")
@pytest.mark.parametrize(("listener", "mechanism"), WAYS, ids=IDS)
def test_swaks(site, boxes, file, listener, mechanism):
    file.write_bytes(file.read_bytes().removesuffix(b"\r\n"))  # it adds one line end of its own
    run(
        ["swaks", "--server", "127.0.0.1", "--port", str(site.port(listener)), "--from", USER,
         "--to", ",".join(map(here, boxes)), "--auth", mechanism, "--auth-user", USER, "--auth-password", PASSWORD,
         "--tls" if listener == "submission" else "--tls-on-connect",
         "--data", f"@{file}"]
    )  # fmt: skip
    check(site, boxes)


@needs("curl")
@pytest.mark.parametrize(("listener", "mechanism"), WAYS, ids=IDS)
def test_curl(site, boxes, file, listener, mechanism):
    scheme = "smtp" if listener == "submission" else "smtps"
    run(
        ["curl", "--silent", "--show-error", "--url", f"{scheme}://localhost:{site.port(listener)}/client.example",
         "--ssl-reqd", "--cacert", str(site.folder / "tls" / "ca.pem"), "--user", f"{USER}:{PASSWORD}",
         "--login-options", f"AUTH={mechanism}", "--mail-from", USER,
         *(word for name in boxes for word in ("--mail-rcpt", here(name))), "--upload-file", str(file)]
    )  # fmt: skip
    check(site, boxes)


@needs("msmtp")
@pytest.mark.parametrize(("listener", "mechanism"), WAYS, ids=IDS)
def test_msmtp(site, boxes, octets, listener, mechanism):
    run(
        ["msmtp", "--file=/dev/null", "--host=localhost", f"--port={site.port(listener)}", "--tls=on",
         f"--tls-starttls={'on' if listener == 'submission' else 'off'}",
         f"--tls-trust-file={site.folder / 'tls' / 'ca.pem'}", f"--auth={mechanism.lower()}", f"--user={USER}",
         "--passwordeval=cat $SECRET", f"--from={USER}", "--set-date-header=off", "--set-msgid-header=off",
         "--remove-bcc-headers=off", "--", *map(here, boxes)],
        input=octets.replace(b"\r\n", b"\n"), env=os.environ | {"SECRET": _secret(site)},
    )  # fmt: skip
    check(site, boxes)


def _secret(site):
    path = site.folder / "secret"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize(("listener", "mechanism"), WAYS, ids=IDS)
def test_smtplib(site, boxes, octets, listener, mechanism):
    if listener == "submissions":
        client = smtplib.SMTP_SSL("localhost", site.port(listener), context=site.tls(), timeout=20)
    else:
        client = smtplib.SMTP("localhost", site.port(listener), timeout=20)
        client.starttls(context=site.tls())
    with client:
        client.ehlo()
        client.user, client.password = USER, PASSWORD
        object_ = client.auth_plain if mechanism == "PLAIN" else client.auth_login
        code, _ = client.auth(mechanism, object_)
        assert code == 235
        assert client.sendmail(USER, [*map(here, boxes)], octets) == {}
    check(site, boxes)


@needs("openssl")
@pytest.mark.parametrize("version", ["tls1", "tls1_1"])
def test_old_tls_is_not_spoken(site, version):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{site.port('submissions')}", f"-{version}",
         "-cipher", "ALL:@SECLEVEL=0"],
        input=b"", capture_output=True, timeout=30,
    )  # fmt: skip
    assert b"BEGIN CERTIFICATE" not in done.stdout
