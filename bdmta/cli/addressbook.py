"""`bdmta addressbook`: what everybody may know of who has which address (Điều 6)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, print_table, say
from bdmta.errors import BdmtaError, UsageError
from bdmta.office.client import call

if TYPE_CHECKING:
    from bdmta.site import Site

app = typer.Typer()

_FORMATS = ("html", "csv", "vcard", "ldif", "json")
_KINDS = ("public", "internal")


@app.callback()
def addressbook() -> None:
    """The address book (Điều 6)."""


@app.command()
def export(
    out: Annotated[str, typer.Option(metavar="DIR", help="The folder; made when absent.")],
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="FORMAT", help="html, csv, vcard, ldif or json; all without it."),
    ] = None,
    internal: Annotated[
        bool, typer.Option("--internal", help="With everybody who has a mailbox; for those who have one.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write the address book into DIR: agencies and officials that are marked published, nobody else."""
    wanted = list(dict.fromkeys(formats or _FORMATS))
    for one in wanted:
        if one not in _FORMATS:
            raise UsageError(f"{one}: no such format; known are {', '.join(_FORMATS)}")
    site = current_site()
    book = call(site, "addressbook_entries", internal=internal)
    paths = _write(out, wanted, book, "" if internal else _search_url(site))
    counts = {"agencies": len(book["agencies"]), "officials": len(book["officials"]), "left_out": book["left_out"]}
    if json:
        print_json({**counts, "files": paths})
        return
    for path in paths:
        say(path)
    say(f"{counts['agencies']} agencies and {counts['officials']} officials")
    if book["left_out"]:
        say(f"left out, published without an address that receives: {', '.join(book['left_out'])}")


def _write(out: str, wanted: list[str], book: dict[str, Any], search_url: str) -> list[str]:
    """Each file is replaced whole, so that a web server never hands out half of one."""
    from bdmta.directory.addressbook_site import FILES, LABELS, files_of
    from storage.files import write_durable

    beside = [one for one in LABELS if os.path.exists(os.path.join(out, FILES[one]))]
    files = files_of(book, wanted, search_url, beside)
    os.makedirs(out, exist_ok=True)
    for name, octets in files.items():
        write_durable(os.path.join(out, name), octets, 0o644)
    return [os.path.join(out, FILES[one]) for one in wanted]


def _search_url(site: Site) -> str:
    """What answers a search on the exported pages without JavaScript; "" where the pages do not show the book."""
    from bdmta.setup.accounts import pages_url

    url = site.config.web.url and pages_url(site.config)  # told to everybody only when somebody has written it down
    return f"{url}addressbook" if url and site.config.addressbook.on_pages else ""


@app.command()
def publish(
    everything: Annotated[bool, typer.Option("--all", help="Also where it lies already, as far as we know.")] = False,
    json: JsonOption = False,
) -> None:
    """Bring the address book to the targets of `[addressbook]` that lack it. The server does it by itself."""
    from bdmta.directory import addressbook_publish

    site = current_site()
    told = []
    for kind in _KINDS:
        wish = _wish(site, kind)
        if wish.targets:
            for one in addressbook_publish.publish(wish, _read(site, kind == "internal"), everything=everything):
                told.append({"kind": kind, **one})
    if json:
        print_json(told)
    for one in told:
        if not json:
            say(f"{one['target']}: " + (f"{one['files']} files" if one["done"] else one["error"]))
    if failed := [one for one in told if not one["done"]]:
        raise BdmtaError(f"{len(failed)} of {len(told)} targets failed: {failed[0]['error']}")
    if not told and not json:
        say("nothing to publish: no target, or all have it")


def _wish(site: Site, kind: str) -> Any:
    from bdmta.config.credentials import read_credentials
    from bdmta.directory.addressbook_publish import Wish
    from bdmta.directory.addressbook_targets import Access

    settings = site.config.addressbook
    return Wish(
        kind=kind, targets=settings.targets if kind == "public" else settings.internal_targets,
        formats=settings.formats, search_url=_search_url(site) if kind == "public" else "",
        state_dir=site.addressbook_dir,
        access=Access(read_credentials(settings.credentials, "addressbook"), settings.ca_file, settings.timeout_s),
    )  # fmt: skip


def _read(site: Site, internal: bool) -> dict[str, Any]:
    """The entries, read beside whoever writes: a large book holds up no command."""
    from bdmta.clock import SystemClock
    from bdmta.directory.addressbook import reader_of

    with reader_of(site, SystemClock()) as reader:
        return reader.book(internal)


@app.command()
def status(json: JsonOption = False) -> None:
    """Show what each target holds, and what went wrong there."""
    from bdmta.directory.addressbook_publish import standing

    site = current_site()
    found = [one for kind in _KINDS for one in standing(site.addressbook_dir, kind, _wish(site, kind).targets)]
    if json:
        print_json(found)
        return
    print_table(
        ("book", "target", "published", "error"),
        ((one["kind"], one["target"], one["published_at"] or "never", one["error"]) for one in found),
    )
