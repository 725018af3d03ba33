"""POP3 by poplib and curl; fetchmail and getmail stand beside their IMAP selves in `test_imap_clients`."""

from __future__ import annotations

import poplib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.dialogue.imap.harness import PASSWORD, USER, MailServer

LETTER = b"Subject: %b\r\n\r\n.leading dot\r\nXin ch\xc3\xa0o\r\n"


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with MailServer(tmp_path / "server", plaintext=False) as running:
        for name in (b"one", b"two", b"three"):
            running.deliver(LETTER % name)
        yield running
    assert not running.errors, running.errors


def log_in(server: MailServer) -> poplib.POP3_SSL:
    client = poplib.POP3_SSL("localhost", server.ports["pop3s"], context=server.client_tls())
    client.user(USER)
    client.pass_(PASSWORD)
    return client


def test_poplib(server: MailServer) -> None:
    plain = poplib.POP3("localhost", server.ports["pop3"])
    assert "STLS" in plain.capa()
    plain.stls(server.client_tls())
    plain.user(USER)
    plain.pass_(PASSWORD)
    assert plain.stat() == (3, 3 * len(LETTER) + 11 - 6)
    ids = [line.split()[1] for line in plain.uidl()[1]]
    assert b"\r\n".join(plain.retr(2)[1]) + b"\r\n" == LETTER % b"two"
    assert plain.top(1, 1)[1] == [b"Subject: one", b"", b".leading dot"]
    plain.dele(1)
    plain.quit()
    again = log_in(server)
    assert [line.split()[1] for line in again.uidl()[1]] == ids[1:]
    # A session that breaks lets the maildrop go and removes nothing.
    again.dele(1)
    again.close()
    third = log_in(server)
    assert third.stat()[0] == 2
    third.quit()
    assert [fact["event"] for fact in server.facts.told].count("login") == 3


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(server: MailServer) -> None:
    base = ["curl", "-sS", "--cacert", str(server.cert), "-u", f"{USER}:{PASSWORD}"]
    url = f"pop3s://localhost:{server.ports['pop3s']}"
    listed = subprocess.run([*base, url], capture_output=True, timeout=30, check=True)
    assert listed.stdout.split()[::2] == [b"1", b"2", b"3"]
    got = subprocess.run([*base, f"{url}/2"], capture_output=True, timeout=30, check=True)
    assert got.stdout == LETTER % b"two"
    upgraded = f"pop3://localhost:{server.ports['pop3']}/3"
    assert (
        subprocess.run([*base, "--ssl-reqd", upgraded], capture_output=True, timeout=30, check=True).stdout
        == LETTER % b"three"
    )
