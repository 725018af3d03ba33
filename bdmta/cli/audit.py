"""`bdmta audit list|export|verify|head`: who administered what, on what grounds, in a log that shows every edit."""

from __future__ import annotations

import csv
import json as json_text
import os
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, print_table, say
from bdmta.errors import BdmtaError, UsageError
from bdmta.office.client import call

app = typer.Typer(no_args_is_help=True)

_COLUMNS = ("at", "actor", "action", "subject", "grounds", "before", "after", "detail", "id")
_BLOCK = 10_000
_LINE_OCTETS_MAX = 1_000_000
_Subject = Annotated[str | None, typer.Option(help="Only what was done to this address, agency or letter.")]


@app.command("list")
def list_(
    subject: _Subject = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many acts, the newest.")] = 200,
    as_json: JsonOption = False,
) -> None:
    """Who did what, the newest first."""
    rows = call(current_site(), "audit_list", subject=subject, limit_count=limit)
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [_cells(row) for row in rows])


@app.command()
def export(
    subject: _Subject = None,
    form: Annotated[
        str, typer.Option("--format", help="csv to read, jsonl with the hashes: `audit verify --file` takes it.")
    ] = "csv",
) -> None:
    """All of it on standard output, to keep elsewhere."""
    if form not in ("csv", "jsonl"):
        raise UsageError(f"--format {form}: one of csv, jsonl")
    if form == "jsonl":
        if subject:
            raise UsageError("--subject: lines taken out of the chain cannot be verified; leave it out, or take csv")
        for line in _kept_lines():
            sys.stdout.write(json_text.dumps(line) + "\n")
        return
    writer = csv.writer(sys.stdout)
    writer.writerow(_COLUMNS)
    for row in call(current_site(), "audit_list", subject=subject, limit_count=1_000_000):
        writer.writerow(_cells(row))


def _kept_lines() -> Iterator[dict[str, Any]]:
    site, last = current_site(), 0
    while block := call(site, "audit_lines", after_id=last, limit_count=_BLOCK):
        yield from block
        last = block[-1]["id"]


def _cells(row: dict[str, Any]) -> list[Any]:
    return [
        json_text.dumps(v, ensure_ascii=False) if isinstance(v, dict) and v else v or "" for v in map(row.get, _COLUMNS)
    ]


@app.command()
def head(
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Append it to FILE, on another machine's disk.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The number and hash of the newest line: written down elsewhere, it proves all lines up to it."""
    found = call(current_site(), "audit_head")
    if out is not None:
        _append(out, json_text.dumps(found))
    if as_json:
        print_json(found)
    else:
        say(f"{found['id']} {found['hash'] or '(no act yet)'} {found['at']}".rstrip())


def _append(path: str, line: str) -> None:
    with open(path, "a", encoding="ascii") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


@app.command()
def verify(
    anchor: Annotated[
        str | None, typer.Option(metavar="FILE", help="Heads that `audit head --out` wrote; the log must hold them.")
    ] = None,
    file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Verify this export (jsonl), not the log of the site.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that no line was changed, removed or put in; else name the first that is wrong, and exit with 1."""
    anchors = [] if anchor is None else _heads(anchor)
    if file is None:
        found = call(current_site(), "audit_verify", anchors=anchors)
    else:
        found = _verify_file(file, anchors)
    if as_json:
        print_json(found)
        if not found["ok"]:
            raise typer.Exit(1)
        return
    if not found["ok"]:
        raise BdmtaError(f"the audit log is broken at line {found['line']}: it {found['why']}")
    say(f"unbroken: {found['lines']} lines" + (f", {len(anchors)} written-down heads among them" if anchors else ""))
    if found["lines"]:
        say(f"head {found['head']['id']} {found['head']['hash']}")


def _verify_file(path: str, anchors: list[dict[str, Any]]) -> dict[str, Any]:
    from bdmta.office.audit import verified
    from storage.audit import Head

    return verified(_json_lines(path), [Head(id=one["id"], hash=one["hash"]) for one in anchors])


def _heads(path: str) -> list[dict[str, Any]]:
    found = list(_json_lines(path))
    for number, one in enumerate(found, 1):
        if not isinstance(one.get("id"), int) or not isinstance(one.get("hash"), str):
            raise UsageError(f"{path}: line {number} is no head of an audit log")
    return [one for one in found if one["id"] > 0]


def _json_lines(path: str) -> Iterator[dict[str, Any]]:
    with open(path, "rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(_LINE_OCTETS_MAX), b""), 1):
            try:
                row = json_text.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise UsageError(f"{path}: line {number} is not a JSON object")
            yield row
