"""The heartbeat: gaps found at the start and while it runs; how much of a month a service was there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bdmta.outage.availability import Away, availability, excused, month_span
from bdmta.outage.heart import CRASH, DISK, POWER, SILENT_AFTER_S, STOP, EdgeBeat, Heart, pulse
from bdmta.outage.notice import Notice
from bdmta.testing.clock import FakeClock

ALL = ("smtp", "imap")


@pytest.fixture
def clock():
    return FakeClock()


def heart(tmp_path, clock, boot="a"):
    return Heart(str(tmp_path), clock, ALL, boot=boot)


def run(made, edges, clock, seconds, *, full=False):
    gaps = []
    for _ in range(int(seconds // 4)):
        for edge in edges:
            edge.beat(ALL)
        gaps += made.look(disk_is_full=full)
        clock.advance(4)
    return gaps


@pytest.mark.parametrize(("ends", "boot", "cause"), [("kill", "a", CRASH), ("kill", "b", POWER), ("stop", "a", STOP)])
def test_the_time_between_two_runs_is_a_gap_of_everything(tmp_path, clock, ends, boot, cause):
    first, edge = heart(tmp_path, clock), EdgeBeat(str(tmp_path), 0, clock)
    assert first.start() is None, "a new system was never away"
    assert run(first, [edge], clock, 60) == [] and first.is_well
    if ends == "stop":
        first.stop()
    last = clock.time()
    clock.advance(900)
    found = heart(tmp_path, clock, boot).start()
    assert (found.services, found.cause, found.ended, found.until_at) == (ALL, cause, True, clock.time())
    assert 0 <= last - found.from_at <= 4


def test_while_it_runs_a_dead_edge_is_missed_and_another_one_stands_for_it(tmp_path, clock):
    made, edges = heart(tmp_path, clock), [EdgeBeat(str(tmp_path), n, clock) for n in (0, 1)]
    made.start()
    assert run(made, edges, clock, 60) == []
    assert run(made, edges[:1], clock, 60) == [] and made.is_well
    gaps = run(made, [], clock, 60)
    assert gaps and not made.is_well and {g.services for g in gaps} == {ALL}, "one edge, one outage"
    assert all(not g.ended and g.until_at - g.from_at > SILENT_AFTER_S for g in gaps)
    back = [g for g in run(made, edges, clock, 8) if g.ended]
    assert len(back) == 1 and made.is_well and 50 < back[0].until_at - back[0].from_at < 70


def test_a_clock_that_is_set_is_no_outage(tmp_path, clock):
    made, edge = heart(tmp_path, clock), EdgeBeat(str(tmp_path), 0, clock)
    made.start()
    run(made, [edge], clock, 40)
    clock._at += 7200  # the wall clock alone
    assert made.look(disk_is_full=False) == []
    assert run(made, [edge], clock, 40) == [] and made.is_well


def test_a_full_disk_stops_smtp_alone(tmp_path, clock):
    made, edge = heart(tmp_path, clock), EdgeBeat(str(tmp_path), 0, clock)
    made.start()
    run(made, [edge], clock, 40)
    gaps = run(made, [edge], clock, 40, full=True)
    assert {(g.services, g.cause) for g in gaps} == {(("smtp",), DISK)}
    assert [g.ended for g in run(made, [edge], clock, 4)] == [True]


def test_the_page_knows_by_the_heartbeat(tmp_path, clock):
    made, edge = heart(tmp_path, clock), EdgeBeat(str(tmp_path), 0, clock)
    assert pulse(str(tmp_path), clock.time()).silent_since is None
    made.start()
    run(made, [edge], clock, 40)
    assert pulse(str(tmp_path), clock.time()).silent_since is None
    clock.advance(SILENT_AFTER_S + 1)
    assert pulse(str(tmp_path), clock.time()).silent_since == pytest.approx(clock.time() - SILENT_AFTER_S - 5)
    run(made, [], clock, 40)
    assert set(pulse(str(tmp_path), clock.time()).away) == set(ALL)
    made.stop()
    assert pulse(str(tmp_path), clock.time()).stopped


@pytest.mark.parametrize("octets", [b"", b"\0" * 256, b"[1]", b'{"at": "x"}', b'{"at": 1, "away": 3}'])
def test_a_beat_that_power_took_half_says_nothing(tmp_path, clock, octets):
    (tmp_path / "heartbeat.json").write_bytes(octets)
    assert pulse(str(tmp_path), 1.0).silent_since is None
    heart(tmp_path, clock).start()


def test_a_disk_that_takes_no_beat_harms_nobody(clock):
    EdgeBeat("/nowhere", 0, clock).beat(ALL)


# -- availability

START = datetime(2026, 11, 1, 17, 0, tzinfo=UTC)
SPAN = month_span(2026, 11, "Asia/Ho_Chi_Minh")
NOW = datetime(2027, 1, 1, tzinfo=UTC)


def notice(hours_from, hours_until, *, scope=("all",), planned=False, estimate=None):
    began, ended = START + timedelta(hours=hours_from), START + timedelta(hours=hours_until)
    until = START + timedelta(hours=estimate) if estimate is not None else ended
    return Notice(id=f"{hours_from}-{hours_until}-{scope}", what="x", from_at=began, until_at=until, scope=scope,
                  state="closed", is_planned=planned, began_at=began, ended_at=ended)  # fmt: skip


def hours(found, service):
    one = next(row for row in found if row.service == service)
    return one.planned_s / 3600, one.unplanned_s / 3600


def test_a_month_is_the_offices_own():
    assert SPAN[0].isoformat() == "2026-11-01T00:00:00+07:00" and SPAN[1].isoformat() == "2026-12-01T00:00:00+07:00"
    assert month_span(2026, 12, "Asia/Ho_Chi_Minh")[1].isoformat() == "2027-01-01T00:00:00+07:00"


def test_planned_time_is_apart_and_nothing_counts_twice():
    notices = [notice(10, 12, planned=True), notice(20, 23, scope=("smtp",)), notice(22, 24, scope=("smtp", "imap"))]
    aways = [Away("smtp", START + timedelta(hours=11), START + timedelta(hours=21))]
    found = availability(SPAN, NOW, notices, aways)
    assert hours(found, "smtp") == (2, 12), "12-20 by heartbeat, 20-24 by notices; 11-12 was planned"
    assert hours(found, "imap") == (2, 2) and hours(found, "web") == (2, 0)
    smtp = found[0]
    assert smtp.total_s == 30 * 86_400 and smtp.percent == int((1 - 12 / 718) * 100_000) / 1000


def test_planned_work_that_took_longer_is_an_outage_from_the_promised_time():
    assert hours(availability(SPAN, NOW, [notice(10, 13, planned=True, estimate=11)], []), "imap") == (1, 2)


def test_the_running_month_ends_now_and_one_to_come_is_empty():
    now = SPAN[0] + timedelta(days=10)
    assert availability(SPAN, now, [], [])[0].total_s == 10 * 86_400
    assert availability(SPAN, SPAN[0], [], []) == []


def test_an_agency_alone_takes_nothing_from_the_service_but_is_excused():
    agency = notice(5, 7, scope=("sotttt",))
    assert hours(availability(SPAN, NOW, [agency], []), "imap") == (0, 0)
    assert excused([agency], NOW, services=("imap",), agency="sonv") == []
    assert excused([agency], NOW, services=("imap",), agency="sotttt") == [(agency.began_at, agency.ended_at)]


def test_excused_windows_are_merged_planned_or_not():
    found = excused([notice(1, 3), notice(2, 4, planned=True), notice(9, 10, scope=("smtp",))], NOW, services=("imap",))
    assert found == [(START + timedelta(hours=1), START + timedelta(hours=4))]


@given(st.lists(st.tuples(st.integers(-50, 800), st.integers(0, 60), st.booleans(), st.sampled_from([("all",), ("smtp",), ("imap",)])), max_size=12),
       st.lists(st.tuples(st.integers(-50, 800), st.integers(0, 60)), max_size=12))  # fmt: skip
def test_whatever_overlaps_no_second_is_counted_twice(noticed, missed):
    notices = [notice(a, a + b, planned=planned, scope=scope) for a, b, planned, scope in noticed]
    aways = [Away("smtp", START + timedelta(hours=a), START + timedelta(hours=a + b)) for a, b in missed]
    for row in availability(SPAN, NOW, notices, aways):
        assert 0 <= row.planned_s and 0 <= row.unplanned_s and row.planned_s + row.unplanned_s <= row.total_s
        assert 0 <= row.percent <= 100
