"""`bdmta-traffic` against servers that are not ours: Debian's Postfix, with Dovecot for LMTP, IMAP and POP3."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench.lmtp import PostfixLmtp
from bench.peers import DOMAIN

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(os.getuid() != 0, reason="Postfix wants to start as root"),
    pytest.mark.skipif(
        not shutil.which("postfix")
        or not Path("/usr/lib/dovecot/lmtp").exists()
        or not Path("/usr/lib/dovecot/pop3").exists(),
        reason="postfix, dovecot-lmtpd, dovecot-imapd or dovecot-pop3d is not installed",
    ),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def servers():
    class Reading(PostfixLmtp):
        protocols = "lmtp imap pop3"
        imap_port, pop3_port = free_port(), free_port()
        dovecot_more = f"""
disable_plaintext_auth = no
auth_mechanisms = plain login
service imap-login {{
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3_port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
namespace inbox {{
  inbox = yes
  mailbox Archive {{
    auto = create
  }}
  mailbox Sent {{
    auto = create
  }}
  mailbox Drafts {{
    auto = create
  }}
}}
"""

    top = Path(tempfile.mkdtemp(prefix="bdmta-elsewhere."))  # readable by Postfix, which tmp_path is not
    top.chmod(0o755)
    running = Reading(top / "servers", free_port())
    yield running
    running.stop()
    shutil.rmtree(top, ignore_errors=True)


def test_letters_arrive_once_and_whole_at_postfix_and_dovecot(servers, tmp_path):
    accounts = tmp_path / "accounts.csv"
    with accounts.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("address", "password"))
        rows.writerows((f"box{number:03d}@{DOMAIN}", "x") for number in range(12))
    command = [
        sys.executable, "-m", "bdmta.traffic", "run", "--accounts", accounts, "--smtp", f"127.0.0.1:{servers.port}",
        "--imap", f"127.0.0.1:{servers.imap_port}", "--pop3", f"127.0.0.1:{servers.pop3_port}", "--rate", "15", "--count", "90",
        "--mix", "inbound=3,citizens=2,bulk=2,junk=2", "--think", "0.3", "--idle", "1", "--largest", "300000", "--json", "-",
    ]  # fmt: skip
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=180)
    told = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert told["letters"]["accepted"] == 90
    assert told["checked"] == {"by": "IMAP", "promises": told["checked"]["promises"], "trouble": ""}
    assert told["checked"]["promises"] > 120
    assert {"thunderbird: move", "outlook: append", "pop3: fetch a letter"} & set(told["latencies"])
