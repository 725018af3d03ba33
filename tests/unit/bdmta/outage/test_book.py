"""The notices: what is asked twice is done once, an estimate is demanded, planned work runs its whole course."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bdmta.errors import BdmtaError, UsageError
from bdmta.outage.book import OutageBook, read_notices
from bdmta.outage.due import Rules
from bdmta.outage.jobs import Reach, is_public, jobs, next_attempt, progress
from bdmta.testing.clock import FakeClock

ZONE = "Asia/Ho_Chi_Minh"
RULES = Rules()
AGENCIES = {"sotttt", "sonv"}


@pytest.fixture
def clock():
    return FakeClock(datetime(2026, 11, 28, 1, 0, tzinfo=UTC))


@pytest.fixture
def book(tmp_path, clock):
    made = OutageBook(str(tmp_path), clock, ZONE)
    yield made
    made.close()


def opened(book, clock, **changed):
    asked = {
        "what": "Đứt cáp quang", "from_at": None, "until_at": clock.now() + timedelta(hours=2), "scope": ["smtp"],
        "is_planned": False, "is_agency": AGENCIES.__contains__, "by": "lan",
    }  # fmt: skip
    return book.open(**(asked | changed))


def kinds(book, notice_id):
    return [said.kind for said in book.get(notice_id).announcements]


def test_without_an_estimate_it_is_refused_by_the_rule(book, clock):
    with pytest.raises(UsageError, match="--until is missing.*Điều 15"):
        opened(book, clock, until_at=None)
    assert book.all() == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"until_at": datetime(2026, 11, 28, 0, 0, tzinfo=UTC)}, "--until is not after --from"),
        ({"until_at": datetime(2026, 11, 28, 0, 30, tzinfo=UTC), "from_at": datetime(2026, 11, 28, 0, 0, tzinfo=UTC)},
         "--until has passed.*Điều 15"),
        ({"from_at": datetime(2026, 11, 28, 2, 0, tzinfo=UTC)}, "add --planned"),
        ({"scope": ["ftp"]}, "--scope ftp: it is none of all, smtp, imap, web and no agency here"),
        ({"what": "  "}, "--what: one line"),
        ({"what": "x" * 501}, "--what: one line"),
        ({"what": "a\x07b"}, "--what: one line"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_and_leaves_nothing(book, clock, changed, says):
    with pytest.raises(UsageError, match=says):
        opened(book, clock, **changed)
    assert book.all() == []


def test_asked_twice_it_is_announced_once(book, clock):
    until = clock.now() + timedelta(hours=2)
    first = opened(book, clock, until_at=until)
    clock.advance(70)
    again = opened(book, clock, until_at=until, what=" Đứt  cáp quang ", scope=["SMTP"])
    assert again.id == first.id and kinds(book, first.id) == ["opened"]
    other = opened(book, clock, until_at=until, scope=["imap"])
    assert other.id != first.id
    start = clock.now() - timedelta(minutes=30)
    exact = opened(book, clock, from_at=start, until_at=until)
    book.close_notice(exact.id, done="xong", by="lan")
    assert opened(book, clock, from_at=start, until_at=until).id == exact.id, "a script that is run again"
    book.close_notice(first.id, done="xong", by="lan")
    assert opened(book, clock, until_at=until).id != first.id, "the same trouble again, since now"


def test_update_and_close_announce_only_what_is_new(book, clock):
    notice = opened(book, clock)
    later = clock.now() + timedelta(hours=5)
    for _ in range(2):
        book.update(notice.id, until_at=later, what=None, by="lan")
    book.update(notice.id, until_at=later, what="Đứt hai tuyến cáp", by="lan")
    for _ in range(2):
        book.close_notice(notice.id, done="Đã hàn cáp", by="lan")
    assert kinds(book, notice.id) == ["opened", "updated", "updated", "closed"]
    said = book.get(notice.id).announcements
    assert [a.what for a in said] == ["Đứt cáp quang", "Đứt cáp quang", "Đứt hai tuyến cáp", "Đứt hai tuyến cáp"]
    with pytest.raises(BdmtaError, match="closed"):
        book.update(notice.id, until_at=later + timedelta(hours=1), what=None, by="lan")
    with pytest.raises(BdmtaError, match="closed already"):
        book.close_notice(notice.id, done="khác", by="lan")
    with pytest.raises(UsageError, match="nothing to update"):
        book.update(opened(book, clock).id, until_at=None, what=None, by="lan")
    with pytest.raises(BdmtaError, match="no such notice"):
        book.get("20200101-9")


def test_an_estimate_that_passes_is_overdue_nags_and_is_healed_by_a_new_one(book, clock):
    notice = opened(book, clock)
    clock.advance(2 * 3600)
    book.advance(RULES, is_well=True)
    assert book.get(notice.id).state == "overdue"
    for _ in range(5):
        clock.advance(600)
        book.advance(RULES, is_well=True)
    assert kinds(book, notice.id) == ["opened", "overdue", "nag"]
    clock.advance(1800)
    book.advance(RULES, is_well=True)
    assert kinds(book, notice.id)[-2:] == ["nag", "nag"]
    book.update(notice.id, until_at=clock.now() + timedelta(hours=1), what=None, by="lan")
    assert book.get(notice.id).state == "open"
    clock.advance(3600)
    book.advance(RULES, is_well=True)
    assert book.get(notice.id).state == "overdue", "not planned: only a person says that it is done"


def planned(book, clock, hours=48):
    start = clock.now() + timedelta(hours=hours)
    until = start + timedelta(hours=1)
    return opened(book, clock, what="Thay ổ đĩa", from_at=start, until_at=until, scope=[], is_planned=True)


def test_planned_work_runs_its_whole_course_by_the_clock(book, clock):
    notice = planned(book, clock)
    states = []
    for _ in range(50 * 12):
        for event in book.advance(RULES, is_well=True):
            states.append((event["event"], (notice.from_at - clock.now()).total_seconds() / 3600))
        clock.advance(300)
    assert states == [("reminded", 24), ("reminded", 1), ("began", 0), ("closed", -1)]
    after = book.get(notice.id)
    assert after.began_at == notice.from_at and after.ended_at == notice.until_at and after.is_planned
    assert kinds(book, notice.id) == ["planned", "reminder", "reminder", "opened", "closed"]


def test_planned_work_that_is_not_done_in_time_is_overdue(book, clock):
    notice = planned(book, clock, hours=2)
    clock.advance(2 * 3600)
    book.advance(RULES, is_well=True)
    assert book.get(notice.id).state == "open"
    clock.advance(3600)
    book.advance(RULES, is_well=False)
    assert book.get(notice.id).state == "overdue"


def test_a_machine_that_was_off_all_the_time_catches_up_without_old_reminders(book, clock):
    notice = planned(book, clock)
    clock.advance(48 * 3600 + 1800)
    assert [e["event"] for e in book.advance(RULES, is_well=True)] == ["began"]
    clock.advance(5 * 3600)
    book.advance(RULES, is_well=True)
    assert book.get(notice.id).state == "closed" and book.get(notice.id).ended_at == clock.now()


def test_a_late_announcement_is_not_followed_by_reminders_that_were_due_before(book, clock):
    notice = planned(book, clock, hours=12)
    assert book.advance(RULES, is_well=True) == []
    clock.advance(11 * 3600)
    assert [e["event"] for e in book.advance(RULES, is_well=True)] == ["reminded"]
    assert book.get(notice.id).announcements[-1].hours == 1


def test_planned_work_can_be_called_off(book, clock):
    notice = planned(book, clock)
    book.close_notice(notice.id, done="Chưa có linh kiện", by="lan")
    assert kinds(book, notice.id) == ["planned", "cancelled"] and book.get(notice.id).is_cancelled
    clock.advance(72 * 3600)
    assert book.advance(RULES, is_well=True) == []


def gap(book, clock, minutes=10, **changed):
    asked = {"scope": ["all"], "what": "Mất điện", "cause": "power", "has_ended": True, "announce": False}
    return book.found(clock.now() - timedelta(minutes=minutes), clock.now(), **(asked | changed))


def test_a_gap_drafts_a_report_that_nobody_hears_of_before_it_is_confirmed(book, clock):
    draft = gap(book, clock)
    assert draft.state == "draft" and not draft.is_public
    assert gap(book, clock) is None, "found again after another start"
    with pytest.raises(BdmtaError, match="confirm or discard"):
        book.close_notice(draft.id, done="x", by="lan")
    book.confirm(draft.id, until_at=None, what="Mất điện toàn khu vực", done="Đã có điện", by="lan")
    after = book.confirm(draft.id, until_at=None, what=None, done="", by="lan")
    assert after.state == "closed" and after.is_public and after.what == "Mất điện toàn khu vực"
    assert kinds(book, draft.id) == ["draft", "report"]
    assert (after.began_at, after.ended_at) == (draft.from_at, draft.until_at)


def test_a_discarded_draft_stays_in_the_history_only(book, clock):
    draft = gap(book, clock)
    for _ in range(2):
        assert book.discard(draft.id, by="lan").closed_quietly
    assert gap(book, clock) is None
    with pytest.raises(BdmtaError, match="discarded"):
        book.confirm(draft.id, until_at=None, what=None, done="", by="lan")


def test_by_configuration_a_gap_is_reported_at_once(book, clock):
    notice = gap(book, clock, announce=True)
    assert notice.state == "closed" and [k for k in kinds(book, notice.id) if k != "quiet"] == ["report"]


def test_a_service_that_is_away_now_is_drafted_and_closed_when_it_is_back(book, clock):
    draft = gap(book, clock, scope=["smtp"], has_ended=False)
    with pytest.raises(UsageError, match="Điều 15"):
        book.confirm(draft.id, until_at=None, what=None, done="", by="lan")
    book.confirm(draft.id, until_at=clock.now() + timedelta(hours=1), what=None, done="", by="lan")
    assert book.get(draft.id).state == "open" and kinds(book, draft.id) == ["draft", "opened"]
    clock.advance(600)
    assert book.recovered(draft.id, clock.now()).state == "closed"
    other = gap(book, clock, minutes=3, scope=["imap"], has_ended=False)
    book.recovered(other.id, clock.now())
    assert book.get(other.id).state == "draft" and book.get(other.id).found_ended


def test_a_gap_under_a_notice_needs_none_of_its_own(book, clock):
    opened(book, clock, scope=["all"])
    clock.advance(3600)
    assert gap(book, clock, minutes=30) is None
    assert gap(book, clock, minutes=30, scope=["smtp"]) is None


def test_everything_is_there_after_a_restart_and_for_readers_beside(tmp_path, book, clock):
    notice = opened(book, clock)
    book.record(notice.id, 1, "page", state="done", attempts=1, note="5 files", next_at=None)
    planned(book, clock)
    clock.advance(7200)
    book.advance(RULES, is_well=True)
    before = book.all()
    assert read_notices(str(tmp_path)) == before
    book.close()
    again = OutageBook(str(tmp_path), clock, ZONE)
    assert again.all() == before
    again.close()
    book._history = OutageBook(str(tmp_path), clock, ZONE)._history


def test_a_history_changed_by_hand_is_put_aside_and_named(tmp_path, clock):
    book = OutageBook(str(tmp_path), clock, ZONE)
    opened(book, clock)
    opened(book, clock, scope=["imap"])
    book.close()
    path = tmp_path / "history.jsonl"
    path.write_text(path.read_text().replace("Đứt cáp quang", "Không có gì", 1))
    book = OutageBook(str(tmp_path), clock, ZONE)
    assert "line 2" in book.problem and "broken" in book.problem and book.all() == []
    opened(book, clock)
    book.close()


EVERYTHING = Reach("webhook", is_public)
NEWEST = Reach("page", is_public, newest_only=True)


def due(book, clock, *reaches):
    return [(job.channel, job.said.number) for job in jobs(book.all(), reaches, clock.now())]


def test_jobs_are_each_announcement_or_the_newest_and_failures_come_back(book, clock):
    notice = opened(book, clock)
    book.update(notice.id, until_at=clock.now() + timedelta(hours=3), what=None, by="lan")
    assert due(book, clock, EVERYTHING, NEWEST) == [("webhook", 1), ("webhook", 2), ("page", 2)]
    book.record(notice.id, 2, "page", state="done", attempts=1, note="ok", next_at=None)
    job = jobs(book.all(), [EVERYTHING], clock.now())[0]
    next_at = next_attempt(job.said, 1, clock.now())
    book.record(notice.id, 1, "webhook", state="waiting", attempts=1, note="502", next_at=next_at)
    assert due(book, clock, EVERYTHING, NEWEST) == [("webhook", 2)]
    clock.advance(5)
    assert due(book, clock, EVERYTHING, NEWEST) == [("webhook", 1), ("webhook", 2)]
    assert next_attempt(job.said, 9, clock.now()) == clock.now() + timedelta(seconds=900)
    clock.advance(24 * 3600)
    assert next_attempt(job.said, 50, clock.now()) is None
    assert progress(book.get(notice.id), [NEWEST])["page"]["receipt"] == "ok"


def test_a_channel_that_was_added_later_is_not_flooded_with_old_news(book, clock):
    notice = opened(book, clock)
    book.close_notice(notice.id, done="xong", by="lan")
    clock.advance(25 * 3600)
    assert due(book, clock, EVERYTHING) == []


def test_drafts_and_nags_are_for_operators_alone(book, clock):
    gap(book, clock)
    operators = Reach("operators", lambda notice, said: said.kind in ("draft", "nag"))
    assert due(book, clock, EVERYTHING, NEWEST) == []
    assert due(book, clock, operators) == [("operators", 1)]
