"""`bdmta dmarc`: the daily reports to other domains, and those that come to us."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, print_table, say
from bdmta.errors import BdmtaError, UsageError

if TYPE_CHECKING:
    from bdmta.mailauth.kept_reports import KeptReports

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


@app.command()
def collect(json: JsonOption = False) -> None:
    """Look through the mailbox that gets reports, and keep those about our domains; done every 15 minutes anyway."""
    from bdmta.clock import SystemClock
    from bdmta.mailauth.collect import collect as collect_now

    found = collect_now(current_site(), SystemClock().time())
    if json:
        print_json(asdict(found))
        return
    for line in found.unreadable:
        say(f"unreadable: {line}")
    say(f"{found.letters} letters looked at, {found.new} reports kept, {found.removed} old ones removed")


def _kept() -> KeptReports:
    from bdmta.mailauth.collect import reports_folder
    from bdmta.mailauth.kept_reports import KeptReports

    return KeptReports(reports_folder(current_site()))


def _day(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


@app.command("list")
def list_(
    domain: Annotated[str, typer.Option(help="Only reports about this domain.")] = "",
    since: Annotated[str, typer.Option(help="YYYY-MM-DD; else of the last 30 days.")] = "",
    json: JsonOption = False,
) -> None:
    """List the reports that came: what others saw of our domains, oldest first."""
    from bdmta.clock import SystemClock

    begin = _begin(since) if since else int(SystemClock().time()) - 30 * 86_400
    reports = [r for r in _kept().since(_day(begin)) if not domain or r.domain == domain.lower()]
    if json:
        print_json([{k: v for k, v in asdict(r).items() if k != "rows"} for r in reports])
        return
    rows = (
        (r.id, r.domain, r.reporter, _day(r.begin), r.letters, r.failed, r.brought_by + ("" if r.is_proven else " ?"))
        for r in reports
    )
    print_table(("id", "domain", "reporter", "day", "letters", "failed", "brought by (? not proven)"), rows)


@app.command()
def show(report_id: Annotated[str, typer.Argument(metavar="ID")], json: JsonOption = False) -> None:
    """Show one report, source by source."""
    report = _kept().get(report_id)
    if json:
        print_json(asdict(report))
        return
    proof = "proven by DMARC" if report.is_proven else "not proven: anybody may have made it up"
    say(
        f"{report.reporter} about {report.domain}, {_day(report.begin)}; brought by {report.brought_by or '?'}, {proof}"
    )
    columns = ("source", "letters", "disposition", "dkim", "spf", "from")
    print_table(columns, ([row[column] for column in columns] for row in report.rows))
