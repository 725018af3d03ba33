"""`bdmta trace`: where a letter is and what happened to it. No subject, no content (Điều 2)."""

from __future__ import annotations

import json as json_text
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, print_table, say
from bdmta.errors import BdmtaError
from bdmta.office.client import call
from bdmta.queue.progress import Progress, in_words, progress


def trace(
    what: Annotated[str, typer.Argument(metavar="MESSAGE-ID-OR-ADDRESS", help="Or the reference in a reply.")],
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many facts, the newest.")] = 1000,
    state: Annotated[bool, typer.Option("--state", help="Only how far each recipient's copy has come.")] = False,
    json: JsonOption = False,
) -> None:
    """Show what is on record about a letter or an address, oldest first; of one letter also whether it is all sent."""
    facts = call(current_site(), "trace", text=what, limit_count=limit)
    letters = {fact["reference"] for fact in facts if fact["event"] in ("accepted", "queued", "delivered")}
    if state:
        if len(letters) != 1:
            raise BdmtaError(f"{what}: {len(letters) or 'no'} letters are on record; give a reference or a Message-ID")
        _show_state(progress(facts), as_json=json)
        return
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
    if len(letters) == 1:
        say("")
        _show_state(progress(facts), as_json=False)


def _show_state(states: Sequence[Progress], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(one) for one in states])
        return
    print_table(("to", "state", "since", "said"), ((one.recipient, one.state, one.at, one.said) for one in states))
    say(in_words(states))
