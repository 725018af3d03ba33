"""A site is lost and comes back: mbsync downloads nothing again, from a folder of backups and from restic."""

from __future__ import annotations

import base64
import json
import random
import re
import shutil
import smtplib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.fixtures.account import Account, needs
from tests.interop.fixtures.maildirs import local_letters
from tests.interop.test_clients_sync import MBSYNCRC, configure, snapshot
from tests.site import DOMAIN, SiteUnderTest

pytestmark = pytest.mark.interop


@pytest.fixture(params=["folder", pytest.param("restic", marks=needs("restic"))])
def served(own_site, tmp_path: Path, request) -> Account:
    settings = {"limits": {"auth_backoff_s": "0"}, "dns": {"servers": "[]"}}
    if request.param == "restic":
        (tmp_path / "restic.password").write_text("mot hai ba bon\n")
        settings["backup"] = {
            "kind": '"restic"', "restic_repository": f'"{tmp_path}/restic"',
            "restic_password_file": f'"{tmp_path}/restic.password"',
        }  # fmt: skip
    running: SiteUnderTest = own_site(settings)
    running.start()
    home = tmp_path / "home"
    (home / "mail").mkdir(parents=True)
    return Account(running, "minhnv", home)


def lose_and_restore(site: SiteUnderTest, away: Path) -> None:
    """Everything is gone but the backups, and what an operator has in a drawer: the keys, and restic's settings."""
    is_restic = '\nkind = "restic"' in site.config.read_text()
    kept = away / "kept"
    kept.mkdir()
    names = ["bdmta.toml", "backup-keys"] if is_restic else ["backup", "backup-keys"]
    for name in names:
        shutil.move(site.folder / name, kept / name)
    shutil.rmtree(site.folder)
    if is_restic:
        site.folder.mkdir()
        shutil.copy(kept / "bdmta.toml", site.folder)
        words = ["-c", str(site.config), "backup", "restore", "--keys", str(kept / "backup-keys")]
    else:
        words = ["backup", "restore", "--from", str(kept / "backup"), "--onto", str(site.folder), "--keys",
                 str(kept / "backup-keys")]  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "bdmta", *words], capture_output=True, text=True, cwd=away)
    assert done.returncode == 0, done.stderr


@needs("mbsync")
def test_a_lost_site_comes_back_and_nothing_is_downloaded_again(served: Account, tmp_path: Path) -> None:
    configure(served, "mbsyncrc", MBSYNCRC)
    served.put("mot", "hai", "ba")
    served.put("bon", folder="Archive", flags="\\Seen")
    served.run("mbsync", "-c", "mbsyncrc", "-a")
    before = snapshot(served.home / "mail")
    assert len(before) == 4
    site = served.site
    site.run("backup", "run")
    assert site.stop() == 0
    lose_and_restore(site, tmp_path)
    site.start()
    served.run("mbsync", "-c", "mbsyncrc", "-a")
    assert snapshot(served.home / "mail") == before
    with served.imap() as client:
        client.select("INBOX")
        client.store("1", "+FLAGS", "(\\Flagged)")
    served.put("nam")
    served.run("mbsync", "-c", "mbsyncrc", "-a")
    assert set(local_letters(served.home / "mail" / "INBOX")) == {"mot", "hai", "ba", "nam"}


def test_a_letter_comes_back_in_one_command_while_mail_arrives(served: Account, tmp_path: Path) -> None:
    site = served.site
    octets = "From: a@x.example\r\nSubject: cu\r\nMessage-ID: <tuan-truoc@x>\r\n\r\nnoi dung\r\n"
    send(site, octets)
    site.wait_for(lambda: len(site.letters("minhnv")) == 1)
    site.run("backup", "run")
    with served.imap() as client:
        client.select("INBOX")
        client.store("1:*", "+FLAGS", "(\\Deleted)")
        client.expunge()
        site.run("backup", "run")
        send(site, octets.replace("tuan-truoc", "moi"))
        done = json.loads(site.run("backup", "restore", "--message-id", "tuan-truoc@x", "--json").stdout)
        assert done["restored"] == 1
        send(site, octets.replace("tuan-truoc", "moi-nua"))
        (folder,) = done["folders"]
        assert any(b"noi dung" in one for one in site.letters("minhnv", "." + folder_on_disk(folder)))
    assert site.run("backup", "verify").returncode == 0
    assert "read by IMAP" in site.run("backup", "drill").stdout


def folder_on_disk(folder: str) -> str:
    from storage.mutf7 import mutf7_encode

    return mutf7_encode(folder)


def send(site: SiteUnderTest, octets: str) -> None:
    with smtplib.SMTP("127.0.0.1", site.port("smtp")) as client:
        client.sendmail("a@x.example", [f"minhnv@{DOMAIN}"], octets.encode())


def flip_a_byte(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(octets)


@needs("restic")
@pytest.mark.parametrize("served", ["restic"], indirect=True)
def test_restic_names_what_is_damaged(served: Account, tmp_path: Path) -> None:
    """A byte of the largest pack is one letter's: that letter is named, with its box, and it alone; all others come back."""
    site = served.site
    for number in range(12):
        noise = base64.encodebytes(random.Random(number).randbytes(40_000)).decode().replace("\n", "\r\n")
        send(site, f"Subject: x\r\nMessage-ID: <m{number}@x>\r\n\r\n{noise}")
    site.wait_for(lambda: len(site.letters("minhnv")) == 12)
    with served.imap() as client:
        client.select("INBOX")
    site.run("backup", "run")
    pack = max(
        (path for path in (tmp_path / "restic" / "data").rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )
    flip_a_byte(pack)
    done = site.run("backup", "verify", "--json", check=False)
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)
    (problem,) = row["problems"]
    found = re.fullmatch(
        rf"minhnv@{DOMAIN}, folder INBOX, UID (\d+), Message-ID (<m\d+@x>): differs or is missing", problem
    )
    assert found, problem
    assert found[2] == f"<m{int(found[1]) - 1}@x>"
    restored = site.run("backup", "restore", "--mailbox", f"minhnv@{DOMAIN}", "--into", "Cu", "--json", check=False)
    assert restored.returncode == 1
    told = json.loads(restored.stdout)
    assert told["restored"] == 11 and found[2] in told["problems"][0] and len(told["problems"]) == 1


def fetch_and_back_up(account: Account, rc: str = MBSYNCRC) -> None:
    """Three letters, which mbsync has fetched, and a backup of them."""
    configure(account, "mbsyncrc", rc)
    account.put("mot", "hai", "ba")
    account.run("mbsync", "-c", "mbsyncrc", "-a")
    account.site.run("backup", "run")


def restore_in_place(site: SiteUnderTest) -> dict[str, object]:
    return json.loads(site.run("backup", "restore", "--mailbox", f"minhnv@{DOMAIN}", "--in-place", "--json").stdout)


def empty_inbox(account: Account) -> None:
    with account.imap() as client:
        client.select("INBOX")
        client.store("1:*", "+FLAGS", "(\\Deleted)")
        client.expunge()


@needs("mbsync")
@pytest.mark.parametrize("served", ["folder"], indirect=True)
@pytest.mark.parametrize("has_seen_it", [True, False])
@pytest.mark.parametrize("expunge", ["Both", "None"])
def test_an_emptied_mailbox_is_fetched_by_whoever_saw_it_empty(served, tmp_path, has_seen_it, expunge) -> None:
    """docs/decisions/0012: with the old UIDs, under whatever UIDVALIDITY, mbsync would never fetch these letters."""
    fetch_and_back_up(served, MBSYNCRC.replace("Expunge Both", f"Expunge {expunge}"))
    empty_inbox(served)
    if has_seen_it:
        served.run("mbsync", "-c", "mbsyncrc", "-a")
        if expunge == "Both":
            assert not local_letters(served.home / "mail" / "INBOX")
    assert restore_in_place(served.site)["restored"] == 3
    served.run("mbsync", "-c", "mbsyncrc", "-a")
    assert set(local_letters(served.home / "mail" / "INBOX")) == {"mot", "hai", "ba"}


@needs("mbsync")
@pytest.mark.parametrize("served", ["folder"], indirect=True)
def test_under_a_raised_uidvalidity_nothing_is_passed_over(served: Account) -> None:
    """All that mbsync knows was expunged, so it takes the new UIDVALIDITY without asking, and fetches from where it was."""
    fetch_and_back_up(served)
    empty_inbox(served)
    served.run("mbsync", "-c", "mbsyncrc", "-a")
    served.put("bon")
    assert restore_in_place(served.site)["renumbered"] == ["INBOX"]
    served.run("mbsync", "-c", "mbsyncrc", "-a")
    assert set(local_letters(served.home / "mail" / "INBOX")) == {"mot", "hai", "ba", "bon"}


@needs("mbsync")
@pytest.mark.parametrize("served", ["folder"], indirect=True)
def test_letters_lost_unnoticed_are_not_fetched_again(served: Account) -> None:
    fetch_and_back_up(served)
    site = served.site
    before = snapshot(served.home / "mail")
    assert site.stop() == 0
    for path in served.files():
        path.unlink()
    assert restore_in_place(site)["revived"] == {"INBOX": 3}
    site.start()
    served.run("mbsync", "-c", "mbsyncrc", "-a")
    assert snapshot(served.home / "mail") == before


@needs("mbsync")
@pytest.mark.parametrize("served", ["folder"], indirect=True)
def test_uids_that_were_told_after_the_backup_are_not_given_again(served: Account, tmp_path: Path) -> None:
    """mbsync knows UIDs that the backup does not; a new letter under one of them would never be fetched."""
    fetch_and_back_up(served)
    served.put("bon", "nam")
    served.run("mbsync", "-c", "mbsyncrc", "-a")
    assert served.site.stop() == 0
    lose_and_restore(served.site, tmp_path)
    served.site.start()
    served.put("sau")
    served.run("mbsync", "-c", "mbsyncrc", "-a")
    assert {"mot", "hai", "ba", "sau"} <= set(local_letters(served.home / "mail" / "INBOX"))
