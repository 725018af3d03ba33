"""Backups of a site that serves: restored letters are seen by IMAP, a lost mailbox and a lost site come back as they were."""

import hashlib
import imaplib
import json
import re
import shutil
import smtplib
import subprocess
import sys
import time

import pytest

from tests.site import DOMAIN, PASSWORDS, SiteUnderTest

MINH = f"minhnv@{DOMAIN}"


@pytest.fixture
def site(tmp_path):
    site = SiteUnderTest(tmp_path, {"dns": {"servers": "[]"}})
    site.start()
    yield site
    site.kill()


def send(site, number, to="minhnv"):
    octets = f"From: a@x.example\r\nTo: x\r\nSubject: s{number}\r\nMessage-ID: <m{number}@x>\r\n\r\nbody {number}\r\n"
    with smtplib.SMTP("127.0.0.1", site.port("smtp")) as client:
        client.sendmail("a@x.example", [f"{to}@{DOMAIN}"], octets.encode())


def log_in(site, who="minhnv"):
    client = imaplib.IMAP4_SSL("localhost", site.port("imaps"), ssl_context=site.tls())
    client.login(f"{who}@{DOMAIN}", PASSWORDS[who])
    return client


def state(client, folder="INBOX"):
    """UIDVALIDITY, UIDs with flags, and the letters' hashes: what a client would have to fetch again."""
    status, told = client.select(f'"{folder}"', readonly=True)
    assert status == "OK", told
    validity = client.response("UIDVALIDITY")[1][0]
    if told == [b"0"]:
        return validity, []
    _, rows = client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")
    return validity, [
        (re.sub(rb" ?\\Recent", b"", row[0].split(b"BODY[")[0].split(b"(", 1)[1]).replace(b"( ", b"("), hashlib.sha256(row[1]).hexdigest())
        for row in rows if isinstance(row, tuple)
    ]  # fmt: skip


def fill(site, count=4):
    for number in range(count):
        send(site, number)
    client = log_in(site)
    client.select("INBOX")
    client.store("2", "+FLAGS", r"(\Seen $Label)")
    client.store("3", "+FLAGS", r"(\Flagged)")
    return client


def test_a_deleted_letter_comes_back_while_mail_arrives(site):
    client = fill(site)
    row = json.loads(site.run("backup", "run", "--json").stdout)
    assert row["letters"] == 4 and not row["problems"]
    client.store("2", "+FLAGS", r"(\Deleted)")
    client.expunge()
    site.run("backup", "run")  # the newest backup lacks it: the older one is found
    send(site, 9)
    done = json.loads(site.run("backup", "restore", "--message-id", "<m1@x>", "--grounds", "Phiếu 12", "--json").stdout)
    (folder,) = done["folders"]
    assert (done["backup"], done["restored"], done["mailbox"]) == (row["id"], 1, MINH)
    assert folder.startswith("Khôi phục-")
    listed = client.list()[1]
    name = next(line for line in listed if b"kh" in line.lower() and b"ph" in line.lower()).rpartition(b'" ')[2]
    assert client.select(name.decode(), readonly=True) == ("OK", [b"1"])
    _, ((head, octets), _) = client.fetch("1", "(FLAGS BODY.PEEK[])")
    assert b"<m1@x>" in octets and b"\\Seen" in head and b"$Label" in head
    again = json.loads(site.run("backup", "restore", "--message-id", "m1@x", "--json").stdout)
    assert (again["restored"], again["present"]) == (0, 1)
    audit = [row for row in site.json("audit", "list") if row["action"] == "backup.restore"]
    assert audit[-1]["subject"] == MINH and audit[-1]["grounds"] == "Phiếu 12"
    assert audit[-1]["detail"]["message_id"] == "<m1@x>"
    client.logout()


@pytest.mark.slow
def test_in_place_beside_what_is_there_raises_uidvalidity(site):
    client = fill(site)
    site.run("backup", "run")
    before, rows = state(client)
    client.select("INBOX")
    client.store("1", "+FLAGS", r"(\Deleted)")
    client.expunge()
    send(site, 9)
    client.logout()
    done = json.loads(site.run("backup", "restore", "--mailbox", MINH, "--in-place", "--json").stdout)
    assert (done["restored"], done["present"], done["renumbered"]) == (1, 3, ["INBOX"])
    client = log_in(site)
    after, now = state(client)
    assert int(after) > int(before)
    assert [row[1] for row in now][:4] == [row[1] for row in rows] and len(now) == 5
    used = site.json("mailbox", "show", MINH)
    assert used["used_messages"] == 5
    again = json.loads(site.run("backup", "restore", "--mailbox", MINH, "--in-place", "--json").stdout)
    assert (again["restored"], again["renumbered"]) == (0, [])
    assert state(client)[0] == after
    send(site, 10)
    site.wait_for(lambda: len(state(client)[1]) == 6)
    client.logout()


@pytest.mark.slow
def test_a_lost_mailbox_comes_back_with_its_uids(site):
    client = fill(site)
    client.create("Du-an")
    client.copy("1", "Du-an")
    before, project = state(client), state(client, "Du-an")
    site.run("backup", "run")
    client.logout()
    shutil.rmtree(site.mailbox("minhnv"))
    done = json.loads(site.run("backup", "restore", "--mailbox", MINH, "--json").stdout)
    assert done["restored"] == 5 and "INBOX" in done["uids_kept"]
    client = log_in(site)
    assert (state(client), state(client, "Du-an")) == (before, project)
    send(site, 20)
    site.wait_for(lambda: len(state(client)[1]) == 5)
    client.logout()


def test_a_whole_site_onto_an_empty_folder(site, tmp_path):
    client = fill(site)
    send(site, 7, "khaintm")
    before = state(client)
    client.logout()
    site.run("backup", "run")
    assert site.stop() == 0
    shutil.move(site.folder / "backup", tmp_path / "backup")
    shutil.move(site.folder / "backup-keys", tmp_path / "keys")
    shutil.rmtree(site.folder)
    command = [sys.executable, "-m", "bdmta", "backup", "restore", "--from", str(tmp_path / "backup"), "--onto",
               str(site.folder), "--keys", str(tmp_path / "keys"), "--json"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["restored"] == 5 and json.loads(done.stdout)["to_do"] == []
    refused = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert refused.returncode == 1 and "is not empty" in refused.stderr
    site.start()
    client = log_in(site)
    assert state(client) == before
    assert any(row["action"] == "backup.restore" and row["subject"] == "site" for row in site.json("audit", "list"))
    assert site.json("verify-store")["ok"]
    client.logout()


@pytest.mark.slow
def test_a_flipped_byte_is_named_and_the_drill_fails(site):
    fill(site).logout()
    site.run("backup", "run")
    assert "letters of" in site.run("backup", "drill").stdout
    assert site.run("backup", "verify").returncode == 0
    (row,) = site.json("backup", "list")
    assert row["verified_at"] and row["damaged"] == []
    path = next(
        p for p in (site.folder / "backup" / "objects").rglob("*") if p.is_file() and b"body 2" in p.read_bytes()
    )
    octets = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(octets[:-3] + bytes([octets[-3] ^ 1]) + octets[-2:])
    done = site.run("backup", "verify", check=False)
    assert done.returncode == 1
    assert f"{MINH}, folder INBOX, UID 3, Message-ID <m2@x>: differs" in done.stdout
    assert site.run("backup", "drill", check=False).returncode == 1
    assert site.json("status")["last_backup"]["alarms"]
    restored = site.run("backup", "restore", "--mailbox", MINH, "--json", check=False)
    assert restored.returncode == 1 and json.loads(restored.stdout)["restored"] == 3  # the others


@pytest.mark.slow
def test_who_may_restore_whose(site):
    site.run("backup", "run")
    site.set("backup", "may_restore", '["somebody = *"]')
    done = site.run("backup", "restore", "--mailbox", MINH, check=False)
    assert done.returncode == 1 and "may not restore the mailbox" in done.stderr
    assert any(row["action"] == "backup.restore refused" for row in site.json("audit", "list"))
    site.set("backup", "may_restore", f'["* = {MINH}"]')
    assert site.run("backup", "restore", "--mailbox", MINH).returncode == 0
    assert site.run("backup", "restore", "--mailbox", f"khaintm@{DOMAIN}", check=False).returncode == 1


@pytest.mark.slow
def test_the_office_says_that_a_backup_failed(site, tmp_path):
    """A real failure by calendar: the folder of the backups is a file."""
    assert site.stop() == 0
    (site.folder / "backup" / "backups").write_text("no folder")
    site.set("backup", "jitter_s", "0")
    (site.folder / "timetable.json").write_text(json.dumps({"backup": {"base_at": 1_700_000_000.0}}))  # long missed
    site.run("mailbox", "add", f"postmaster@{DOMAIN}", "--name", "Quản trị", "--kind", "agency", check=False)
    site.server = None
    site.start()
    site.wait_for(lambda: any(b"Backups are not well" in one for one in site.letters("postmaster")), 60)
    (letter,) = [one for one in site.letters("postmaster") if b"Backups" in one]
    assert b"the last backup failed" in letter
    assert "bdmta_backup_alarms" in (site.folder / "metrics" / "backup.prom").read_text()


@pytest.mark.slow
def test_letters_lost_unnoticed_come_back_with_their_uids(site):
    """The files are gone, the uidlist is there, and nobody was told: to clients nothing happened."""
    client = fill(site)
    before = state(client)
    client.logout()
    site.run("backup", "run")
    assert site.stop() == 0
    for path in [*(site.mailbox("minhnv") / "cur").iterdir()]:
        path.unlink()
    site.server = None
    done = json.loads(site.run("backup", "restore", "--mailbox", MINH, "--in-place", "--json").stdout)
    assert (done["restored"], done["revived"], done["present"]) == (4, {"INBOX": 4}, 0) and not done["renumbered"]
    site.start()
    client = log_in(site)
    assert state(client) == before
    client.logout()


@pytest.mark.slow
def test_an_emptied_folder_gets_its_letters_where_clients_look(site):
    """Sessions were told that the letters are gone, and what UIDNEXT is: they come back at or above it."""
    client = fill(site)
    before, rows = state(client)
    site.run("backup", "run")
    client.select("INBOX")
    client.store("1:*", "+FLAGS", r"(\Deleted)")
    client.expunge()
    (status,) = client.status("INBOX", "(UIDNEXT)")[1]
    uidnext = int(status.rpartition(b" ")[2].strip(b")"))
    client.logout()
    done = json.loads(site.run("backup", "restore", "--mailbox", MINH, "--in-place", "--json").stdout)
    assert (done["restored"], done["revived"], done["renumbered"]) == (4, {}, [])
    client = log_in(site)
    after, now = state(client)
    assert after == before and [row[1] for row in now] == [row[1] for row in rows]
    _, found = client.uid("SEARCH", f"UID {uidnext}:*")
    assert len(found[0].split()) == 4
    client.logout()


def due(site, duty):
    """Let the duty be due at the next start, as if the minute had just come."""
    (site.folder / "timetable.json").write_text(json.dumps({duty: {"base_at": time.time() - 61}}))


def restart(site):
    assert site.stop() == 0
    site.server = None


def figure(site, name):
    return float(re.search(rf"(?m)^{name} (\S+)$", site.metrics())[1])


@pytest.mark.slow
def test_the_drill_runs_by_its_calendar_and_leaves_its_record(site):
    """A served site: the office starts the drill when its minute has come; nobody gives a command."""
    site.run("mailbox", "add", f"postmaster@{DOMAIN}", "--name", "Quản trị", "--kind", "agency", check=False)
    fill(site).logout()
    site.run("backup", "run")
    assert (
        figure(site, "bdmta_backup_last_result") == 1 and figure(site, "bdmta_backup_last_drill_timestamp_seconds") == 0
    )
    site.set("backup", "drill_schedule", '"* * * * *"')
    restart(site)
    due(site, "backup-drill")
    began = time.time()
    site.start()
    site.wait_for(lambda: figure(site, "bdmta_backup_last_drill_timestamp_seconds") > began, 60)
    assert figure(site, "bdmta_backup_last_drill_result") == 1
    said = site.json("status")["last_backup"]["drill"]
    assert said["problems"] == [] and said["letters"] >= 4 and said["mailboxes"] >= 1
    assert "letters of" in site.run("status").stdout and "read, good" in site.run("status").stdout
    (row,) = [row for row in site.json("audit", "list") if row["action"] == "backup.drill"]
    assert row["detail"]["letters"] == said["letters"] and row["subject"] == said["backup"]
    site.wait_for(lambda: json.loads((site.folder / "timetable.json").read_text())["backup-drill"]["ended_at"])
    assert not any(b"not well" in one for one in site.letters("postmaster"))
    assert not [path for path in (site.folder / "mail").iterdir() if path.name.startswith(".drill")]

    restart(site)
    path = next(
        p for p in (site.folder / "backup" / "objects").rglob("*") if p.is_file() and b"body 2" in p.read_bytes()
    )
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"body 2", b"bodx 2"))
    due(site, "backup-drill")
    site.start()
    site.wait_for(lambda: any(b"not well" in one for one in site.letters("postmaster")), 60)
    (letter,) = [one for one in site.letters("postmaster") if b"not well" in one]
    assert b"the last drill failed" in letter
    assert figure(site, "bdmta_backup_last_drill_result") == 0 and figure(site, "bdmta_backup_alarms") >= 1
    assert any("the last drill failed" in alarm for alarm in site.json("status")["last_backup"]["alarms"])
    assert "read, failed" in site.run("status").stdout
