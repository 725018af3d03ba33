"""`bdmta addressbook`: what everybody may know of who has which address (Điều 6)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, say
from bdmta.errors import UsageError
from bdmta.office.client import call

app = typer.Typer()

FORMATS = {
    "html": "index.html", "csv": "addressbook.csv", "vcard": "addressbook.vcf", "ldif": "addressbook.ldif",
}  # fmt: skip
_LABELS = {"csv": "CSV", "vcard": "vCard", "ldif": "LDIF"}


@app.callback()
def addressbook() -> None:
    """The address book (Điều 6)."""


@app.command()
def export(
    out: Annotated[str, typer.Option(metavar="DIR", help="The folder; made when absent.")],
    formats: Annotated[
        list[str] | None, typer.Option("--format", metavar="FORMAT", help="html, csv, vcard or ldif; all without it.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write the public address book into DIR: agencies and officials that are marked published, nobody else."""
    wanted = list(dict.fromkeys(formats or FORMATS))
    for one in wanted:
        if one not in FORMATS:
            raise UsageError(f"{one}: no such format; known are {', '.join(FORMATS)}")
    book = call(current_site(), "addressbook_entries")
    paths = _write(out, wanted, book)
    counts = {"agencies": len(book["agencies"]), "officials": len(book["officials"]), "left_out": book["left_out"]}
    if json:
        print_json({**counts, "files": paths})
        return
    for path in paths:
        say(path)
    say(f"{counts['agencies']} agencies and {counts['officials']} officials")
    if book["left_out"]:
        say(f"left out, published without an address that receives: {', '.join(book['left_out'])}")


def _write(out: str, wanted: list[str], book: dict[str, Any]) -> list[str]:
    """Each file is replaced whole, so that a web server never hands out half of one."""
    from bdmta.directory.addressbook_files import csv_file, ldif_file, vcard_file
    from bdmta.directory.addressbook_page import page
    from storage.files import write_durable

    beside = [one for one in _LABELS if one in wanted or os.path.exists(os.path.join(out, FORMATS[one]))]
    makers: dict[str, Callable[[dict[str, Any]], bytes]] = {
        "html": lambda book: page(book, [(_LABELS[one], FORMATS[one]) for one in beside]),
        "csv": csv_file,
        "vcard": vcard_file,
        "ldif": ldif_file,
    }
    os.makedirs(out, exist_ok=True)
    paths = []
    for one in wanted:
        path = os.path.join(out, FORMATS[one])
        write_durable(path, makers[one](book), 0o644)
        paths.append(path)
    return paths
