"""`bdmta audit list|export`."""

from __future__ import annotations

import csv
import json as json_text
import sys
from typing import Annotated

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, print_table
from bdmta.office.client import call

app = typer.Typer(no_args_is_help=True)

_COLUMNS = ("at", "actor", "action", "subject", "detail")
_Subject = Annotated[str | None, typer.Option(help="Only what was done to this address.")]


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
        print_table(_COLUMNS, [[*(row[c] for c in _COLUMNS[:4]), _detail(row["detail"])] for row in rows])


@app.command()
def export(subject: _Subject = None) -> None:
    """All of it as CSV on standard output."""
    writer = csv.writer(sys.stdout)
    writer.writerow(_COLUMNS)
    for row in call(current_site(), "audit_list", subject=subject, limit_count=1_000_000):
        writer.writerow([*(row[c] for c in _COLUMNS[:4]), _detail(row["detail"])])


def _detail(detail: object) -> str:
    return json_text.dumps(detail, ensure_ascii=False) if detail else ""
