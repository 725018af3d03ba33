"""IMAP as the field's own clients speak it: each is run as its users run it, two ways where it has two."""

from __future__ import annotations

import imaplib
import os
import pty
import re
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.dialogue.imap.harness import PASSWORD, USER, MailServer

LETTER = (
    b"From: an@b.vn\r\nTo: x@d.vn\r\nSubject: %b\r\nDate: Mon, 1 Jun 2026 10:00:00 +0700\r\n"
    b"Message-ID: <%b@b.vn>\r\n\r\nXin ch\xc3\xa0o\r\n"
)
FOLDER = "C&APQ-ng v&AQM-n"  # Công văn


def needs(program: str) -> Any:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with MailServer(tmp_path / "server", plaintext=False) as running:
        for name in (b"one", b"two", b"three"):
            running.deliver(LETTER % (name, name))
        yield running
    assert not running.errors, running.errors


def run(*command: str, ok: tuple[int, ...] = (0,), **more: Any) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(command, capture_output=True, timeout=60, **more)
    assert done.returncode in ok, (command, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


def flags_and_subjects(server: MailServer, folder: str = "INBOX") -> dict[str, set[str]]:
    """What a fresh session sees."""
    client = imaplib.IMAP4_SSL("localhost", server.ports["imaps"], ssl_context=server.client_tls())
    client.login(USER, PASSWORD)
    client.select(f'"{folder}"', readonly=True)
    _, data = client.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (Subject)])")
    found = {}
    for item in data:
        if isinstance(item, tuple):
            name = re.search(rb"Subject: (\S+)", item[1])
            flags = re.search(rb"FLAGS \(([^)]*)\)", item[0])
            if name and flags:
                found[name[1].decode()] = set(flags[1].decode().split()) - {"\\Recent"}
    client.logout()
    return found


def test_imaplib(server: MailServer) -> None:
    client = imaplib.IMAP4("localhost", server.ports["imap"])
    assert client.starttls(server.client_tls())[0] == "OK"
    assert client.login(USER, PASSWORD)[0] == "OK"
    assert "CONDSTORE" in client.capabilities or client.capability()[0] == "OK"
    assert client.create(f'"{FOLDER}"')[0] == "OK"
    assert client.subscribe(f'"{FOLDER}"')[0] == "OK"
    assert any(FOLDER.encode() in line for line in client.lsub()[1])
    assert (
        client.append(f'"{FOLDER}"', "(\\Seen)", imaplib.Time2Internaldate(1780000000), LETTER % (b"four", b"four"))[0]
        == "OK"
    )
    assert client.select("INBOX")[1] == [b"3"]
    assert client.search(None, "SUBJECT", '"two"')[1] == [b"2"]
    client.literal = "chào".encode()
    assert client.search("UTF-8", "BODY")[1] == [b"1 2 3"]
    assert client.store("2", "+FLAGS", "(\\Flagged $Label1)")[0] == "OK"
    assert client.uid("COPY", "1:2", f'"{FOLDER}"')[0] == "OK"
    assert client.uid("STORE", "1", "+FLAGS", "\\Deleted")[0] == "OK"
    assert client.expunge()[1] == [b"1"]
    assert client.uid("FETCH", "2", "(RFC822)")[1][0][1] == LETTER % (b"two", b"two")
    assert client.status(f'"{FOLDER}"', "(MESSAGES UNSEEN)")[1] == [f'"{FOLDER}" (MESSAGES 3 UNSEEN 2)'.encode()]
    assert client.close()[0] == "OK"
    client.logout()
    assert flags_and_subjects(server) == {"two": {"\\Flagged", "\\Seen", "$Label1"}, "three": set()}
    events = [fact["event"] for fact in server.facts.told]
    assert "login" in events and "select" in events


def test_imapclient(server: MailServer) -> None:
    imapclient = pytest.importorskip("imapclient")
    with imapclient.IMAPClient("localhost", server.ports["imaps"], ssl_context=server.client_tls()) as client:
        client.login(USER, PASSWORD)
        client.create_folder("Công văn")
        assert "Công văn" in [name for _, _, name in client.list_folders()]
        client.select_folder("INBOX")
        client.move([1], "Công văn")
        assert client.search(["SUBJECT", "two"]) == [2]
        assert client.fetch([2], ["ENVELOPE"])[2][b"ENVELOPE"].subject == b"two"


@needs("curl")
def test_curl(server: MailServer, tmp_path: Path) -> None:
    base = ["curl", "-sS", "--cacert", str(server.cert), "-u", f"{USER}:{PASSWORD}"]
    url = f"imaps://localhost:{server.ports['imaps']}"
    assert b'"INBOX"' in run(*base, url).stdout
    assert run(*base, f"{url}/INBOX;MAILINDEX=2").stdout == LETTER % (b"two", b"two")
    letter = tmp_path / "letter"
    letter.write_bytes(LETTER % (b"curl", b"curl"))
    run(*base, "-T", str(letter), f"{url}/Sent")
    assert "curl" in flags_and_subjects(server, "Sent")
    run(*base, f"{url}/INBOX", "-X", "STORE 1 +FLAGS \\Flagged")
    plain = f"imap://localhost:{server.ports['imap']}"
    assert b"SEARCH 1" in run(*base, "--ssl-reqd", f"{plain}/INBOX?FLAGGED").stdout


MBSYNC = """
IMAPAccount box
Host localhost
Port {port}
User {user}
Pass "{password}"
SSLType IMAPS
CertificateFile {cert}
SystemCertificates no

IMAPStore far
Account box

MaildirStore near
Path {near}/
Inbox {near}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
"""


@needs("mbsync")
def test_mbsync(server: MailServer, tmp_path: Path) -> None:
    near = tmp_path / "near"
    near.mkdir()
    rc = tmp_path / "mbsyncrc"
    rc.write_text(MBSYNC.format(port=server.ports["imaps"], user=USER, password=PASSWORD, cert=server.cert, near=near))
    run("mbsync", "-c", str(rc), "-a")
    letters = [p for p in (near / "INBOX").rglob("*") if p.is_file() and p.parent.name in ("cur", "new")]
    assert len(letters) == 3
    by_name = {next(n for n in ("one", "two", "three") if f"Subject: {n}" in p.read_text()): p for p in letters}
    read = by_name["one"]
    read.rename(read.parent.parent / "cur" / (read.name.split(":")[0] + ":2,S"))
    gone = by_name["two"]
    gone.rename(gone.parent.parent / "cur" / (gone.name.split(":")[0] + ":2,T"))
    (near / "INBOX" / "cur" / "1780000001.M1.here:2,F").write_bytes(
        (LETTER % (b"near", b"near")).replace(b"\r\n", b"\n")
    )
    for part in ("cur", "new", "tmp"):
        (near / FOLDER / part).mkdir(parents=True)
    run("mbsync", "-c", str(rc), "-a")
    assert flags_and_subjects(server) == {"one": {"\\Seen"}, "three": set(), "near": {"\\Flagged"}}
    assert (server.mailbox_path / f".{FOLDER}" / "cur").is_dir()
    # The index is a cache: without it nothing is downloaded again.
    before = {p.name for p in (near / "INBOX").rglob("*") if p.is_file()}
    for file in server.index.glob("*"):
        file.unlink()
    run("mbsync", "-c", str(rc), "-a")
    assert {p.name for p in (near / "INBOX").rglob("*") if p.is_file()} == before


OFFLINEIMAP = """
[general]
accounts = a
metadata = {work}/meta
socktimeout = 30
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {work}/near
[Repository far]
type = IMAP
remotehost = localhost
remoteport = {port}
remoteuser = {user}
remotepass = {password}
ssl = yes
sslcacertfile = {cert}
"""


@needs("offlineimap")
def test_offlineimap(server: MailServer, tmp_path: Path) -> None:
    rc = tmp_path / "offlineimaprc"
    rc.write_text(
        OFFLINEIMAP.format(port=server.ports["imaps"], user=USER, password=PASSWORD, cert=server.cert, work=tmp_path)
    )
    run("offlineimap", "-c", str(rc), "-o", "-u", "basic")
    letters = [p for p in (tmp_path / "near" / "INBOX").rglob("*") if p.is_file() and p.parent.name in ("cur", "new")]
    assert len(letters) == 3
    next(p for p in letters if "Subject: two" in p.read_text()).unlink()
    read = next(p for p in letters if p.exists() and "Subject: one" in p.read_text())
    read.rename(read.parent.parent / "cur" / (read.name.split(":")[0] + ":2,FS"))
    run("offlineimap", "-c", str(rc), "-o", "-u", "basic")
    seen = flags_and_subjects(server)
    assert seen["one"] == {"\\Seen", "\\Flagged"} and "two" not in seen and "three" in seen


@needs("fetchmail")
@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_fetchmail(server: MailServer, tmp_path: Path, protocol: str) -> None:
    rc = tmp_path / "fetchmailrc"
    rc.write_text(
        f'poll localhost proto {protocol} port {server.ports[protocol + "s"]}\n user "{USER}" password "{PASSWORD}"\n'
        f' ssl sslcertck sslcertfile {server.cert} no rewrite mda "cat >> {tmp_path}/got"\n'
    )
    rc.chmod(0o600)
    environment = os.environ | {"FETCHMAILHOME": str(tmp_path), "HOME": str(tmp_path)}
    run("fetchmail", "-f", str(rc), "--nosyslog", "-d0", env=environment)
    got = (tmp_path / "got").read_bytes()
    assert [got.count(b"Subject: " + name) for name in (b"one", b"two", b"three")] == [1, 1, 1]
    assert flags_and_subjects(server) == {}


GETMAIL = """
[retriever]
type = Simple{kind}SSLRetriever
server = localhost
port = {port}
username = {user}
password = {password}
ca_certs = {cert}
[destination]
type = MDA_external
path = /usr/bin/tee
arguments = ("-a", "{work}/got")
allow_root_commands = true
[options]
delete = false
read_all = false
message_log = {work}/log
"""


@needs("getmail")
@pytest.mark.parametrize("kind", ["IMAP", "POP3"])
def test_getmail(server: MailServer, tmp_path: Path, kind: str) -> None:
    (tmp_path / "rc").mkdir()
    rc = tmp_path / "rc" / "getmailrc"
    port = server.ports[kind.lower() + "s"]
    rc.write_text(GETMAIL.format(kind=kind, port=port, user=USER, password=PASSWORD, cert=server.cert, work=tmp_path))
    environment = os.environ | {"HOME": str(tmp_path)}
    for _ in range(2):  # "leave on server": the second run takes nothing again
        run("getmail", f"--getmaildir={tmp_path}/rc", f"--rcfile={rc}", env=environment)
        assert (tmp_path / "got").read_bytes().count(b"Subject: ") == 3
    server.deliver(LETTER % (b"four", b"four"))
    run("getmail", f"--getmaildir={tmp_path}/rc", f"--rcfile={rc}", env=environment)
    assert (tmp_path / "got").read_bytes().count(b"Subject: ") == 4


@needs("mutt")
def test_mutt(server: MailServer, tmp_path: Path) -> None:
    """Opens the folder, flags the second letter, saves the first to another folder, leaves."""
    rc = tmp_path / "muttrc"
    url = f"imaps://localhost:{server.ports['imaps']}"
    rc.write_text(
        f'set imap_user="{USER}" imap_pass="{PASSWORD}" folder="{url}/" spoolfile="{url}/INBOX"\n'
        f'set certificate_file="{server.cert}"\n'
        "set ssl_force_tls=yes delete=yes confirmappend=no confirmcreate=no wait_key=no sort=mailbox-order\n"
        "set mail_check=0 imap_keepalive=0\n"
        'set header_cache="" quit=yes move=no mbox_type=Maildir imap_idle=no timeout=1\n'
        'push "<first-entry><save-message>=Archive<enter><next-undeleted><first-entry><next-entry><flag-message>'
        '<sync-mailbox>:exec quit<enter>"\n'
    )
    pid, fd = pty.fork()
    if pid == 0:  # pragma: no cover - the child is mutt
        os.environ.update(TERM="xterm", HOME=str(tmp_path), LANG="C.UTF-8")
        os.execvp("mutt", ["mutt", "-n", "-F", str(rc)])
    seen = b""
    end_at = time.monotonic() + 30
    try:
        while time.monotonic() < end_at:
            ready, _, _ = select.select([fd], [], [], 0.2)
            if ready:
                try:
                    block = os.read(fd, 65536)
                except OSError:
                    break
                if not block:
                    break
                seen += block
                if b"(r)eject" in block or b"(o)nce" in block:
                    os.write(fd, b"o")
    finally:
        done, _ = os.waitpid(pid, os.WNOHANG)
        if not done:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    inbox = flags_and_subjects(server)
    assert "one" not in inbox and "one" in flags_and_subjects(server, "Archive"), seen[-1500:]
    assert any("\\Flagged" in flags for flags in inbox.values())
