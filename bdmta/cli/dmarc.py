"""`bdmta dmarc`: the daily reports to other domains, and those that come to us."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from bdmta.cli.context import JsonOption, current_site, print_json, print_table, say
from bdmta.errors import BdmtaError, UsageError

app = typer.Typer()

_EVENTS = ("accepted", "refused")


@app.command()
def report(
    day: Annotated[str, typer.Option(help="YYYY-MM-DD in UTC; else yesterday.")] = "",
    send: Annotated[bool, typer.Option("--send", help="Queue them for those that want them, each once.")] = False,
    out: Annotated[str, typer.Option(help="Write the files into this folder.")] = "",
    json: JsonOption = False,
) -> None:
    """Make the aggregate reports of one day for every domain that asks for them."""
    from bdmta.clock import SystemClock
    from bdmta.dns import Resolver
    from bdmta.mailauth.aggregate import rows_of
    from bdmta.mailauth.reporting import Reporter
    from storage.ledger import Ledger
    from storage.spool import Spool

    site, clock = current_site(), SystemClock()
    config = site.config
    begin = _begin(day, clock.now())
    if not config.dns.servers:
        raise BdmtaError("[dns] servers is empty: nobody can be asked who wants reports")
    ledger = Ledger.open(site.ledger_db, readonly=True)
    try:
        found = rows_of(fact for event in _EVENTS for fact in ledger.events(event, begin, begin + 86_400))
    finally:
        ledger.close()
    reporter = Reporter(
        Resolver(config.dns.servers, config.dns.timeout_s), clock, hostname=config.server.hostname,
        contact=config.postmaster,
    )  # fmt: skip
    made = asyncio.run(reporter.make(begin, found))
    spool, sent_dir = Spool(site.queue_dir, clock), os.path.join(site.data_dir, "dmarc", "sent")
    rows = []
    for one in made:
        state = one.reason or "made"
        if out and one.octets:
            os.makedirs(out, exist_ok=True)
            with open(os.path.join(out, one.file_name), "wb") as file:
                file.write(one.octets)
        if send and not one.reason:
            state = "sent" if reporter.send(one, spool, sent_dir) else "sent before"
        rows.append((one.domain, one.letters_count, state, list(one.recipients)))
    if json:
        print_json([{"domain": d, "letters": n, "state": s, "recipients": r} for d, n, s, r in rows])
        return
    print_table(("domain", "letters", "state", "to"), ((d, n, s, ", ".join(r)) for d, n, s, r in rows))


def _begin(day: str, now: datetime) -> int:
    if not day:
        day = (now.astimezone(UTC) - timedelta(days=1)).strftime("%Y-%m-%d")
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
