"""`bdmta verify-store` holds the ledger against mailboxes, queue and quarantine: what was lost is listed, and nothing else."""

import imaplib
import json
import os
import poplib
import random
import shutil
import smtplib
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from storage.uidlist import UidList
from tests.site import DOMAIN, PASSWORDS, SiteUnderTest

PEOPLE = ("minhnv", "khaintm")


@pytest.fixture
def site(tmp_path):
    site = SiteUnderTest(
        tmp_path, {"dns": {"servers": "[]"}, "limits": {"auth_backoff_s": "0"}, "backup": {"schedule": '""'}}
    )
    site.start()
    yield site
    site.kill()


def send(site, number, *people, to_outside=False):
    octets = f"From: a@x.example\r\nSubject: s\r\nMessage-ID: <m{number}@x>\r\n\r\nbody {number}\r\n"
    with smtplib.SMTP("127.0.0.1", site.port("smtp")) as client:
        client.sendmail("a@x.example", [f"{who}@{DOMAIN}" for who in people], octets.encode())


def imap(site, who):
    client = imaplib.IMAP4_SSL("localhost", site.port("imaps"), ssl_context=site.tls())
    client.login(f"{who}@{DOMAIN}", PASSWORDS[who])
    return client


def found(site):
    """What verify-store lists, as (kind, text), once the ledger has all facts."""
    time.sleep(1.2)  # the office imports once a second
    return Counter(
        (one["kind"], one["text"])
        for one in json.loads(site.run("verify-store", "--json", check=False).stdout)["problems"]
    )


def files(site, who, sub, folder=""):
    return sorted((site.mailbox(who) / folder / sub).iterdir())


def test_a_letter_that_was_lost_unseen_is_named(site):
    for number in range(4):
        send(site, number, *PEOPLE)
    lost, moved, *_ = files(site, "minhnv", "new")
    lost.unlink()
    moved.rename(site.mailbox("minhnv") / ".Archive" / "cur" / f"{moved.name}:2,S")
    problems = found(site)
    assert [kind for kind, _ in problems] == ["quota", "delivery"] or {k for k, _ in problems} == {"quota", "delivery"}
    (text,) = [text for kind, text in problems if kind == "delivery"]
    assert text.startswith(lost.name) and "no session was given its UID" in text
    client = imap(site, "khaintm")
    client.select("INBOX")
    client.store("1:2", "+FLAGS", r"(\Deleted)")
    client.expunge()  # its owner may
    client.logout()
    assert [text for kind, text in found(site) if kind == "delivery"] == [text]


def test_lines_that_were_dropped_explain_what_is_gone(site):
    for number in range(4):
        send(site, number, "minhnv")
    client = imap(site, "minhnv")
    client.select("INBOX")
    client.store("1:3", "+FLAGS", r"(\Deleted)")
    client.expunge()
    client.logout()
    assert site.stop() == 0
    site.server = None
    UidList(str(site.mailbox("minhnv"))).compact(lambda uid: uid == 4)
    assert not found(site)
    text = (site.mailbox("minhnv") / "dovecot-uidlist").read_text()
    (site.mailbox("minhnv") / "dovecot-uidlist").write_text(
        " ".join(w for w in text.split(" ") if w[0] != "C" or "\n" in w)
    )
    assert not found(site)  # as Dovecot does it: the gap tells


@pytest.mark.slow
def test_queue_and_quarantine(site):
    with smtplib.SMTP("127.0.0.1", site.port("submission")) as client:
        client.starttls(context=site.tls())
        client.login(f"minhnv@{DOMAIN}", PASSWORDS["minhnv"])
        client.sendmail(f"minhnv@{DOMAIN}", ["x@elsewhere.example"], f"From: minhnv@{DOMAIN}\r\n\r\nx\r\n".encode())
    assert site.stop() == 0
    site.server = None
    (entry,) = (site.folder / "queue").glob("*.env")
    for path in (site.folder / "facts").iterdir():  # a stopped server's: the next command imports them
        assert path.suffix == ".jsonl"
    site.run("trace", "nobody@nowhere.example", check=False)
    assert not found(site)
    kept = {path: path.read_bytes() for path in (entry, entry.with_suffix(".msg"))}
    for path in kept:
        path.unlink()
    ((kind, text),) = found(site)
    assert kind == "queued" and "x@elsewhere.example" in text
    for path, octets in kept.items():
        path.write_bytes(octets)
    row = json.loads(entry.read_text())
    entry.write_text(json.dumps(row).replace("x@elsewhere.example", f"nobody@{DOMAIN}"))
    problems = found(site)
    assert {kind for kind, _ in problems} == {"spool-recipient"}, problems


class Users:
    """What people, their programs, and somebody with a shell do to two mailboxes, at random."""

    def __init__(self, site, seed):
        self.site, self.random, self.count = site, random.Random(seed), 0
        self.removed_unseen = Counter()

    def deliver(self):
        self.count += 1
        send(self.site, f"{self.count}.{os.getpid()}", *self.random.sample(PEOPLE, self.random.randint(1, 2)))

    def use_imap(self):
        client = imap(self.site, self.random.choice(PEOPLE))
        folder = self.random.choice(("INBOX", "INBOX", "Archive", "Trash"))
        _, (count,) = client.select(folder)
        if count != b"0":
            some = f"{self.random.randint(1, int(count))}:{self.random.randint(1, int(count))}"
            what = self.random.random()
            if what < 0.3:
                client.store(some, "+FLAGS", r"(\Seen \Flagged)")
            elif what < 0.5:
                client.copy(some, "Archive")
            elif what < 0.75:
                client._simple_command("MOVE", some, self.random.choice(("Archive", "Trash")))
            else:
                client.store(some, "+FLAGS", r"(\Deleted)")
                client.expunge()
        client.logout()

    def use_folders(self):
        client = imap(self.site, self.random.choice(PEOPLE))
        client.delete("Archive")
        client.create("Archive")
        client.logout()

    def use_pop3(self):
        who = self.random.choice(PEOPLE)
        client = poplib.POP3_SSL("localhost", self.site.port("pop3s"), context=self.site.tls())
        client.user(f"{who}@{DOMAIN}")
        client.pass_(PASSWORDS[who])
        count, _ = client.stat()
        for number in range(1, count + 1):
            if self.random.random() < 0.3:
                client.retr(number)
                client.dele(number)
        client.quit()

    def use_shell(self):
        who = self.random.choice(PEOPLE)
        for path in files(self.site, who, "new")[:3]:
            where = self.random.choice(("", ".Archive", ".Trash"))
            target = self.site.mailbox(who) / where / "cur"
            if self.random.random() < 0.7 and target.is_dir():
                path.rename(target / f"{path.name}:2,{self.random.choice(('', 'S', 'FS'))}")

    def remove_by_shell(self):
        who = self.random.choice(PEOPLE)
        sub = self.random.choice(("new", "cur"))
        listed = (
            (self.site.mailbox(who) / "dovecot-uidlist").read_text()
            if (self.site.mailbox(who) / "dovecot-uidlist").exists()
            else ""
        )
        for path in files(self.site, who, sub)[:1]:
            base = path.name.partition(":")[0]
            if base not in listed:
                self.removed_unseen[base] += 1
            path.unlink()

    def act(self):
        what = self.random.random()
        for limit, act in ((0.4, self.deliver), (0.7, self.use_imap), (0.75, self.use_folders), (0.85, self.use_pop3),
                           (0.95, self.use_shell), (1, self.remove_by_shell)):  # fmt: skip
            if what < limit:
                act()
                return

    def lost(self, problems):
        return {text.partition(" ")[0] for kind, text in problems if kind == "delivery"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_no_false_alarm_whatever_people_do(site, seed):
    users = Users(site, seed)
    for turn in range(1, 61):
        users.act()
        if turn % 20 == 0:
            problems = found(site)
            assert {kind for kind, _ in problems} <= {"delivery", "quota"}, problems
            assert users.lost(problems) <= set(users.removed_unseen), problems
    site.run("verify-store", "--repair", check=False)  # rm takes no letter from the sum
    before = found(site)
    assert {kind for kind, _ in before} <= {"delivery"} and users.lost(before) <= set(users.removed_unseen)
    site.run("backup", "run")
    for _ in range(15):  # a backup is older than what is lost
        users.deliver()
        users.use_imap()
    time.sleep(1.2)
    shutil.rmtree(site.mailbox("minhnv"))
    assert json.loads(site.run("backup", "restore", "--mailbox", f"minhnv@{DOMAIN}", "--json").stdout)["uids_kept"]
    after = found(site)
    assert users.lost(after) <= set(users.removed_unseen) and {k for k, _ in after} <= {"delivery"}, after
    site.run("backup", "run")
    for _ in range(5):
        users.deliver()
    assert site.stop() == 0
    site.server = None
    shutil.move(site.folder / "backup", site.folder.parent / "backup")
    shutil.move(site.folder / "backup-keys", site.folder.parent / "keys")
    shutil.rmtree(site.folder)
    words = ("backup", "restore", "--from", str(site.folder.parent / "backup"), "--onto", str(site.folder), "--keys",
             str(site.folder.parent / "keys"))  # fmt: skip
    subprocess.run([sys.executable, "-m", "bdmta", *words], check=True, capture_output=True, cwd=site.folder.parent)
    restored = found(site)
    assert users.lost(restored) <= set(users.removed_unseen) and {k for k, _ in restored} <= {"delivery"}, restored


@pytest.mark.slow
def test_no_false_alarm_while_mail_arrives_and_is_read(site):
    stop = threading.Event()
    users = [Users(site, seed) for seed in (7, 8)]
    failed = []

    def live(one, acts):
        while not stop.is_set():
            try:
                getattr(one, one.random.choice(acts))()
            except (imaplib.IMAP4.error, poplib.error_proto, OSError) as error:
                failed.append(error)

    threads = [threading.Thread(target=live, args=(users[0], ("deliver",))),
               threading.Thread(target=live, args=(users[1], ("use_imap", "use_imap", "use_pop3")))]  # fmt: skip
    for thread in threads:
        thread.start()
    try:
        for _ in range(6):
            problems = json.loads(site.run("verify-store", "--json", check=False).stdout)["problems"]
            assert not [
                one for one in problems if one["kind"] in ("delivery", "queued", "held", "snapshot", "spool")
            ], problems
    finally:
        stop.set()
        for thread in threads:
            thread.join()
