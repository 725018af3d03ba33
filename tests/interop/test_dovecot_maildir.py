"""Dovecot takes a mailbox over and hands it back (contract 3): UIDs, flags, keywords, UIDVALIDITY, subscriptions hold.

Runs Debian's `imap` binary on the Maildir by its standard input, so no server, port or root is needed. Skipped where it
is not installed.
"""

from __future__ import annotations

import getpass
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.maildir import folder_dir, list_folders
from tests.unit.storage.box_support import World, letter, to_store

IMAP = "/usr/lib/dovecot/imap"
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not os.path.exists(IMAP), reason="Dovecot is not installed"),
]
CONF = """
base_dir = {root}/run
state_dir = {root}/run
log_path = {root}/log
mail_location = maildir:{mail}
first_valid_uid = 0
first_valid_gid = 0
mail_uid = {uid}
mail_gid = {gid}
ssl = no
protocols =
namespace inbox {{
  inbox = yes
  separator = /
}}
"""
FOLDER = "Công văn/2026"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(str(tmp_path))
    (tmp_path / "run").mkdir()
    (tmp_path / "dovecot.conf").write_text(
        CONF.format(root=tmp_path, mail=made.path, uid=os.getuid(), gid=os.getgid()), encoding="utf-8"
    )
    if os.getuid() == 0:  # Dovecot serves nobody's mail as root
        nobody = 65534
        conf = tmp_path / "dovecot.conf"
        conf.write_text(
            conf.read_text()
            .replace("mail_uid = 0", f"mail_uid = {nobody}")
            .replace("mail_gid = 0", f"mail_gid = {nobody}")
        )
    yield made
    made.close()


def dovecot(world: World, *commands: str) -> str:
    """Speak to Dovecot's imap process, logged in already; returns all it said."""
    root = os.path.dirname(world.path)
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "65534:65534", root], check=True)
        for directory in (root, *map(str, Path(root).parents)):
            os.chmod(directory, os.stat(directory).st_mode | 0o755 if directory != "/" else os.stat(directory).st_mode)
    lines = "".join(f"a{number} {command}\r\n" for number, command in enumerate((*commands, "LOGOUT")))
    ran = subprocess.run(
        [IMAP, "-c", f"{root}/dovecot.conf"],
        input=lines.encode(),
        capture_output=True,
        timeout=20,
        check=False,
        cwd="/",
        env={"USER": getpass.getuser() if os.getuid() else "nobody", "HOME": world.path, "PATH": os.environ["PATH"]},
    )
    said = ran.stdout.decode()
    for number, command in enumerate(commands):
        assert f"a{number} OK" in said, (command, said, ran.stderr.decode())
    return said


def fetched(said: str) -> dict[int, set[str]]:
    """UID to flags of FETCH answers, \\Recent aside."""
    out: dict[int, set[str]] = {}
    for line in said.splitlines():
        uid, flags = re.search(r"UID (\d+)", line), re.search(r"FLAGS \(([^)]*)\)", line)
        if uid and flags and " FETCH " in line:
            out[int(uid[1])] = set(flags[1].split()) - {"\\Recent"}
    return out


def test_dovecot_sees_what_we_wrote(world: World) -> None:
    mailbox = world.mailbox()
    for number in range(5):
        mailbox.append(
            "INBOX", to_store(f"n{number}"), 1 if number % 2 else 0, ("$Forwarded", "Gấp".replace("ấ", "a")), 1e9
        )
    world.deliver("mới")
    view = mailbox.open_view("INBOX")
    view.store(range(1), "+", 4 | 2)
    view.store(range(4, 5), "+", 8)
    view.expunge()
    validity, uidnext = view.box.uidvalidity, view.box.uidnext
    said = dovecot(world, "SELECT INBOX", "FETCH 1:* (UID FLAGS RFC822.SIZE)")
    assert f"[UIDVALIDITY {validity}]" in said
    assert f"[UIDNEXT {uidnext}]" in said
    assert fetched(said) == {
        1: {"\\Flagged", "\\Answered", "$Forwarded", "Gap"},
        2: {"\\Seen", "$Forwarded", "Gap"},
        3: {"$Forwarded", "Gap"},
        4: {"\\Seen", "$Forwarded", "Gap"},
        6: set(),
    }
    sizes = [int(size) for size in re.findall(r"RFC822.SIZE (\d+)", said)]
    assert sizes == list(view.columns.size)


def test_dovecot_hands_back(world: World) -> None:
    mailbox = world.mailbox()
    for number in range(4):
        mailbox.append("INBOX", to_store(f"n{number}"), 0, ("$Ours",))
    first = mailbox.open_view("INBOX")
    validity = first.box.uidvalidity
    text = "Subject: from Dovecot\r\n\r\nline one\r\nline two\r\n"
    dovecot(world, "SELECT INBOX", "STORE 1 +FLAGS (\\Seen \\Flagged NonJunk)", "STORE 2 +FLAGS (\\Deleted)")
    dovecot(
        world,
        "SELECT INBOX",
        "EXPUNGE",
        f"APPEND INBOX (\\Draft $MDNSent) {{{len(text)}+}}\r\n{text}",
        "COPY 1 Sent",
    )
    first.box.refresh()
    deltas = first.poll()
    assert deltas.expunged == (2,)
    assert list(first.columns.uid) == [1, 3, 4, 5]
    assert first.box.uidvalidity == validity
    assert first.box.keywords == ("$Ours", "NonJunk", "$MDNSent")
    assert first.columns.flags[0] == 1 | 4 | 64 | 128
    assert first.columns.flags[3] == 16 | 256
    assert first.box.octets(5) == text.encode()
    assert first.columns.size[3] == len(text)
    sent = world.mailbox().open_view("Sent")
    assert sent.box.octets(sent.columns.uid[0]) == letter("n0")
    placed = mailbox.append("INBOX", to_store("after"))
    assert placed.uids == (6,)
    assert set(fetched(dovecot(world, "SELECT INBOX", "FETCH 1:* (UID FLAGS)"))) == {1, 3, 4, 5, 6}


def test_both_at_once_never_share_a_uid(world: World) -> None:
    mailbox = world.mailbox()
    view = mailbox.open_view("INBOX")
    meaning: dict[int, str] = {}
    for turn in range(6):
        world.deliver(f"d{turn}")
        if turn % 2:
            dovecot(world, "SELECT INBOX", "STORE 1:* +FLAGS (\\Seen)")
        else:
            view.box.refresh()
        placed = mailbox.append("INBOX", to_store(f"a{turn}"))
        view.box.refresh()
        view.poll()
        assert list(view.columns.uid) == sorted(set(view.columns.uid))
        for uid in view.columns.uid:
            subject = bytes(view.box.octets(uid)).partition(b"\r\n")[0].decode()
            assert meaning.setdefault(uid, subject) == subject
        assert meaning[placed.uids[0]] == f"Subject: a{turn}"
    assert len(view.columns) == 12
    assert set(fetched(dovecot(world, "SELECT INBOX", "FETCH 1:* (UID FLAGS)"))) == set(view.columns.uid)


def test_folders_and_subscriptions_go_both_ways(world: World) -> None:
    mailbox = world.mailbox()
    mailbox.create(FOLDER)
    mailbox.subscribe(FOLDER)
    mailbox.append(FOLDER, to_store("x"))
    said = dovecot(
        world, 'LSUB "" "*"', 'STATUS "C&APQ-ng v&AwM-n/2026" (MESSAGES UIDNEXT)' if False else 'LIST "" "*"'
    )
    encoded = os.path.basename(folder_dir(world.path, FOLDER))[1:].replace(".", "/")
    assert f'"{encoded}"' in said
    assert said.count(f'"{encoded}"') == 2
    status = dovecot(
        world,
        f'STATUS "{encoded}" (MESSAGES UIDNEXT UIDVALIDITY)',
        "CREATE Theirs/Deep",
        "SUBSCRIBE Theirs/Deep",
        "UNSUBSCRIBE Sent",
    )
    with mailbox.held_box(FOLDER) as box:
        assert f"(MESSAGES 1 UIDNEXT 2 UIDVALIDITY {box.uidvalidity})" in status
    names = {info.name: info for info in mailbox.folders()}
    assert names["Theirs/Deep"].subscribed and names["Theirs/Deep"].selectable
    assert not names["Theirs"].selectable
    assert not names["Sent"].subscribed and names["Drafts"].subscribed
    assert "Theirs/Deep" in list_folders(world.path)


def test_uidvalidity_of_a_folder_made_again_is_another(world: World) -> None:
    mailbox = world.mailbox()
    seen: set[Any] = set()
    for turn in range(3):
        mailbox.create("Again")
        if turn == 1:
            validity = int(re.findall(r"UIDVALIDITY (\d+)", dovecot(world, "STATUS Again (UIDVALIDITY)"))[-1])
        else:
            validity = mailbox.status("Again").uidvalidity
        assert validity not in seen
        seen.add(validity)
        mailbox.delete("Again")
