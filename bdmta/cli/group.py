"""`bdmta group`: one address for many mailboxes."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from bdmta.cli.context import JsonOption, administers, current_site, print_json, print_table, say
from bdmta.office.client import call

app = typer.Typer()

AddressArgument: TypeAlias = Annotated[str, typer.Argument(metavar="ADDRESS")]


@app.command()
@administers
def add(
    address: AddressArgument,
    members: Annotated[list[str] | None, typer.Argument(metavar="[MEMBER...]")] = None,
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    owner: Annotated[str | None, typer.Option(help="The mailbox that may send as the group.")] = None,
    json: JsonOption = False,
) -> None:
    """Make a group of mailboxes, aliases, other groups, addresses outside."""
    made = call(current_site(), "group_add", address=address, name=name, members=members or [], owner=owner)
    if json:
        print_json(made)
        return
    say(f"{made['address']}: {len(made['members'])} members")


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """List groups."""
    found = call(current_site(), "group_list")
    if json:
        print_json(found)
        return
    rows = ((group["address"], group["name"], group["owner"], len(group["members"])) for group in found)
    print_table(("address", "name", "owner", "members"), rows)


@app.command()
@administers
def members(
    address: AddressArgument,
    add: Annotated[list[str] | None, typer.Option("--add", metavar="ADDRESS", help="May be repeated.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="ADDRESS", help="May be repeated.")] = None,
    json: JsonOption = False,
) -> None:
    """Show the direct members of a group, after adding and removing some."""
    found = call(current_site(), "group_members", address=address, add=add or [], remove=remove or [])
    if json:
        print_json(found)
        return
    print_table(("member",), ([member] for member in found))


@app.command()
@administers
def remove(
    address: AddressArgument,
    rest_days: Annotated[
        int | None, typer.Option("--rest-days", min=0, help="How long nobody else gets it; 0: free at once.")
    ] = None,
) -> None:
    """Remove a group; its members stay."""
    call(current_site(), "group_remove", address=address, rest_days=rest_days)
    say(f"{address}: removed")
