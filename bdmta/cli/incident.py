"""`bdmta incident list`."""

from __future__ import annotations

from typing import Annotated

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, print_table
from bdmta.office.client import call

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """What policies refused."""


@app.command("list")
def list_(
    days: Annotated[int, typer.Option(min=1, max=3650, help="So many days back.")] = 30, as_json: JsonOption = False
) -> None:
    """By sender and policy, the most frequent first (Điều 18.1)."""
    rows = call(current_site(), "incident_list", days=days)
    if as_json:
        print_json(rows)
        return
    columns = ("sender", "policy", "direction", "count", "last_at", "codes")
    print_table(columns, [[*(row[c] for c in columns[:5]), ", ".join(row["codes"])] for row in rows])
