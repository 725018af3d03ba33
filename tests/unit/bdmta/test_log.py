"""The line of the log: as structlog's console form, at a tenth of its price."""

from __future__ import annotations

from typing import Any

import structlog
from hypothesis import given
from hypothesis import strategies as st

from bdmta.log import _Line

CONSOLE = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, pad_level=False)
PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" ='\"\t\n"))


@given(st.dictionaries(st.from_regex("[a-z_]{1,8}", fullmatch=True), PRINTABLE | st.integers() | st.none()))
def test_it_reads_as_the_console_form(values: dict[str, Any]) -> None:
    taken = ("timestamp", "level", "event", "logger", "logger_name", "stack", "exception", "exc_info")
    event = {key: value for key, value in values.items() if key not in taken}
    event |= {"timestamp": "2026-11-28T18:21:24Z", "level": "info", "event": "accepted"}
    assert _Line()(None, "info", dict(event)) == CONSOLE(None, "info", dict(event))


def test_no_control_character_gets_into_a_line() -> None:
    line = _Line()(None, "info", {"timestamp": "t", "level": "info", "event": "e", "sender": "a\x1b[2Jb\rc"})
    assert line.isprintable()


def test_a_traceback_is_shown() -> None:
    try:
        raise ValueError("no")
    except ValueError as error:
        shown = _Line()(None, "error", {"timestamp": "t", "level": "error", "event": "e", "exc_info": error})
    assert "ValueError: no" in shown
