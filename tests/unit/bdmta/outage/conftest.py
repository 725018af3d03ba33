"""A site on disk with a few mailboxes, its book and what its channels share; nothing is served."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import structlog

from bdmta.outage.book import OutageBook
from bdmta.outage.broadcast import means_of
from bdmta.setup.create import Wish, create_site
from bdmta.site import Site
from bdmta.testing.clock import FakeClock
from tests.unit.bdmta.free_ports import free_base_port


@pytest.fixture(scope="session")
def shipped_site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outage") / "site"
    wish = Wish(folder=str(folder), domains=("binhduong.gov.vn",), base_port=free_base_port(), is_demo=True)
    return create_site(wish, FakeClock())[0].config_path


@pytest.fixture
def place(shipped_site, tmp_path):
    """A factory: a copy of the site with `[outage]` as given, its book opened, a notice declared."""
    import os
    import shutil

    books = []

    def make(outage=None, scope=("all",), dns=()):
        folder = tmp_path / f"site{len(books)}"
        shutil.copytree(os.path.dirname(shipped_site), folder)
        text = (folder / "bdmta.toml").read_text()
        text = text.replace("[outage]\n", "[outage]\n" + "".join(f"{k} = {v}\n" for k, v in (outage or {}).items()))
        text = text.replace("[dns]\n", f"[dns]\nservers = {list(dns)!r}\n")
        (folder / "bdmta.toml").write_text(text)
        tomllib.loads(text)
        site = Site.open(str(folder / "bdmta.toml"))
        clock = FakeClock(datetime(2026, 11, 28, 1, 0, tzinfo=UTC))
        book = OutageBook(site.outage_dir, clock, site.config.clock.timezone)
        books.append(book)
        log = structlog.wrap_logger(structlog.PrintLogger())
        notice = book.open(
            what="Đứt cáp quang <b>Thủ Dầu Một</b>", from_at=None, until_at=clock.now() + timedelta(hours=2), scope=scope,
            is_planned=False, is_agency=lambda name: True, by="lan",
        )  # fmt: skip
        return SimpleNamespace(
            site=site, clock=clock, book=book, log=log, means=means_of(site, clock, log), notice=notice, folder=folder
        )

    yield make
    for book in books:
        try:
            book.close()
        except OSError:
            pass


class Telling:
    """What the duty does, without its threads: each due job once, and its record."""

    def __init__(self, place):
        self.place = place

    def __call__(self, channel):
        from bdmta.outage.broadcast import attempt
        from bdmta.outage.jobs import jobs

        states = []
        for job in jobs(self.place.book.all(), [channel.reach], self.place.clock.now()):
            result = attempt(channel, job, self.place.clock, self.place.log)
            self.place.book.record(job.notice.id, job.said.number, job.channel, **result)
            if result["state"] != "waiting":
                channel.settle(job)
            states.append(result["state"])
        return states

    def receipt(self, channel, number=1):
        return self.place.book.get(self.place.notice.id).sent[number, channel.reach.name].note


@pytest.fixture
def telling():
    return Telling
