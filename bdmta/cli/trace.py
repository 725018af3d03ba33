"""`bdmta trace`: where a letter is and what happened to it. No subject, no content (Điều 2)."""

from __future__ import annotations

import json as json_text
from typing import Annotated

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, print_table
from bdmta.office.client import call


def trace(
    what: Annotated[str, typer.Argument(metavar="MESSAGE-ID-OR-ADDRESS", help="Or the reference in a reply.")],
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many facts, the newest.")] = 1000,
    json: JsonOption = False,
) -> None:
    """Show what is on record about a letter or an address, oldest first."""
    facts = call(current_site(), "trace", text=what, limit_count=limit)
    if json:
        print_json(facts)
        return
    print_table(
        ("at", "event", "from", "to", "detail"),
        (
            (
                fact["at"], fact["event"], fact["sender"], fact["recipient"],
                json_text.dumps({k: v for k, v in fact["detail"].items() if v}, ensure_ascii=False),
            )
            for fact in facts
        ),
    )  # fmt: skip
