"""A served site is taken over by Dovecot and handed back, while mbsync keeps its copy: it downloads nothing again.

The pieces are in test_dovecot_maildir.py; here whole servers change places, as in a migration. As root only: Dovecot
serves no mail as root, so the tree changes its owner with its server.
"""

from __future__ import annotations

import imaplib
import os
import re
from pathlib import Path

import pytest

from storage.mutf7 import mutf7_encode
from tests.interop.fixtures.account import NFC, PASSWORD, Account, letter, needs
from tests.interop.fixtures.dovecot import dovecot
from tests.site import SiteUnderTest

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(os.getuid() != 0, reason="Dovecot's accounts need root"),
]
_FOLDER = f'"{mutf7_encode(NFC)}"'
_MBSYNCRC = """
IMAPStore far
Host localhost
Port {port}
User {user}
Pass {password}
SSLType IMAPS
CertificateFile {ca}

MaildirStore near
Path {home}/mail/
Inbox {home}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns INBOX Sent Archive &* C&*
Create Both
Expunge Both
SyncState *
"""


@pytest.fixture
def served(own_site, tmp_path: Path) -> Account:
    running: SiteUnderTest = own_site({"limits": {"auth_backoff_s": "0"}, "dns": {"servers": "[]"}})
    running.start()
    home = tmp_path / "home"
    (home / "mail").mkdir(parents=True)
    return Account(running, "minhnv", home)


def told(account: Account) -> dict[str, object]:
    """UIDVALIDITY, UIDNEXT, UIDs with flags, keywords and subscriptions, as whoever serves now tells them."""
    found: dict[str, object] = {}
    with account.imap() as client:
        for folder in ("INBOX", "Sent", _FOLDER):
            assert client.select(folder, readonly=True)[0] == "OK"
            validity = client.response("UIDVALIDITY")[1]
            uidnext = client.response("UIDNEXT")[1]
            rows = client.uid("FETCH", "1:*", "(FLAGS RFC822.SIZE)")[1]
            letters = {}
            for row in rows:
                if row:
                    text = row.decode()
                    flags = re.search(r"FLAGS \(([^)]*)\)", text)[1].split()
                    letters[re.search(r"UID (\d+)", text)[1]] = (
                        frozenset(flags) - {"\\Recent"}, re.search(r"SIZE (\d+)", text)[1],
                    )  # fmt: skip
            found[folder] = (validity, uidnext, letters)
        found["subscribed"] = {_name(line) for line in client.lsub()[1] if line}
    return found


def _name(line: bytes) -> str:
    return line.decode().rpartition(' "/" ')[2].strip('"')


def local(account: Account) -> dict[str, int]:
    mail = account.home / "mail"
    letters = (path for path in mail.rglob("*") if path.parent.name in ("cur", "new"))
    return {str(path.relative_to(mail)): path.stat().st_ino for path in letters}


def sync(account: Account) -> None:
    (account.home / "mbsyncrc").write_text(
        _MBSYNCRC.format(port=account.site.port("imaps"), user=account.address, password=PASSWORD, ca=account.ca,
                         home=account.home)
    )  # fmt: skip
    account.run("mbsync", "-c", "mbsyncrc", "-a")


@needs("dovecot")
@needs("mbsync")
def test_taken_over_and_handed_back(served: Account, tmp_path: Path) -> None:
    with served.imap() as client:
        client.create(_FOLDER)
        client.subscribe(_FOLDER)
        client.unsubscribe("Junk")
    served.put("mot", "hai", "ba")
    served.put("da gui", folder="Sent", flags="\\Seen")
    served.put("den", folder=_FOLDER, flags="\\Flagged $Label1")
    with served.imap() as client:
        client.select("INBOX")
        client.store("2", "+FLAGS", "(\\Answered $Forwarded)")
        client.store("1", "+FLAGS", "(\\Deleted)")
        client.expunge()
    ours, _ = told(served), sync(served)
    copied = local(served)
    assert len(copied) == 4
    with dovecot(served, tmp_path / "peer"):
        assert told(served) == ours
        sync(served)
        assert local(served) == copied
        with served.imap() as client:
            client.select("INBOX")
            client.store("1", "+FLAGS", "(\\Flagged NonJunk)")
            client.append("INBOX", "(\\Seen)", imaplib.Time2Internaldate(1780000000), letter("bon"))
            client.subscribe("Junk")
        theirs = told(served)
        sync(served)
        copied = local(served)
        assert len(copied) == 5
    served.site.start()
    assert told(served) == theirs
    sync(served)
    assert local(served) == copied
    served.put("nam")
    assert set(served.subjects()) == {"hai", "ba", "bon", "nam"}
    assert served.site.run("verify-store", served.address).returncode == 0
    with served.imap() as client:  # a letter that Dovecot wrote: its file has LF, and counts as that
        client.select("INBOX")
        number = client.search(None, "SUBJECT", "bon")[1][0].decode()
        client.store(number, "+FLAGS", "(\\Deleted)")
        client.expunge()
    assert served.site.run("verify-store", served.address).returncode == 0
