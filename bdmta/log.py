"""The log: structlog on stderr, a line or a JSON object an event; never content, never a password (Điều 2)."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def configure(level: str, form: str, **bound: Any) -> Any:
    """Set logging up for this process and return its logger, with `bound` in every event."""
    threshold = getattr(logging, level.upper())
    renderer: Any
    if form == "json":
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=0, pad_level=False,
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


def _as_it_is(logger: Any, method: str, event: Any) -> Any:
    return event
