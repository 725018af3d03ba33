"""imaplib, imapclient and mutt on a served site: Vietnamese folders in both forms, moves, IDLE, a sent copy."""

from __future__ import annotations

import smtplib
from itertools import count
from pathlib import Path

import pytest

from storage.mutf7 import mutf7_encode
from tests.interop.fixtures.account import NFC, NFD, PASSWORD, Account, letter, needs
from tests.site import DOMAIN, SiteUnderTest

pytestmark = pytest.mark.interop
WIRE = mutf7_encode(NFC)
_NUMBERS = count(1)


@pytest.fixture
def account(site: SiteUnderTest, tmp_path: Path) -> Account:
    local = f"interop{next(_NUMBERS)}"
    site.add_mailbox(local, PASSWORD)
    return Account(site, local, tmp_path)


@pytest.mark.parametrize("given", [NFC, NFD], ids=["nfc", "nfd"])
def test_imaplib_folder_in_both_forms(account: Account, given: str) -> None:
    """Made in either form, it is one folder, found in either, listed in NFC."""
    with account.imap() as client:
        assert client.create(f'"{mutf7_encode(given)}"')[0] == "OK"
        for form in (NFC, NFD):
            name = f'"{mutf7_encode(form)}"'
            assert client.create(name)[0] == "NO"
            assert client.append(name, "", "", letter("den"))[0] == "OK"
            assert client.subscribe(name)[0] == "OK"
        assert client.select(f'"{mutf7_encode(NFD)}"')[1] == [b"2"]
        listed = [line for line in client.list()[1] if b"&" in line]
        assert len(listed) == 1
        assert listed[0].endswith(f'"{WIRE}"'.encode()) or listed[0].endswith(WIRE.encode())
        assert len([line for line in client.lsub()[1] if line and b"&" in line]) == 1
        client.unselect()
        renamed = mutf7_encode(given + " 2026")
        assert client.rename(f'"{mutf7_encode(NFD)}"', f'"{renamed}"')[0] == "OK"
        assert client.delete(f'"{mutf7_encode(NFC + " 2026")}"')[0] == "OK"
    assert not list(account.site.mailbox(account.local).glob(".*&*/cur/*"))


@pytest.mark.parametrize(
    "name", ["../khaintm", "/etc", "a/../../khaintm", "..", "a//b", "&Jjo", "x\ty", "INBOX/../../x", "."]
)
def test_imaplib_no_name_leaves_the_box(account: Account, name: str) -> None:
    outside = sorted(account.site.mailbox("khaintm").rglob("*"))
    around = {path.name for path in account.site.mailbox(account.local).parent.iterdir()}
    with account.imap() as client:
        for command in (client.create, client.subscribe, client.select, client.delete):
            try:
                command(f'"{name}"')
            except client.error:
                continue
    assert sorted(account.site.mailbox("khaintm").rglob("*")) == outside
    assert {path.name for path in account.site.mailbox(account.local).parent.iterdir()} == around


def test_imapclient_moves_and_flags(account: Account) -> None:
    imapclient = pytest.importorskip("imapclient")
    account.put("mot", "hai", "ba")
    with imapclient.IMAPClient("localhost", account.site.port("imaps"), ssl_context=account.site.tls()) as client:
        client.login(account.address, PASSWORD)
        client.create_folder(NFD)
        client.select_folder("INBOX")
        client.move([1], NFC)
        client.copy([2], NFC)
        client.add_flags([2], [b"\\Flagged", b"$Label1"])
        client.delete_messages([3])
        client.uid_expunge([3])
        assert client.search() == [2]
        assert client.folder_status(NFC, ["MESSAGES"])[b"MESSAGES"] == 2
        assert [name for _, _, name in client.list_folders() if "Công" in name] == [NFC]
        assert client.sort(["REVERSE ARRIVAL"]) == [2]
        assert client.thread() == ((2,),)
    assert account.subjects() == {"hai": "Fa"}
    assert set(account.subjects(NFC)) == {"mot", "hai"}


def test_imapclient_idle_tells_of_deliveries_within_a_second(account: Account) -> None:
    imapclient = pytest.importorskip("imapclient")
    with imapclient.IMAPClient("localhost", account.site.port("imaps"), ssl_context=account.site.tls()) as client:
        client.login(account.address, PASSWORD)
        client.select_folder("INBOX")
        client.idle()
        with smtplib.SMTP("localhost", account.site.port("smtp")) as sender:
            sender.sendmail("a@example.org", [account.address], letter("vua den"))
        told = client.idle_check(timeout=1)
        assert (1, b"EXISTS") in told
        path = account.files()[0]
        path.rename(path.parent.parent / "cur" / f"{path.name.partition(':')[0]}:2,FS")
        told = client.idle_check(timeout=1.5)
        assert any(item[1] == b"FETCH" and b"\\Flagged" in str(item).encode() for item in told), told
        client.idle_done()


MUTTRC = """
set folder="{url}/" spoolfile="{url}/INBOX" record="{url}/Sent" imap_user="{user}" imap_pass="{password}"
set smtp_url="smtps://{user}@localhost:{submissions}/" smtp_pass="{password}" smtp_authenticators="plain"
set from="{user}" realname="Minh" certificate_file="{ca}" ssl_force_tls=yes ssl_starttls=yes copy=yes
set use_envelope_from=yes
set confirmappend=no confirmcreate=no wait_key=no header_cache="" hostname=localhost abort_nosubject=no
"""


@needs("mutt")
def test_mutt_sends_and_keeps_a_copy(account: Account, site: SiteUnderTest) -> None:
    (account.home / "muttrc").write_text(
        MUTTRC.format(
            url=f"imaps://localhost:{site.port('imaps')}", user=account.address, password=PASSWORD, ca=account.ca,
            submissions=site.port("submissions"),
        )
    )  # fmt: skip
    (account.home / "body").write_text("Kính gửi.\n")
    account.run_in_terminal("sh", "-c", f"mutt -n -F muttrc -s 'gui bang mutt' minhnv@{DOMAIN} <body")
    other = Account(site, "minhnv", account.home)
    site.wait_for(lambda: "gui bang mutt" in other.subjects())
    assert "S" in account.subjects("Sent")["gui bang mutt"]
