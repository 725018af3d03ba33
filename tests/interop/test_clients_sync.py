"""mbsync and offlineimap: downloads, uploads, flags, deletions and Vietnamese folders, both ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.mutf7 import mutf7_encode
from tests.interop.fixtures.account import NFC, NFD, PASSWORD, Account, letter, needs, restart_without_index
from tests.interop.fixtures.maildirs import local_letters, make_maildir, set_local_flags
from tests.site import SiteUnderTest

pytestmark = pytest.mark.interop

MBSYNCRC = """
IMAPStore far
Host localhost
Port {port}
User {user}
Pass {password}
SSLType IMAPS
CertificateFile {ca}
PipelineDepth 20

MaildirStore near
Path {home}/mail/
Inbox {home}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
"""
OFFLINEIMAPRC = """
[general]
accounts = own
metadata = {home}/state
ui = basic
[Account own]
localrepository = near
remoterepository = far
utf8foldernames = yes
[Repository near]
type = Maildir
localfolders = {home}/mail
[Repository far]
type = IMAP
remotehost = localhost
remoteport = {port}
remoteuser = {user}
remotepass = {password}
ssl = yes
sslcacertfile = {ca}
expunge = yes
"""


@pytest.fixture
def served(own_site, tmp_path: Path) -> Account:
    running: SiteUnderTest = own_site({"limits": {"auth_backoff_s": "0"}, "dns": {"servers": "[]"}})
    running.start()
    home = tmp_path / "home"
    (home / "mail").mkdir(parents=True)
    return Account(running, "minhnv", home)


def configure(account: Account, name: str, text: str) -> None:
    filled = text.format(
        port=account.site.port("imaps"), user=account.address, password=PASSWORD, ca=account.ca, home=account.home
    )
    (account.home / name).write_text(filled)


def both_ways(account: Account, sync, local) -> None:
    """Letters and flags go down and up, deletions too. `local(folder)`: where the client keeps it."""
    account.put("mot", "hai", "ba")
    account.put("bon", folder="Archive", flags="\\Seen")
    sync()
    inbox = local_letters(local("INBOX"))
    assert set(inbox) == {"mot", "hai", "ba"}
    assert local_letters(local("Archive"))["bon"].name.endswith("S")
    assert inbox["mot"].read_bytes().endswith("Kính gửi các đơn vị.\n".encode()) or b"\r\n" in inbox["mot"].read_bytes()
    set_local_flags(inbox["mot"], "FS")
    inbox["hai"].unlink()
    (local("INBOX") / "new" / "1.x.y").write_bytes(letter("nam").replace(b"\r\n", b"\n"))
    with account.imap() as client:
        client.select("INBOX")
        number = client.search(None, "SUBJECT", "ba")[1][0].decode()
        client.store(number, "+FLAGS", "(\\Answered)")
    sync()
    assert set(account.subjects()) == {"mot", "ba", "nam"}
    assert account.subjects()["mot"] == "FS"
    assert account.subjects()["ba"] == "R"
    inbox = local_letters(local("INBOX"))
    assert set(inbox) == {"mot", "ba", "nam"}
    assert "R" in inbox["ba"].name.partition(":2,")[2]
    with account.imap() as client:
        client.select("INBOX")
        number = client.search(None, "SUBJECT", "mot")[1][0].decode()
        client.store(number, "+FLAGS", "(\\Deleted)")
        client.expunge()
    sync()
    assert set(local_letters(local("INBOX"))) == {"ba", "nam"}


def snapshot(folder: Path) -> dict[str, int]:
    """Every local letter and its inode: what is downloaded again is another file."""
    return {str(path): path.stat().st_ino for path in folder.rglob("*") if path.parent.name in ("cur", "new")}


@needs("mbsync")
def test_mbsync_both_ways(served: Account) -> None:
    configure(served, "mbsyncrc", MBSYNCRC)
    both_ways(served, lambda: served.run("mbsync", "-c", "mbsyncrc", "-a"), (served.home / "mail").joinpath)


@needs("mbsync")
def test_mbsync_vietnamese_folders(served: Account) -> None:
    """A folder made here appears there and back; NFC and NFD are one folder."""
    configure(served, "mbsyncrc", MBSYNCRC)
    with served.imap() as client:
        assert client.create(f'"{mutf7_encode(NFD)}"')[0] == "OK"
    served.put("den", folder=f'"{mutf7_encode(NFC)}"')
    served.run("mbsync", "-c", "mbsyncrc", "-a")
    mail = served.home / "mail"
    assert set(local_letters(mail / mutf7_encode(NFC))) == {"den"}
    ours = make_maildir(mail / mutf7_encode("Công văn đi"))
    (ours / "new" / "1.x.y").write_bytes(letter("di").replace(b"\r\n", b"\n"))
    served.run("mbsync", "-c", "mbsyncrc", "-a")
    assert set(served.subjects("Công văn đi")) == {"di"}


@needs("mbsync")
def test_mbsync_downloads_nothing_again(served: Account) -> None:
    """Deleting the index files and restarting keeps UIDVALIDITY, UIDs and flags (contract 5)."""
    configure(served, "mbsyncrc", MBSYNCRC)
    served.put(*(f"thu {number}" for number in range(40)))
    served.put("sent", folder="Sent", flags="\\Seen")
    served.run("mbsync", "-c", "mbsyncrc", "-a")
    before = snapshot(served.home / "mail")
    assert len(before) == 41
    restart_without_index(served.site)
    served.run("mbsync", "-c", "mbsyncrc", "-a")
    assert snapshot(served.home / "mail") == before
    assert len(served.files()) == 40


@needs("offlineimap")
def test_offlineimap_both_ways(served: Account) -> None:
    configure(served, "offlineimaprc", OFFLINEIMAPRC)
    both_ways(served, lambda: served.run("offlineimap", "-c", "offlineimaprc", "-o"), (served.home / "mail").joinpath)


@needs("offlineimap")
def test_offlineimap_vietnamese_folders(served: Account) -> None:
    configure(served, "offlineimaprc", OFFLINEIMAPRC)
    with served.imap() as client:
        assert client.create(f'"{mutf7_encode(NFC)}"')[0] == "OK"
    served.put("den", folder=f'"{mutf7_encode(NFC)}"')
    served.run("offlineimap", "-c", "offlineimaprc", "-o")
    assert set(local_letters(served.home / "mail" / NFC)) == {"den"}
    ours = make_maildir(served.home / "mail" / "Công văn đi")
    (ours / "new" / "1.x.y").write_bytes(letter("di").replace(b"\r\n", b"\n"))
    served.run("offlineimap", "-c", "offlineimaprc", "-o")
    assert set(served.subjects("Công văn đi")) == {"di"}
