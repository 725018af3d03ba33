"""`bdmta agency`: agencies, their abbreviations and who is above whom (Điều 5.2)."""

from __future__ import annotations

import sys
from typing import Annotated, Any, TypeAlias

import typer

from bdmta.cli.context import JsonOption, administers, current_site, print_json, print_table, say
from bdmta.errors import BdmtaError, UsageError
from bdmta.office.client import call

app = typer.Typer()

AbbreviationArgument: TypeAlias = Annotated[str, typer.Argument(metavar="ABBREVIATION")]
PublishedOption: TypeAlias = Annotated[
    bool | None, typer.Option("--published/--unpublished", help="In the public address book (Điều 6).")
]
_COLUMNS = ("abbreviation", "name", "level", "parent", "address", "published")
_SHOWN_COUNT = 50


@app.command()
@administers
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The full name, with diacritics.")],
    abbreviation: Annotated[
        str | None, typer.Option(help="The local part of its address; without it, suggested from the name.")
    ] = None,
    level: Annotated[str, typer.Option(help="province, district, commune or unit.")] = "province",
    parent: Annotated[str | None, typer.Option(help="The abbreviation of the agency above it.")] = None,
    head: Annotated[str, typer.Option(help="Its head: a name or an address.")] = "",
    clerk: Annotated[str, typer.Option(help="Its clerk: a name or an address.")] = "",
    paper_address: Annotated[str, typer.Option(help="Where letters on paper go.")] = "",
    published: PublishedOption = None,
    json: JsonOption = False,
) -> None:
    """Enter an agency. Its mailbox is made apart: `bdmta mailbox add … --kind agency`."""
    made = call(
        current_site(), "agency_add", name=name, abbreviation=abbreviation, level=level, parent=parent, head=head,
        clerk=clerk, paper_address=paper_address, published=bool(published),
    )  # fmt: skip
    if json:
        print_json(made)
        return
    say(f"{made['abbreviation']}: {made['name']} added" + ("" if made["has_mailbox"] else "; it has no mailbox yet"))


@app.command()
def suggest(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    parent: Annotated[str, typer.Option(help="The abbreviation of the agency above it.")] = "",
    json: JsonOption = False,
) -> None:
    """Suggest abbreviations for an agency's name, and say which are free."""
    found = call(current_site(), "agency_suggest", name=name, parent=parent)
    if json:
        print_json(found)
        return
    print_table(("abbreviation", "state"), ((one["abbreviation"], one["obstacle"] or "free") for one in found))


@app.command("list")
def list_(
    level: Annotated[str | None, typer.Option(help="Of this level only.")] = None,
    parent: Annotated[str | None, typer.Option(help="Directly below this agency only.")] = None,
    json: JsonOption = False,
) -> None:
    """List agencies."""
    found = call(current_site(), "agency_list", level=level, parent=parent)
    if json:
        print_json(found)
        return
    print_table(_COLUMNS, ([_cell(one[column]) for column in _COLUMNS] for one in found))


@app.command()
def show(abbreviation: AbbreviationArgument, json: JsonOption = False) -> None:
    """Show one agency."""
    found = call(current_site(), "agency_show", abbreviation=abbreviation)
    if json:
        print_json(found)
        return
    print_table(("field", "value"), ((key, _cell(value)) for key, value in found.items()))


@app.command("set")
@administers
def set_(
    abbreviation: AbbreviationArgument,
    name: Annotated[str | None, typer.Option()] = None,
    level: Annotated[str | None, typer.Option(help="province, district, commune or unit.")] = None,
    parent: Annotated[str | None, typer.Option(help="The agency above it; '' for none.")] = None,
    head: Annotated[str | None, typer.Option()] = None,
    clerk: Annotated[str | None, typer.Option()] = None,
    paper_address: Annotated[str | None, typer.Option()] = None,
    published: PublishedOption = None,
    json: JsonOption = False,
) -> None:
    """Change what is given, leave the rest. The abbreviation itself stays: it is an address."""
    fields = {
        "name": name, "level": level, "parent": parent, "head": head, "clerk": clerk, "paper_address": paper_address,
        "published": published,
    }  # fmt: skip
    if all(value is None for value in fields.values()):
        raise UsageError(f"{abbreviation}: nothing to set; give --name, --level, --parent, --head, --clerk, …")
    made = call(current_site(), "agency_set", abbreviation=abbreviation, **fields)
    if json:
        print_json(made)
        return
    say(f"{made['abbreviation']}: changed")


@app.command("import")
@administers
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE.csv", help="name[,abbreviation,parent,level,head,clerk,…]")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    json: JsonOption = False,
) -> None:
    """Enter agencies in bulk, all or nothing. Columns: name, abbreviation, parent, level, head, clerk,
    paper_address, published.
    """
    from bdmta.directory.agencies_csv import read_agencies

    with open(file, encoding="utf-8", newline="") as source:
        rows = list(read_agencies(source, file))
    if not rows:
        raise UsageError(f"{file}: no rows")
    outcome = call(current_site(), "agency_import", rows=rows, dry_run=dry_run)
    if json:
        problems = [{"line": line, "name": name, "reason": reason} for line, name, reason in outcome["problems"]]
        is_ok = not problems
        print_json(
            {"ok": is_ok, "dry_run": dry_run, "agencies": outcome["agencies"] if is_ok else [], "problems": problems}
        )
    if outcome["problem_count"]:
        _refuse(file, outcome)
    if not json:
        print_table(
            ("line", "abbreviation", "name"),
            ((one["line"], one["abbreviation"], one["name"]) for one in outcome["agencies"]),
        )
        say(f"{file}: {len(outcome['agencies'])} agencies {'would be added' if dry_run else 'added'}")


def _refuse(file: str, outcome: dict[str, Any]) -> None:
    for line, name, reason in outcome["problems"][:_SHOWN_COUNT]:
        sys.stderr.write(f"{file}, line {line}: {name}: {reason}\n")
    if outcome["problem_count"] > _SHOWN_COUNT:
        sys.stderr.write(f"{file}: and {outcome['problem_count'] - _SHOWN_COUNT} lines more\n")
    raise BdmtaError(f"{file}: nothing imported, {outcome['problem_count']} lines have problems")


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else value
