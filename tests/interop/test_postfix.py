"""Debian's Postfix and we exchange letters, TLS required both ways; bounces and reports of delivery cross, too. As root."""

from __future__ import annotations

import email
import email.policy
import os
import shutil
import smtplib
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.site import DOMAIN, PASSWORDS
from tests.system.wire import here, letter, submit

THERE = "postfix.example"
_USER_ID = 2000
_MAIN_CF = """compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.postfix.example
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
virtual_mailbox_domains = {there}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{ lan@{there}=lan/ }}
virtual_uid_maps = static:2000
virtual_gid_maps = static:2000
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {folder}/cert.pem
smtpd_tls_key_file = {folder}/key.pem
smtpd_tls_received_header = yes
smtp_tls_security_level = secure
smtp_tls_CAfile = {ca}
smtp_host_lookup = native
smtputf8_enable = yes
transport_maps = inline:{{ {here}=smtp:[localhost]:{port} }}
"""
_MASTER_CF = """127.0.0.1:{port} inet n - n - - smtpd
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
error     unix  - - n - - error
retry     unix  - - n - - error
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """An instance in a folder of its own, with one mailbox, lan; it sends our domain's letters to `site` alone."""

    def __init__(self, site, port: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="postfix."))
        self.folder.chmod(0o755)
        self.port = port
        for sub in ("etc", "queue", "data", "mail"):
            (self.folder / sub).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        os.chown(self.folder / "mail", _USER_ID, _USER_ID)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mx.postfix.example",
             "-keyout", self.folder / "key.pem", "-out", self.folder / "cert.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
        ca = self.folder / "ca.pem"
        shutil.copy(site.folder / "tls" / "ca.pem", ca)
        ca.chmod(0o644)
        main = _MAIN_CF.format(folder=self.folder, there=THERE, here=DOMAIN, port=site.port("smtp"), ca=ca)
        (self.folder / "etc" / "main.cf").write_text(main)
        (self.folder / "etc" / "master.cf").write_text(_MASTER_CF.format(port=port))
        self._command("start")

    def _command(self, word: str) -> None:
        subprocess.run(["postfix", "-c", self.folder / "etc", word], capture_output=True, timeout=60)

    def stop(self) -> None:
        self._command("stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def letters(self) -> list[bytes]:
        new = self.folder / "mail" / "lan" / "new"
        return [path.read_bytes() for path in sorted(new.iterdir())] if new.is_dir() else []

    def log(self) -> str:
        try:
            return (self.folder / "mail.log").read_text()[-3000:]
        except FileNotFoundError:
            return "no log"

    def hand_in(self, to: str, octets: bytes, options: tuple[str, ...] = ()) -> None:
        with smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.example", timeout=20) as client:
            client.starttls()
            client.sendmail(f"lan@{THERE}", [to], octets, rcpt_options=options)


def wait(is_so, *, of: Postfix, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, of.log()
        time.sleep(0.05)


@pytest.fixture
def pair(own_site):
    """Our site and Postfix, each the other's next hop."""
    if shutil.which("postfix") is None or os.geteuid() != 0:
        pytest.skip("needs Debian's postfix, and root")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    site = own_site({"dns": {"servers": "[]"}, "transport": {"routes": f'["{THERE} = 127.0.0.1:{port} tls=encrypt"]'}})
    site.start()
    postfix = Postfix(site, port)
    try:
        yield site, postfix
    finally:
        postfix.stop()


pytestmark = pytest.mark.interop


def test_postfix_takes_our_letters_over_tls(pair):
    site, postfix = pair
    body = "Kính gửi chị Lan.\r\n.chấm\r\n..\r\n" + "x" * 990 + "\r\n" + "dài " * 400
    assert submit(site, letter(body, author=here("minhnv")), f"lan@{THERE}")
    wait(postfix.letters, of=postfix)
    (taken,) = postfix.letters()
    assert b"\nDKIM-Signature: v=1; " in taken
    assert b"using TLSv1.3" in taken
    assert b"by mx.postfix.example (Postfix) with ESMTPS id" in taken
    read = email.message_from_bytes(taken, policy=email.policy.default)
    assert read.get_content().replace("\r", "").split("\n")[1] == ".chấm"
    site.wait_for(lambda: site.json("queue", "list") == [])
    (sent,) = [fact for fact in site.json("trace", f"lan@{THERE}") if fact["event"] == "sent"]
    assert sent["detail"]["tls"].startswith("TLSv1.3")


def test_we_take_the_letters_of_postfix_over_tls_that_it_verifies(pair):
    site, postfix = pair
    postfix.hand_in(here("minhnv"), letter("Chào anh Minh.\r\n.x", author=f"lan@{THERE}"))
    wait(lambda: site.letters("minhnv"), of=postfix)
    (received,) = site.letters("minhnv")
    head = received.partition(b"\r\n\r\n")[0]
    assert head.startswith(f"Return-Path: <lan@{THERE}>\r\n".encode())
    assert b"with ESMTPS id" in head
    assert received.endswith("Chào anh Minh.\r\n.x\r\n".encode())


def test_whom_postfix_does_not_know_comes_back_and_whom_we_do_not_know_goes_back(pair):
    site, postfix = pair
    assert submit(site, letter(author=here("minhnv")), f"nobody@{THERE}")
    wait(lambda: site.letters("minhnv"), of=postfix)
    (report,) = site.letters("minhnv")
    assert b"Action: failed\r\nStatus: 5.1.1\r\n" in report
    postfix.hand_in(here("nobody"), letter(author=f"lan@{THERE}"))
    wait(postfix.letters, of=postfix)
    (theirs,) = postfix.letters()
    assert b"Action: failed" in theirs
    assert b"550 5.1.1" in theirs


def _report(octets: bytes) -> email.message.Message:
    """The block about the recipient in a delivery report."""
    message = email.message_from_bytes(octets, policy=email.policy.default)
    status = next(part for part in message.walk() if part.get_content_type() == "message/delivery-status")
    return list(status.get_payload())[1]


@pytest.mark.skipif(shutil.which("swaks") is None, reason="swaks is not installed")
def test_swaks_gets_a_success_report_from_postfix_and_from_us(pair, tmp_path):
    site, postfix = pair
    path = tmp_path / "letter.eml"
    path.write_bytes(letter(author=here("minhnv")))
    for number, to in enumerate((f"lan@{THERE}", here("khaintm")), 1):
        asked = f"{to}> NOTIFY=SUCCESS ORCPT=rfc822;{to}"  # swaks closes the bracket itself, xtext may end in one
        done = subprocess.run(
            ["swaks", "--server", "127.0.0.1", "--port", str(site.port("submissions")), "--tls-on-connect", "--from",
             here("minhnv"), "--to", asked, "--auth", "PLAIN", "--auth-user", here("minhnv"), "--auth-password",
             PASSWORDS["minhnv"], "--data", f"@{path}"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        wait(lambda count=number: len(site.letters("minhnv")) == count, of=postfix)
    by_postfix, by_us = map(_report, site.letters("minhnv"))
    assert (by_postfix["Action"], by_us["Action"]) == ("delivered", "delivered")
    assert by_postfix["Original-Recipient"] == f"rfc822;lan@{THERE}>"
    assert by_us["Final-Recipient"] == f"rfc822; {here('khaintm')}"


def test_we_report_to_a_sender_at_postfix_what_was_delivered_here(pair):
    site, postfix = pair
    postfix.hand_in(here("minhnv"), letter(author=f"lan@{THERE}"), ("NOTIFY=SUCCESS",))
    wait(postfix.letters, of=postfix)
    assert _report(postfix.letters()[0])["Action"] == "delivered"
