"""Every data layout that was released opens with today's code; a newer one is refused in one line."""

import imaplib
import re
import tarfile
from pathlib import Path

import pytest

from bdmta.site import LAYOUT
from tests.site import DOMAIN, PASSWORDS, SiteUnderTest, free_base_port

FIXTURES = sorted((Path(__file__).parent.parent / "layouts").glob("layout-*.tar.gz"))


def opened(fixture: Path, folder: Path) -> SiteUnderTest:
    """The site in the fixture, on free ports."""
    with tarfile.open(fixture) as archive:
        archive.extractall(folder, filter="fully_trusted")  # noqa: S202 - ours
    site = SiteUnderTest.__new__(SiteUnderTest)
    site.folder, site.base_port, site.server = folder / "site", free_base_port(), None
    site.set("listen", "base_port", str(site.base_port))
    site.set("quarantine", "keep_days", "3650")  # whatever day it is today
    return site


def test_todays_layout_has_a_fixture() -> None:
    assert any(path.name == f"layout-{LAYOUT}.tar.gz" for path in FIXTURES), "python -m tests.layouts.make"


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
def test_a_released_layout_serves(fixture: Path, tmp_path: Path) -> None:
    site = opened(fixture, tmp_path)
    site.start()
    try:
        with imaplib.IMAP4_SSL("localhost", site.port("imaps"), ssl_context=site.tls()) as client:
            client.login(f"minhnv@{DOMAIN}", PASSWORDS["minhnv"])
            _, (count,) = client.select("INBOX", readonly=True)
            assert int(count) in (3, 4)  # from the next day on the held letter is told of
            _, rows = client.fetch("1:3", "(UID FLAGS BODY.PEEK[])")
            told = [row for row in rows if isinstance(row, tuple)]
            assert [int(re.search(rb"UID (\d+)", head)[1]) for head, _ in told] == [1, 2, 3]
            assert b"\\Seen" in told[0][0] and b"$Label" in told[0][0]
            assert "Thư số 2".encode() in told[2][1]
            assert client.select("&AxEA4Q-", readonly=True) == ("OK", [b"1"])
        assert site.json("verify-store")["ok"]
        assert sum(row["why"] == "held" for row in site.json("quarantine", "list")) == 1
        assert (site.folder / "layout").read_text() == f"{LAYOUT}\n"
        (backup,) = site.json("backup", "list")
        assert backup["letters"] == 7
        assert site.run("backup", "verify").returncode == 0
    finally:
        site.kill()


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    site = opened(FIXTURES[-1], tmp_path)
    (site.folder / "layout").write_text(f"{LAYOUT + 1}\n")
    for words in (["serve"], ["mailbox", "list"], ["backup", "run"]):
        done = site.run(*words, check=False)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert f"layout {LAYOUT + 1}, this bdmta knows {LAYOUT}" in done.stderr
