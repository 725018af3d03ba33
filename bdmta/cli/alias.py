"""`bdmta alias`: other addresses of a mailbox."""

from __future__ import annotations

from typing import Annotated

import typer

from bdmta.cli.context import JsonOption, administers, current_site, print_json, print_table, say
from bdmta.office.client import call

app = typer.Typer()


@app.command()
@administers
def add(
    address: Annotated[str, typer.Argument(metavar="ADDRESS")],
    targets: Annotated[list[str], typer.Argument(metavar="TARGET...")],
    json: JsonOption = False,
) -> None:
    """Make ADDRESS lead to one or more addresses, here or outside."""
    made = call(current_site(), "alias_add", address=address, targets=targets)
    if json:
        print_json(made)
        return
    say(f"{made['address']}: leads to {', '.join(made['targets'])}")


@app.command("list")
def list_(
    target: Annotated[str | None, typer.Argument(metavar="[TARGET]", help="Those that lead here.")] = None,
    json: JsonOption = False,
) -> None:
    """List aliases."""
    found = call(current_site(), "alias_list", target=target)
    if json:
        print_json(found)
        return
    print_table(("address", "leads to"), ((alias["address"], ", ".join(alias["targets"])) for alias in found))


@app.command()
@administers
def remove(
    address: Annotated[str, typer.Argument(metavar="ADDRESS")],
    rest_days: Annotated[
        int | None, typer.Option("--rest-days", min=0, help="How long nobody else gets it; 0: free at once.")
    ] = None,
) -> None:
    """Remove an alias; its address rests before anyone else can have it."""
    call(current_site(), "alias_remove", address=address, rest_days=rest_days)
    say(f"{address}: removed")


@app.command()
@administers
def release(address: Annotated[str, typer.Argument(metavar="ADDRESS")]) -> None:
    """Give a removed address free before its rest is over."""
    call(current_site(), "address_release", address=address)
    say(f"{address}: free")
