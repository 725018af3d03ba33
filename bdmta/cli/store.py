"""`bdmta verify-store` and `bdmta reindex`."""

from __future__ import annotations

from typing import Annotated

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, say

_Address = Annotated[str | None, typer.Argument(metavar="[ADDRESS]", help="One mailbox; without it all of them.")]


def verify_store(
    address: _Address = None,
    repair: Annotated[bool, typer.Option("--repair", help="Rebuild what can be rebuilt; replay journals.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold mailboxes, directory and spool against one another; exit code 1 when something is wrong."""
    from bdmta.backup.plan import require_running_as_owner
    from bdmta.storecheck import verify

    site = current_site()
    require_running_as_owner(site)
    found = list(verify(site, address, repair=repair))
    open_problems = [one for one in found if not one.repaired]
    if as_json:
        print_json({"ok": not open_problems, "problems": [one.as_json() for one in found]})
    else:
        for one in found:
            say(f"{one.kind:<12} {one.path}: {one.text}{f' ({one.repaired})' if one.repaired else ''}")
        say("nothing wrong" if not found else f"{len(found)} found, {len(found) - len(open_problems)} repaired")
    if open_problems:
        raise typer.Exit(1)


def reindex(address: _Address = None) -> None:
    """Drop the indexes (a cache); they are made anew when a mailbox is opened. UIDs and flags stay."""
    from bdmta.storecheck import reindex as drop

    say(f"{drop(current_site(), address)} indexes dropped")
