"""The office's round under a clock that moves when told: planned work and its letters, gaps and their notices."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from bdmta.outage.duty import OutageDuty
from bdmta.outage.heart import EdgeBeat, Heart
from bdmta.outage.months import months
from storage.ledger import Ledger


async def in_turn(function, *arguments, **named):
    return function(*arguments, **named)


def duty(here):
    return OutageDuty(here.site, here.clock, here.log, in_turn, here.book)


async def rounds(made, here, seconds, *, edges=(), every=4):
    """What an office does in `seconds`, each round to its end."""
    for _ in range(int(seconds // every)):
        for edge in edges:
            edge.beat(here.site.config.services)
        await made.look()
        await made._tasks.finish(20)
        here.clock.advance(every)


def subjects(here, about, local="minhnv"):
    from bdmta.message import scan

    folder = here.folder / "mail/binhduong.gov.vn" / local / "new"
    found = [path.read_bytes() for path in sorted(folder.iterdir()) if about.encode() in path.read_bytes()]
    return [scan(octets).first("subject").text for octets in found]


def test_planned_work_runs_its_whole_course_and_everybody_hears(place):
    here = place()
    here.book.close_notice(here.notice.id, done="xong", by="lan")
    start = here.clock.now() + timedelta(hours=26)
    notice = here.book.open(
        what="Thay ổ đĩa", from_at=start, until_at=start + timedelta(hours=1), scope=["smtp"], is_planned=True,
        is_agency=lambda name: False, by="lan",
    )  # fmt: skip

    async def run():
        made, edge = duty(here), EdgeBeat(here.site.outage_dir, 0, here.clock)
        seen = []
        for _ in range(28 * 2):
            edge.beat(here.site.config.services)
            await made.look()
            await made._tasks.finish(20)
            stopped = bool(json.loads((here.folder / "outage/edges.json").read_text())["smtp"])
            now = (here.book.get(notice.id).state, stopped)
            if not seen or seen[-1] != now:
                seen.append(now)
            here.clock.advance(1800)
        return seen

    assert asyncio.run(run()) == [("planned", False), ("open", True), ("closed", False)]
    assert subjects(here, f"<outage-{notice.id}-") == [
        "Thông báo bảo trì hệ thống thư điện tử từ 10 giờ 00 ngày 29/11/2026",
        "Nhắc: bảo trì hệ thống thư điện tử lúc 10 giờ 00 ngày 29/11/2026",
        "Nhắc: bảo trì hệ thống thư điện tử lúc 10 giờ 00 ngày 29/11/2026",
        "Thông báo sự cố hệ thống thư điện tử, dự kiến phục hồi 11 giờ 00 ngày 29/11/2026",
        "Hệ thống thư điện tử đã hoạt động trở lại",
    ]
    page = (here.folder / "outage/page/index.html").read_text()
    assert "Thay ổ đĩa" in page and "Đã phục hồi" in page
    assert here.book.get(notice.id).ended_at == notice.until_at


@pytest.mark.parametrize("on_gap", ["draft", "announce"])
def test_a_crash_becomes_a_notice_with_its_from_and_until(place, on_gap):
    here = place({"on_gap": f'"{on_gap}"'})
    here.book.close_notice(here.notice.id, done="xong", by="lan")
    before = Heart(here.site.outage_dir, here.clock, here.site.config.services)
    before.start()
    before.look(disk_is_full=False)
    fell_at = here.clock.now()
    here.clock.advance(1800)

    async def run():
        made, stopping = duty(here), asyncio.Event()
        running = asyncio.create_task(made.run(stopping))
        while not any(n.cause for n in here.book.all()):
            await asyncio.sleep(0.01)
        stopping.set()
        await running

    asyncio.run(run())
    (notice,) = [n for n in here.book.all() if n.cause]
    assert (notice.from_at, notice.until_at, notice.scope) == (fell_at, fell_at + timedelta(seconds=1800), ("all",))
    assert (notice.cause, notice.state) == ("crash", "draft" if on_gap == "draft" else "closed")
    assert notice.is_public is (on_gap == "announce")
    ledger = Ledger.open(here.site.ledger_db)
    ledger.import_files(here.site.facts_dir)
    ledger.close()
    (row, *_) = months(here.site, here.book.all(), here.clock.now())
    assert row["services"]["smtp"]["unplanned_s"] == 1800


def test_an_edge_that_dies_is_noticed_while_the_rest_lives(place):
    here = place({"gap_s": "60"})
    here.book.close_notice(here.notice.id, done="xong", by="lan")

    async def run():
        made, edge = duty(here), EdgeBeat(here.site.outage_dir, 0, here.clock)
        await rounds(made, here, 60, edges=[edge])
        assert not [n for n in here.book.all() if n.cause]
        await rounds(made, here, 120)
        (draft,) = [n for n in here.book.all() if n.cause]
        assert draft.state == "draft" and set(draft.scope) == {"smtp", "imap"} and not draft.found_ended
        await rounds(made, here, 12, edges=[edge])
        return here.book.get(draft.id)

    draft = asyncio.run(run())
    assert draft.state == "draft" and draft.found_ended and 100 < (draft.until_at - draft.from_at).total_seconds() < 140
    assert [s for s in subjects(here, f"<outage-{draft.id}-", "postmaster") if s.startswith("Cần xác nhận")]


def test_a_step_that_fails_keeps_no_other_from_being_done(place, monkeypatch):
    here = place()
    made_of = []

    async def run():
        made = duty(here)

        async def broken():
            raise RuntimeError("defect")

        monkeypatch.setattr(made, "_advance", broken)
        await made.look()
        await made._tasks.finish(20)
        made_of.append(here.book.get(here.notice.id).sent)

    asyncio.run(run())
    assert {state.state for state in made_of[0].values()} == {"done"}
