"""`bdmta dmarc`: the daily reports to other domains, and those that come to us."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, print_table, say
from bdmta.errors import BdmtaError, UsageError

app = typer.Typer()


@app.command("report")
def report_(
    day: Annotated[str, typer.Option(help="YYYY-MM-DD in UTC; else yesterday.")] = "",
    send: Annotated[bool, typer.Option("--send", help="Queue them for those that want them, each once.")] = False,
    out: Annotated[str, typer.Option(help="Write the files into this folder.")] = "",
    json: JsonOption = False,
) -> None:
    """Make the aggregate reports of one day for every domain that asks for them."""
    from bdmta.clock import SystemClock
    from bdmta.mailauth.daily import reports_of, yesterday

    site, clock = current_site(), SystemClock()
    if not site.config.dns.servers:
        raise BdmtaError("[dns] servers is empty: nobody can be asked who wants reports")
    begin = _begin(day) if day else yesterday(clock)
    made = asyncio.run(reports_of(site, clock, begin, send=send))
    rows = [(m.report.domain, m.report.letters_count, m.state, list(m.report.recipients)) for m in made]
    for report in (m.report for m in made if out and m.report.octets):
        os.makedirs(out, exist_ok=True)
        with open(os.path.join(out, report.file_name), "wb") as file:
            file.write(report.octets)
    if json:
        print_json([{"domain": d, "letters": n, "state": s, "recipients": r} for d, n, s, r in rows])
        return
    print_table(("domain", "letters", "state", "to"), ((d, n, s, ", ".join(r)) for d, n, s, r in rows))


def _begin(day: str) -> int:
    try:
        return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise UsageError(f"--day {day}: give YYYY-MM-DD") from None


@app.command("read")
def read_(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Reports: letters, .xml or .xml.gz.")],
    json: JsonOption = False,
) -> None:
    """Show what other systems saw of our domains."""
    from bdmta.mailauth.aggregate import ReportUnreadable
    from bdmta.mailauth.received_report import reports_in

    found = []
    for path in files:
        with open(path, "rb") as file:
            octets = file.read(64 * 1024 * 1024)
        try:
            found += [(path, one) for one in reports_in(octets)]
        except ReportUnreadable as error:
            raise BdmtaError(f"{path}: {error}") from None
    if json:
        print_json([{"file": path, **asdict(one)} for path, one in found])
        return
    for path, one in found:
        say(f"{path}: {one.reporter} about {one.domain}")
        keys = ("row/source_ip", "row/count", "row/policy_evaluated/disposition", "row/policy_evaluated/dkim",
                "row/policy_evaluated/spf", "identifiers/header_from")  # fmt: skip
        columns = ("source", "letters", "disposition", "dkim", "spf", "from")
        print_table(columns, ([record.get(key, "") for key in keys] for record in one.records))
