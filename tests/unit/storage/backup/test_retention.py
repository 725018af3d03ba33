"""Which backups stay."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from storage.backup.retention import Keep, surplus

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
NOON = datetime(2026, 11, 28, 5, 0, tzinfo=UTC)


def hours(count):
    return [(f"{number:05}", (NOON - timedelta(hours=number)).timestamp()) for number in range(count)]


def kept(taken, keep):
    return sorted({one for one, _ in taken} - set(surplus(taken, keep, ZONE)))


def test_hours_then_days():
    taken = hours(72)
    assert kept(taken, Keep(3, 0, 0, 0)) == ["00000", "00001", "00002"]
    # The newest of each day: now (12:00), and 23:00 of the days before.
    assert kept(taken, Keep(0, 3, 0, 0)) == ["00000", "00013", "00037"]


def test_empty_periods_do_not_count():
    taken = [("old", 0.0), ("older", -86_400.0 * 40), ("new", NOON.timestamp())]
    assert kept(taken, Keep(0, 0, 0, 3)) == ["new", "old", "older"]


def test_one_by_hand_stays_for_hours_and_goes_with_its_day():
    taken = [("a", 0.0), ("b", 60.0)]
    assert surplus(taken, Keep(1, 0, 0, 0), UTC) == []
    assert surplus([*taken, ("c", 3700.0)], Keep(1, 1, 0, 0), UTC) == ["a", "b"]
    assert surplus(taken, Keep(0, 5, 0, 0), UTC) == ["a"]


@given(
    st.lists(st.floats(0, 4e9), max_size=50, unique=True), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5),
    st.integers(0, 5),
)  # fmt: skip
def test_the_newest_stays_and_more_is_kept_by_more(times, h, d, w, m):
    taken = [(f"{number}", at) for number, at in enumerate(times)]
    gone = set(surplus(taken, Keep(h, d, w, m), ZONE))
    if taken:
        assert max(taken, key=lambda one: one[1])[0] not in gone
    assert set(surplus(taken, Keep(h + 1, d, w, m), ZONE)) <= gone
    recent = sum(at > max(times, default=0) - h * 3600 for at in times)
    assert len(taken) - len(gone) <= max(1, h + d + w + m) + recent
