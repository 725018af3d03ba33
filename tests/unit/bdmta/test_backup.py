"""Choosing what to restore, who may, where it goes, whether all is well."""

import json
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bdmta.backup.allowed import may_restore
from bdmta.backup.choose import Wanted, choose, manifest_file, parse_time
from bdmta.backup.health import examine, write_metrics
from bdmta.backup.restoring import below
from bdmta.backup.whole import Roots, adapt_config
from bdmta.config import parse
from bdmta.errors import BdmtaError, UsageError
from bdmta.site import Site
from bdmta.testing import FakeClock
from storage.backup.manifest import FolderRow, LetterRow, Manifest, render
from storage.backup.repository import FolderRepository, Taken
from storage.errors import StoreError
from storage.maildir import mailbox_dir

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
MINH = "minhnv@so.example"


def row(number, sender="a@x.example"):
    return LetterRow(f"{number}.x", ":2,", "cur", number, (1_700_000_000 + number * 86_400) * 10**9, 5, "ab" * 32,
                     f"<{number}@x>", sender)  # fmt: skip


@pytest.fixture
def repository(tmp_path):
    """Three backups of one mailbox: letters 1-3, then 2-3, then 3 alone; Sent has letter 9 throughout."""
    repository = FolderRepository(str(tmp_path / "backup"))
    repository.create()
    for number in (1, 2, 3):
        folders = [FolderRow("INBOX", "", letters=[row(n) for n in range(number, 4)]),
                   FolderRow("Sent", ".Sent", letters=[row(9, "minhnv@so.example")])]  # fmt: skip
        file = manifest_file(MINH)
        written = repository.write_manifest(f"b{number}", file, render(Manifest(folders)))
        repository.commit(Taken(f"b{number}", number * 1000.0, 0, 0, 0, 1, 0, {file: written}))
    return repository


def ids(chosen):
    return chosen.backup.id, [letter.message_id for folder in chosen.folders for letter in folder.letters]


def test_the_newest_backup_that_has_it(repository):
    assert ids(choose(repository, Wanted(message_id="1@x"), ZONE)) == ("b1", ["<1@x>"])
    assert ids(choose(repository, Wanted(message_id="<3@x>", mailbox=MINH), ZONE)) == ("b3", ["<3@x>"])
    assert ids(choose(repository, Wanted(mailbox=MINH, folder="inbox"), ZONE)) == ("b3", ["<3@x>"])
    assert ids(choose(repository, Wanted(sender="MINHNV@so.example"), ZONE)) == ("b3", ["<9@x>"])
    assert ids(choose(repository, Wanted(mailbox=MINH, folder="INBOX", before=2500.0), ZONE))[0] == "b2"
    assert ids(choose(repository, Wanted(day=date(2023, 11, 17), mailbox=MINH), ZONE)) == ("b2", ["<2@x>"])
    with pytest.raises(BdmtaError, match="no backup has a letter 7@x of mailbox minhnv@so.example"):
        choose(repository, Wanted(message_id="7@x", mailbox=MINH), ZONE)
    with pytest.raises(BdmtaError, match="b9: no such backup"):
        choose(repository, Wanted(backup_id="b9"), ZONE)
    with pytest.raises(BdmtaError, match="as old as that"):
        choose(repository, Wanted(before=1.0), ZONE)


def test_times():
    assert parse_time("2026-11-20", ZONE) == parse_time("2026-11-21T00:00", ZONE)
    assert parse_time("2026-11-20 17:00", ZONE) == parse_time("2026-11-20T10:00+00:00", ZONE)
    with pytest.raises(UsageError, match="a date"):
        parse_time("yesterday", ZONE)


@pytest.mark.parametrize(
    ("rules", "actor", "mailbox", "agency", "expected"),
    [
        ((), "anybody", MINH, "", True),
        (("root = *",), "root", MINH, "", True),
        (("root = *",), "root", "", "", True),
        (("root = *",), "thuynt", MINH, "", False),
        (("thuynt = agency:sotttt",), "thuynt", MINH, "sotttt", True),
        (("thuynt = agency:sotttt",), "thuynt", MINH, "soyt", False),
        (("thuynt = agency:sotttt",), "thuynt", "", "", False),
        (("* = MinhNV@so.example",), "minhnv", MINH, "", True),
        (("a = @so.example x@y.example",), "a", MINH, "", True),
        (("a = @so.example",), "a", "x@other.example", "", False),
    ],
)
def test_who_may(rules, actor, mailbox, agency, expected):
    assert may_restore(rules, actor, mailbox, agency) is expected


def test_side_folders():
    assert below("Khôi phục-20261128", "INBOX", is_single=False) == "Khôi phục-20261128"
    assert below("Khôi phục-20261128", "Sent", is_single=False) == "Khôi phục-20261128/Sent"
    assert below("Khôi phục-20261128", "Sent", is_single=True) == "Khôi phục-20261128"


def test_no_name_leads_out_of_its_root():
    roots = Roots.below("/srv/x")
    assert roots.path("data/db/directory.sqlite") == "/srv/x/db/directory.sqlite"
    for name in ("data/../../etc/passwd", "mail/x", "etc/x", "data/"):
        with pytest.raises(StoreError):
            roots.path(name)


def test_paths_elsewhere_become_comments(tmp_path):
    (tmp_path / "bdmta.toml").write_text('[server]\ndata_dir = "/var/lib/bdmta"\n[mail]\nroot = "mail"\n')
    assert adapt_config(str(tmp_path)) == ['data_dir = "/var/lib/bdmta"']
    assert parse_toml(tmp_path)["mail"] == {"root": "mail"} and parse_toml(tmp_path)["server"] == {}


def parse_toml(folder):
    import tomllib

    return tomllib.loads((folder / "bdmta.toml").read_text())


def test_mailboxes_are_where_the_store_has_them():
    assert mailbox_dir("/mail", MINH) + ".jsonl" == "/" + manifest_file(MINH)


class TestHealth:
    @pytest.fixture
    def site(self, tmp_path):
        site = Site(parse({"mail": {"domains": ["so.example"]}}, folder=str(tmp_path)), str(tmp_path / "bdmta.toml"))
        site.create_folders()
        return site

    def taken(self, site, clock, **more):
        repository = FolderRepository(site.backup_dir)
        repository.create()
        (Path(repository.place) / "backups" / "b1").mkdir()
        one = Taken("b1", clock.time(), clock.time(), 1, 1, 1, 1, {}, **more)
        repository.commit(one)
        return repository

    def test_none_yet_and_late(self, site):
        clock = FakeClock()
        assert examine(site, clock).alarms == []
        past = {"backup": {"base_at": clock.time() - 90_000, "error": "BdmtaError: the disk is full"}}
        (Path(site.data_dir) / "timetable.json").write_text(json.dumps(past))
        failed, late = examine(site, clock).alarms
        assert "the disk is full" in failed and "no complete backup since" in late

    def test_good_then_late_then_unverified(self, site):
        clock = FakeClock()
        self.taken(site, clock)
        assert examine(site, clock).alarms == []
        clock.advance(6.1 * 3600)
        assert len(examine(site, clock).alarms) == 1
        clock.advance(12 * 86_400)
        assert any("no backup was verified" in alarm for alarm in examine(site, clock).alarms)

    def test_incomplete_is_said_and_measured(self, site):
        clock = FakeClock()
        self.taken(site, clock, problems=["/mail/x: Input/output error"])
        health = examine(site, clock)
        assert "lacks 1 files that could not be read" in health.alarms[0]
        text = Path(write_metrics(site, health)).read_text()
        assert "bdmta_backup_alarms 1.0" in text and "bdmta_backup_letters 1.0" in text

    def test_a_repository_that_cannot_be_read(self, site):
        clock = FakeClock()
        self.taken(site, clock)
        (Path(site.backup_dir) / "repository.json").unlink()
        assert "cannot be read" in examine(site, clock).alarms[0]
