"""Accounts in bulk, all or nothing; letters of other servers, again and again without doubling."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from bdmta.directory.calls import REGISTRY
from bdmta.directory.csv_rows import read_rows
from bdmta.directory.letters_import import Taker, read_maildir, read_mbox
from bdmta.directory.service import DirectoryService
from bdmta.errors import UsageError
from bdmta.testing.clock import FakeClock
from storage.directory import Directory
from storage.maildir import create_mailbox, folder_dir
from storage.quota import Limit
from storage.subscriptions import read_subscriptions

D = "binhduong.gov.vn"


def rows(text: str) -> list[dict]:
    return list(read_rows(io.StringIO(text), "f.csv"))


@pytest.fixture
def service(tmp_path: Path):
    clock = FakeClock()
    made = DirectoryService(
        directory=Directory.open(str(tmp_path / "d.db"), clock), clock=clock, mail_root=str(tmp_path / "mail"),
        snapshot_path=str(tmp_path / "snapshot"), password_key_path=str(tmp_path / "key"), postmaster=f"postmaster@{D}",
    )  # fmt: skip
    with made.directory.change("test") as change:
        change.set_domains([D])
    yield made
    made.close()


def test_rows_have_their_lines_and_forms_of_csv_are_read():
    found = rows('\ufeffAddress;Name\n\na@x.vn;"Nguyễn\nVăn; A"\n b@x.vn ; B\n')
    assert found == [
        {"line": 3, "address": "a@x.vn", "name": "Nguyễn\nVăn; A"},
        {"line": 5, "address": "b@x.vn", "name": "B"},
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("address,nmae\n", "line 1: unknown column 'nmae'; the nearest known is name"),
        ("address,zzz\n", "known are address, name"),
        ("name\nx\n", "no column address"),
        ("address,name,name\n", "stands there twice"),
        ("address,name\na,b\nc,d,e\n", "line 3: 3 values for 2 columns"),
        ('address,name\na,"b\n', "line 3|unexpected end"),
        ("", "no column address"),
        ("address\n" + "x" * 70_000 + "\n", "line 2"),
    ],
)
def test_what_is_wrong_with_a_file_names_the_line(text: str, said: str):
    with pytest.raises(UsageError, match=said):
        rows(text)


GOOD = f"""address,name,kind,quota,password_hash,alias_of
l2@{D},,,,,l1@{D}
l1@{D},,,,,lan@{D};x@else.vn
lan@{D},Lê Thị Lan,person,200M,{{SSHA}}nG2CGmfb+82ZMAemrApLvy8ciqe01npP,
so@{D},Sở,agency,none,,
"""


def test_mailboxes_and_aliases_in_any_order(service: DirectoryService, tmp_path: Path):
    done = REGISTRY["import_rows"](service, rows=rows(GOOD))
    assert (done["problems"], done["mailboxes"], done["aliases"]) == ([], 2, 2)
    lan = service.directory.mailbox(f"lan@{D}")
    assert (lan.quota_octets, lan.password_hash[:6]) == (200 * 1024**2, "{SSHA}")
    assert service.directory.targets(f"l1@{D}") == (f"lan@{D}", "x@else.vn")


def test_one_bad_row_and_nothing_is_imported_and_every_bad_row_is_told(service: DirectoryService):
    before = service.directory.generation
    bad = (
        GOOD
        + f"lan@{D},Again,,,,\nbad name@{D},B,,,,\nq@{D},Q,,huge,,\nloop@{D},,,,,nobody@{D}\np@{D},P,,,{{PLAIN}}x,\n"
    )
    done = REGISTRY["import_rows"](service, rows=rows(bad))
    assert [(line, reason.split()[0]) for line, _, reason in done["problems"]] == [
        (6, "the"), (7, "not"), (8, "huge:"), (9, f"nobody@{D}:"), (10, "a"),
    ]  # fmt: skip
    assert "line 4" in done["problems"][0][2]
    assert service.directory.generation == before
    assert service.directory.mailboxes() == []
    assert not Path(service.snapshot_path).exists()


def test_a_trial_changes_nothing(service: DirectoryService):
    assert REGISTRY["import_rows"](service, rows=rows(GOOD), dry_run=True)["problems"] == []
    assert service.directory.mailboxes() == []


def test_folders_of_many_are_like_those_of_one(service: DirectoryService, tmp_path: Path):
    many = "address,name\n" + "".join(f"u{n}@{D},U\n" for n in range(20))
    REGISTRY["import_rows"](service, rows=rows(many))
    for _ in range(2):
        assert REGISTRY["mailbox_folders"](service, addresses=[f"u{n}@{D}" for n in range(20)]) == 20
    create_mailbox(str(tmp_path / "one"))

    def shape(top: Path) -> set[tuple[str, int, bytes]]:
        found = ((path, path.stat().st_mode) for path in top.rglob("*"))
        return {(str(p.relative_to(top)), mode, p.read_bytes() if p.is_file() else b"") for p, mode in found}

    for number in range(20):
        assert shape(tmp_path / "mail" / D / f"u{number}") == shape(tmp_path / "one")
    assert len(list((tmp_path / "mail" / D).iterdir())) == 20


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "source"
    for folder in ("", ".Sent", ".C&APQ-ng v&AQM-n.2025"):
        for part in ("cur", "new", "tmp"):
            (tree / folder / part).mkdir(parents=True)
    (tree / "cur" / "16.M1P2.host,S=15,W=18:2,SFa").write_bytes(b"Subject: a\n\nhi\n")
    (tree / "dovecot-keywords").write_bytes(b"0 $Label1\n")
    (tree / "new" / "17.M1P2.host").write_bytes(b"Subject: b\n\nhi\n")
    (tree / "tmp" / "18.partial").write_bytes(b"Sub")
    (tree / "cur" / "evil").symlink_to("/etc/passwd")
    (tree / ".Sent" / "cur" / "19.M1P2.host:2,RS").write_bytes(b"Subject: c\r\n\r\nhi\r\n")
    (tree / ".C&APQ-ng v&AQM-n.2025" / "cur" / "odd name;$(x):2,T").write_bytes(b"\xff\0")
    return tree


def take(mailbox: str, letters, *, is_trial: bool = False) -> dict[str, int]:
    taker = Taker(mailbox=mailbox, clock=FakeClock(), limit=Limit(1000, 0), is_trial=is_trial)
    for letter in letters:
        taker.take(letter)
    return taker.finish()


def test_a_maildir_tree_with_flags_and_folders_once(tmp_path: Path, tree: Path):
    box = str(tmp_path / "box")
    create_mailbox(box)
    assert take(box, read_maildir(str(tree)), is_trial=True) == {"letters": 4, "known": 0, "skipped": 1}
    assert not list((tmp_path / "box" / "cur").iterdir())
    assert take(box, read_maildir(str(tree))) == {"letters": 4, "known": 0, "skipped": 1}
    assert take(box, read_maildir(str(tree))) == {"letters": 0, "known": 4, "skipped": 1}
    (seen,) = (tmp_path / "box" / "cur").iterdir()
    assert seen.name == "16.M1P2.host,S=18,W=18:2,FSa"
    assert seen.read_bytes() == b"Subject: a\r\n\r\nhi\r\n"
    assert seen.stat().st_mtime == (tree / "cur" / "16.M1P2.host,S=15,W=18:2,SFa").stat().st_mtime
    assert (tmp_path / "box" / "dovecot-keywords").read_bytes() == b"0 $Label1\n"
    assert [p.name for p in (tmp_path / "box" / "new").iterdir()] == ["17.M1P2.host,S=18,W=18"]
    (odd,) = (Path(folder_dir(box, "Công văn/2025")) / "cur").iterdir()
    assert odd.name.startswith("import.")
    assert odd.name.endswith(",S=2,W=2:2,T")
    assert "Công văn/2025" in read_subscriptions(box)
    assert (tmp_path / "box" / "maildirsize").read_text() == "1000S,0C\n56 4\n"
    assert not list((tmp_path / "box" / "tmp").iterdir())


def test_no_maildir_and_no_mbox(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"Subject: no mbox\n\n")
    with pytest.raises(UsageError, match="no Maildir"):
        list(read_maildir(str(tmp_path)))
    with pytest.raises(UsageError, match="no mbox"):
        list(read_mbox(str(tmp_path / "x"), "INBOX"))


MBOX = b"""From a@b Mon Jan  5 08:00:00 2026
Subject: x
Status: RO
X-Status: AF
X-Keywords: a
  b

body
>From here
>>From there
From inside a paragraph

From b@c Tue Jan  6 08:00:00 2026 +0700
Subject: y

second

From b@c broken date
Subject: y

second
"""


def test_an_mbox_with_flags_once(tmp_path: Path):
    (tmp_path / "m").write_bytes(MBOX)
    box = str(tmp_path / "box")
    create_mailbox(box)
    letters = list(read_mbox(str(tmp_path / "m"), "Archive"))
    assert [letter.flags for letter in letters] == ["FRS", "", ""]
    assert letters[0].octets == b"Subject: x\n\nbody\nFrom here\n>From there\nFrom inside a paragraph\n"
    assert letters[1].octets == letters[2].octets
    assert [letter.at for letter in letters] == [1767600000.0, 1767686400.0, None]
    assert take(box, letters)["letters"] == 3
    assert take(box, read_mbox(str(tmp_path / "m"), "Archive")) == {"letters": 0, "known": 3, "skipped": 0}


def test_an_mbox_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bdmta.directory.letters_import.LETTER_OCTETS_MAX", 1000)
    (tmp_path / "m").write_bytes(b"From a\n\n" + b"x" * 5000 + b"\n\nFrom b\nSubject: y\n\nz\n")
    big, small = read_mbox(str(tmp_path / "m"), "INBOX")
    assert big.octets is None
    assert small.octets == b"Subject: y\n\nz\n"
