from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bdmta.testing.clock import FakeClock
from storage.errors import Conflict, Invalid, NotFound
from storage.maildir import (
    SPECIAL_FOLDERS,
    create_folder,
    create_mailbox,
    folder_dir,
    folder_name,
    list_folders,
    mailbox_dir,
    name_octets,
    unique_name,
)
from storage.mutf7 import mutf7_decode, mutf7_encode
from storage.subscriptions import change_subscriptions, read_subscriptions


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("minhnv.dian@dian.vn", "/m/dian.vn/minhnv.dian"),
        ("../../etc@dian.vn", "/m/dian.vn/%2E.%2F..%2Fetc"),
        ("..@..", "/m/%2E./%2E."),
        ("a/b\0@dian.vn", "/m/dian.vn/a%2Fb%00"),
        ("50%@dian.vn", "/m/dian.vn/50%25"),
        ("Minh@dian.vn", "/m/dian.vn/%4Dinh"),
        ("a@b@dian.vn", "/m/dian.vn/a%40b"),
        ("đ@dian.vn", "/m/dian.vn/%C4%91"),
    ],
)
def test_mailbox_dir(address: str, path: str) -> None:
    assert mailbox_dir("/m", address) == path


@pytest.mark.parametrize("address", ["", "@", "a@", "@b", "nobody", "đ" * 60 + "@b.vn", "\ud800@b.vn"])
def test_addresses_that_have_no_mailbox(address: str) -> None:
    with pytest.raises(Invalid):
        mailbox_dir("/m", address)


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ("INBOX", "/m"),
        ("inbox", "/m"),
        ("Inbox/a", "/m/.INBOX.a"),
        ("Sent", "/m/.Sent"),
        ("Công văn/2026", "/m/.C&APQ-ng v&AQM-n.2026"),
        ("Co\u0302ng", "/m/.C&APQ-ng"),
        ("A&B", "/m/.A&-B"),
        ("~peter/日本語", "/m/.~peter.&ZeVnLIqe-"),
    ],
)
def test_folder_dir(folder: str, path: str) -> None:
    assert folder_dir("/m", folder) == path


@pytest.mark.parametrize(
    "folder", ["", "/", "a/", "/a", "a//b", "..", ".", "a.b", "a/../b", "a\0", "a\n", "a\x7f", "x" * 255, "đ" * 100]
)
def test_folders_that_cannot_be(folder: str) -> None:
    with pytest.raises(Invalid):
        folder_dir("/m", folder)


@pytest.mark.parametrize("text", ["&AGE-", "&", "&a", "đ", "&APQ", "&ZeVnLIqe", "&2AA-", "&&-", "&APQ-&APQ-"])
def test_only_the_right_spelling_is_decoded(text: str) -> None:
    with pytest.raises(Invalid):
        mutf7_decode(text)


def test_rfc_3501_example() -> None:
    assert mutf7_encode("~peter/mail/台北/日本語") == "~peter/mail/&U,BTFw-/&ZeVnLIqe-"
    assert mutf7_decode("~peter/mail/&U,BTFw-/&ZeVnLIqe-") == "~peter/mail/台北/日本語"


def test_create_mailbox_twice_is_once(tmp_path: Path) -> None:
    box = str(tmp_path / "dian.vn" / "a")
    create_mailbox(box)
    for name in SPECIAL_FOLDERS:
        change_subscriptions(box, remove=name)
    change_subscriptions(box, add=["Công văn/2026", "Sent", "Sent"])
    create_mailbox(box)
    assert list_folders(box) == ["INBOX", *sorted(SPECIAL_FOLDERS)]
    assert read_subscriptions(box) == ["Công văn/2026", "Sent"]
    assert Path(box, "subscriptions").read_text() == "V\t2\n\nC&APQ-ng v&AQM-n\t2026\nSent\n"
    assert os.path.exists(f"{box}/.Junk/maildirfolder")
    assert os.stat(box).st_mode & 0o777 == 0o700


def test_the_first_form_of_subscriptions_is_read(tmp_path: Path) -> None:
    (tmp_path / "subscriptions").write_text("Sent\nC&APQ-ng.2026\n&bad\n")
    assert read_subscriptions(str(tmp_path)) == ["Sent", "Công/2026", "&bad"]


def test_folders_are_made_in_mailboxes_only(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        create_folder(str(tmp_path / "nobody"), "Sent")
    with pytest.raises(NotFound):
        list_folders(str(tmp_path / "nobody"))


def test_a_folder_appears_whole_and_to_one_of_those_who_make_it(tmp_path: Path) -> None:
    box = str(tmp_path / "box")
    create_mailbox(box)
    made: list[str] = []

    def make(number: int) -> None:
        try:
            create_folder(box, f"F{number % 20}", prepare=lambda path: Path(path, "mark").touch())
        except Conflict:
            return
        made.append(f"F{number % 20}")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(make, range(160)))
    assert sorted(made) == sorted(f"F{number}" for number in range(20))
    for number in range(20):
        assert sorted(os.listdir(f"{box}/.F{number}")) == ["cur", "maildirfolder", "mark", "new", "tmp"]
    assert os.listdir(f"{box}/tmp") == []


def test_what_is_left_of_a_folder_is_completed(tmp_path: Path) -> None:
    box = str(tmp_path / "box")
    create_mailbox(box)
    os.makedirs(f"{box}/.A/tmp")
    create_folder(box, "A")
    assert create_folder(box, "A") == f"{box}/.A"
    assert sorted(os.listdir(f"{box}/.A")) == ["cur", "maildirfolder", "new", "tmp"]


def test_directories_with_names_we_could_not_open_are_not_listed() -> None:
    assert folder_name(".Sent") == "Sent"
    assert folder_name(".&bad") is None
    assert folder_name(".a..b") is None
    assert folder_name("..") is None
    assert folder_name("cur") is None


def test_unique_names() -> None:
    clock = FakeClock()
    names = {unique_name(clock, "mx:1/a,b", 77) for _ in range(100)}
    assert len(names) == 100
    for name in names:
        assert name_octets(name) == 77
        assert name_octets(name + ":2,S") == 77
        assert ":" not in name and "/" not in name and name.count(",") == 2


def test_name_octets_of_others() -> None:
    assert name_octets("1.x.host:2,S") is None
    assert name_octets("1.x.host,S=12,W=13") == 12
    assert name_octets("1.x.host,S=12x") is None
