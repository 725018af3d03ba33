"""verify-store finds what is wrong and repairs what is only a sum; reindex drops a cache."""

import json

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


def test_an_unknown_mailbox_is_said(quiet):
    done = quiet.run("verify-store", "nobody@binhduong.gov.vn", check=False)
    assert (done.returncode, done.stderr) == (1, "bdmta: nobody@binhduong.gov.vn: no such mailbox\n")


def test_reindex_drops_what_can_be_made_anew(quiet):
    index = quiet.folder / "index" / "binhduong.gov.vn" / "minhnv.db"
    index.parent.mkdir(parents=True, exist_ok=True)
    index.write_bytes(b"x")
    assert quiet.run("reindex", "minhnv@binhduong.gov.vn").stdout == "1 indexes dropped\n"
    assert not index.exists()
