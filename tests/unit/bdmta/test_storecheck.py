"""verify-store finds what is wrong and repairs what is only a sum; reindex drops a cache."""

import json
import sqlite3

import pytest

from tests.site import SiteUnderTest


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A site that nobody serves."""
    return SiteUnderTest(tmp_path_factory.mktemp("quiet"))


def verify(site, *words):
    done = site.run("verify-store", *words, "--json", check=False)
    return done.returncode, json.loads(done.stdout)


def test_a_fresh_site_is_whole(quiet):
    assert verify(quiet) == (0, {"ok": True, "problems": []})


def test_each_wrong_thing_is_named_and_nothing_is_lost(quiet):
    new = quiet.mailbox("minhnv") / "new"
    (new / "1.M1P1Q1.host,S=5,W=5").write_bytes(b"longer than five")
    (new / "2.M1P1Q1.host,S=0,W=0").write_bytes(b"")
    stray = quiet.mailbox("nobody") / "new"
    stray.mkdir(parents=True)
    (quiet.folder / "queue" / "broken.env").write_text("{")
    code, said = verify(quiet)
    kinds = {problem["kind"] for problem in said["problems"]}
    assert code == 1 and {"size", "empty", "stray", "spool"} <= kinds
    assert len(list(new.iterdir())) == 2 and stray.is_dir()
    for path in new.iterdir():
        path.unlink()
    (quiet.folder / "queue" / "broken.env").unlink()
    stray.rmdir()
    stray.parent.rmdir()


def test_a_wrong_sum_is_repaired(quiet):
    sizes = quiet.mailbox("khaintm") / "maildirsize"
    sizes.write_text("1000S,0C\n700 3\n")
    code, said = verify(quiet, "khaintm@binhduong.gov.vn")
    assert code == 1 and [problem["kind"] for problem in said["problems"]] == ["quota"]
    code, said = verify(quiet, "khaintm@binhduong.gov.vn", "--repair")
    assert code == 0 and said["problems"][0]["repaired"]
    assert verify(quiet, "khaintm@binhduong.gov.vn") == (0, {"ok": True, "problems": []})


def test_indexes_databases_and_what_is_published(quiet):
    """An index that is no database, or of another UIDVALIDITY, is dropped; a database is never touched."""
    index = quiet.folder / "index" / "binhduong.gov.vn" / "minhnv.db"
    index.parent.mkdir(parents=True, exist_ok=True)
    index.write_bytes(b"no database at all" * 100)
    (quiet.mailbox("minhnv") / "dovecot-uidlist").write_text("3 V1700000000 N5 Gab\n")
    assert [problem["kind"] for problem in verify(quiet)[1]["problems"]] == ["index"]
    index.unlink()
    with sqlite3.connect(index) as database:
        database.execute("CREATE TABLE folder (name TEXT, uidvalidity INTEGER, uidnext INTEGER)")
        database.executemany("INSERT INTO folder VALUES (?, ?, ?)", [("INBOX", 1, 2), ("Gone", 1, 2)])
    said = [problem["text"] for problem in verify(quiet)[1]["problems"]]
    assert len(said) == 2 and "UIDVALIDITY 1, the folder has 1700000000" in said[0] and "is gone" in said[1]
    assert verify(quiet, "--repair")[0] == 0 and not index.exists()
    with sqlite3.connect(index) as database:
        database.execute("CREATE TABLE folder (name TEXT, uidvalidity INTEGER, uidnext INTEGER)")
        database.execute("INSERT INTO folder VALUES ('INBOX', 1700000000, 99)")
    assert [problem["kind"] for problem in verify(quiet, "--repair")[1]["problems"]] == ["uidlist-behind"]
    index.unlink()
    (quiet.mailbox("minhnv") / "dovecot-uidlist").unlink()
    directory = quiet.folder / "db" / "directory.sqlite"
    with sqlite3.connect(directory) as database:
        database.execute("UPDATE meta SET generation = generation + 1")
    assert [problem["kind"] for problem in verify(quiet)[1]["problems"]] == ["snapshot"]
    with sqlite3.connect(directory) as database:
        database.execute("UPDATE meta SET generation = generation - 1")
    assert verify(quiet)[0] == 0


def test_an_unknown_mailbox_is_said(quiet):
    done = quiet.run("verify-store", "nobody@binhduong.gov.vn", check=False)
    assert (done.returncode, done.stderr) == (1, "bdmta: nobody@binhduong.gov.vn: no such mailbox\n")


def test_reindex_drops_what_can_be_made_anew(quiet):
    index = quiet.folder / "index" / "binhduong.gov.vn" / "minhnv.db"
    index.parent.mkdir(parents=True, exist_ok=True)
    index.write_bytes(b"x")
    assert quiet.run("reindex", "minhnv@binhduong.gov.vn").stdout == "1 indexes dropped\n"
    assert not index.exists()
