"""`bdmta queue`: letters on their way out. No subject, no content (Điều 2)."""

from __future__ import annotations

from typing import Annotated

import typer

from bdmta.cli.context import JsonOption, administers, current_site, print_json, print_table, say
from bdmta.office.client import call

app = typer.Typer(no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID")]


@app.command("list")
def list_(
    domain: Annotated[str | None, typer.Option(help="Only letters for this domain.")] = None,
    sender: Annotated[str | None, typer.Option(help="Only letters of this sender.")] = None,
    json: JsonOption = False,
) -> None:
    """List the letters that wait, oldest first."""
    from bdmta.clock import SystemClock
    from bdmta.queue.calls import entries, shown
    from storage.spool import Spool

    site = current_site()
    rows = [shown(e, site.config.clock.timezone) for e in entries(Spool(site.queue_dir, SystemClock()))]
    if sender is not None:
        rows = [row for row in rows if row["sender"] == sender]
    if domain is not None:
        rows = [row for row in rows if any(r.lower().endswith(f"@{domain.lower()}") for r in row["recipients"])]
    if json:
        print_json(rows)
        return
    columns = ("id", "sender", "recipients", "attempts", "next_attempt_at", "last_reply")
    print_table(columns, ([_cell(row, column) for column in columns] for row in rows))


def _cell(row: dict[str, object], column: str) -> object:
    value = row[column]
    if column == "recipients" and isinstance(value, list):
        return ", ".join(value[:3]) + (f" and {len(value) - 3} more" if len(value) > 3 else "")
    if column == "next_attempt_at" and row["held"]:
        return "held"
    return "<>" if column == "sender" and not value else value


@app.command()
def show(entry_id: IdArgument, json: JsonOption = False) -> None:
    """Show one letter, recipient by recipient."""
    from bdmta.clock import SystemClock
    from bdmta.queue.calls import shown, shown_recipient
    from storage.spool import Spool

    site = current_site()
    timezone = site.config.clock.timezone
    entry = Spool(site.queue_dir, SystemClock()).load(entry_id)
    row = shown(entry, timezone)
    states = [shown_recipient(recipient, entry, timezone) for recipient in entry.recipients]
    if json:
        print_json({**row, "states": states})
        return
    print_table(("field", "value"), ((k, v) for k, v in row.items() if k != "recipients"))
    columns = ("address", "state", "attempts", "next_attempt_at", "last_reply")
    print_table(columns, ([state[column] for column in columns] for state in states))


@app.command()
@administers
def retry(entry_id: Annotated[str, typer.Argument(metavar="ID|all")], json: JsonOption = False) -> None:
    """Try a letter now, whatever its schedule says; `all`: every letter that is not held."""
    ids = call(current_site(), "queue_retry", entry_id=entry_id)
    if json:
        print_json(ids)
    else:
        say(f"{entry_id}: tried at once" if entry_id != "all" else f"{len(ids)} letters tried at once")


@app.command()
@administers
def hold(entry_id: IdArgument) -> None:
    """Keep a letter back until it is released."""
    call(current_site(), "queue_hold", entry_id=entry_id)
    say(f"{entry_id}: held")


@app.command()
@administers
def release(entry_id: IdArgument) -> None:
    """Let a letter that is held go on."""
    call(current_site(), "queue_release", entry_id=entry_id)
    say(f"{entry_id}: released")


@app.command()
@administers
def drop(entry_id: IdArgument, json: JsonOption = False) -> None:
    """Take a letter out for good. Its sender is not told; the ledger says who did it."""
    lost = call(current_site(), "queue_drop", entry_id=entry_id)
    if json:
        print_json(lost)
    else:
        say(f"{entry_id}: dropped; not sent to {', '.join(lost) or 'nobody'}")
