"""Times as operators write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bdmta.errors import UsageError
from bdmta.outage.times import parse_moment

NOW = datetime(2026, 11, 28, 18, 30, 42, tzinfo=UTC)  # 01:30:42 on the 29th in Vietnam


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("14:30", datetime(2026, 11, 29, 7, 30, tzinfo=UTC)),
        ("9h05", datetime(2026, 11, 29, 2, 5, tzinfo=UTC)),
        ("2026-11-30T08:00", datetime(2026, 11, 30, 1, 0, tzinfo=UTC)),
        ("2026-11-30 08:00", datetime(2026, 11, 30, 1, 0, tzinfo=UTC)),
        ("2026-11-30T08:00+07:00", datetime(2026, 11, 30, 1, 0, tzinfo=UTC)),
        ("2026-11-30T08:00Z", datetime(2026, 11, 30, 8, 0, tzinfo=UTC)),
        ("+45m", datetime(2026, 11, 28, 19, 15, tzinfo=UTC)),
        ("+2h", datetime(2026, 11, 28, 20, 30, tzinfo=UTC)),
        ("now", datetime(2026, 11, 28, 18, 30, tzinfo=UTC)),
    ],
)
def test_each_form(text, expected):
    assert parse_moment(text, NOW, "Asia/Ho_Chi_Minh", "--until") == expected


@pytest.mark.parametrize("text", ["", "25:00", "14:61", "sớm", "2026-13-01T00:00", "-1h", "+99999h"])
def test_what_is_no_time_is_named(text):
    with pytest.raises(UsageError, match="--until .*is no time; write 14:30"):
        parse_moment(text, NOW, "Asia/Ho_Chi_Minh", "--until")
