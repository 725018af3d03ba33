"""The log: structlog on stderr, a line or a JSON object an event; never content, never a password (Điều 2)."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from bdmta.site import Site

_NOT_BARE = re.compile(r"[\s=\"'\x00-\x1f\x7f-\x9f]")


def configure(level: str, form: str, **bound: Any) -> Any:
    """Set logging up for this process and return its logger, with `bound` in every event."""
    threshold = getattr(logging, level.upper())
    renderer: Any
    if form == "json":
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    elif not sys.stderr.isatty():
        renderer = _Line()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=True, pad_event_to=0, pad_level=False,
            exception_formatter=structlog.dev.plain_traceback,  # rich's would show local variables: letters' octets
        )  # fmt: skip
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if form == "json" else _as_it_is,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries (aiosmtpd, asyncio) log through the standard module; theirs is only worth hearing from warning up.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s", force=True)
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    return structlog.get_logger().bind(**bound)


def quiet_log(site: Site) -> Any:
    """The logger of a command: warnings and worse, on stderr."""
    return configure("warning", site.config.log.format, process="command")


class _Line:
    """structlog's console form without colours, for a line a letter: `<time> [<level>] <event> <key>=<value> ...`."""

    def __init__(self) -> None:
        self._console = structlog.dev.ConsoleRenderer(
            colors=False, pad_event_to=0, pad_level=False, exception_formatter=structlog.dev.plain_traceback
        )

    def __call__(self, logger: Any, method: str, event: Any) -> str:
        if "exc_info" in event or "exception" in event or "stack" in event:
            return self._console(logger, method, event)
        head = f"{event.pop('timestamp')} [{event.pop('level')}] {event.pop('event')}"
        return " ".join([head, *(f"{key}={_shown(event[key])}" for key in sorted(event))])


def _shown(value: Any) -> str:
    """As the console form does: bare where no space, quote or `=` is in it; control characters are never written."""
    if type(value) is not str:
        return repr(value)
    return repr(value) if _NOT_BARE.search(value) else value


def _as_it_is(logger: Any, method: str, event: Any) -> Any:
    return event
