"""What requests need by calendar: letters that came, work that was begun, aliases whose months are over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bdmta.clock import Clock
from bdmta.directory.registry import Json
from bdmta.requests.doing import resume
from bdmta.requests.reading import read, waiting
from bdmta.site import Site


async def look(ask: Callable[..., Awaitable[Any]], errand: Callable[..., Awaitable[str]]) -> None:
    """Go on in a process of its own, when there is anything to do."""
    if await ask("request_letters") or await ask("request_work"):
        await errand("request", "resume")


def take_letters(site: Site, ask: Callable[..., Any]) -> list[Json]:
    """Read the letters at the request address that were not dealt with, and enter what they ask."""
    outcomes: list[Json] = []
    address = site.config.requests.address
    names = ask("request_letters")
    if not names:
        return outcomes
    paths = waiting(site.mail_root, address)
    for name in names:
        try:
            told = read(paths[name], site.config.requests.letter_octets)
        except (OSError, KeyError):  # its reader has moved it just now: next time
            continue
        outcomes.append({"letter": name, **ask("request_intake", letter=name, **told)})
    return outcomes


def go_on(site: Site, clock: Clock, ask: Callable[..., Any]) -> Json:
    """Everything of `bdmta request resume`."""
    return {"letters": take_letters(site, ask), "resumed": resume(site, clock, ask)}
