"""`bdmta quarantine list|show|release|drop`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from bdmta.cli.context import JsonOption, administers, current_site, print_json, print_table, say

if TYPE_CHECKING:
    from bdmta.quarantine import Kept, QuarantineStore
    from bdmta.site import Site

app = typer.Typer(no_args_is_help=True)

_Id = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")]


def _store(site: Site) -> QuarantineStore:
    from bdmta.clock import SystemClock
    from bdmta.quarantine import QuarantineStore

    return QuarantineStore(site.quarantine_dir, SystemClock())


def _shown(site: Site, kept: Kept) -> dict[str, Any]:
    zone = ZoneInfo(site.config.clock.timezone)
    at = datetime.fromtimestamp(kept.kept_at, UTC).astimezone(zone).isoformat(timespec="seconds")
    return {
        "id": kept.id, "why": kept.why, "policy": kept.policy, "sender": kept.sender,
        "recipients": list(kept.recipients), "kept_at": at, "octets": kept.octets, "findings": list(kept.findings),
    }  # fmt: skip


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """What is held back, oldest first."""
    site = current_site()
    rows = [_shown(site, kept) for kept in _store(site).entries()]
    if as_json:
        print_json(rows)
    else:
        columns = ["id", "kept_at", "why", "policy", "sender", "recipients"]
        print_table(columns, [[*(row[c] for c in columns[:5]), ", ".join(row["recipients"])] for row in rows])


@app.command()
def show(entry_id: _Id, as_json: JsonOption = False) -> None:
    """Why a letter is here: findings, never its content (Điều 2)."""
    site = current_site()
    row = _shown(site, _store(site).entry(entry_id))
    if as_json:
        print_json(row)
        return
    for key in ("id", "kept_at", "why", "policy", "sender", "octets"):
        say(f"{key + ':':<11}{row[key]}")
    say(f"{'for:':<11}{', '.join(row['recipients'])}")
    for finding in row["findings"]:
        where = f"{finding['file']}: " if finding.get("file") else ""
        say(f"  {finding['policy']} {finding['code']}: {where}{finding['text']}")


@app.command()
@administers
def release(entry_id: _Id) -> None:
    """Deliver a letter to the inboxes it was kept from."""
    from bdmta.office.client import call

    delivered = call(current_site(), "quarantine_release", entry_id=entry_id)
    say(f"{entry_id}: delivered to {', '.join(delivered)}")


@app.command()
@administers
def drop(entry_id: _Id) -> None:
    """Remove a letter for good."""
    from bdmta.office.client import call

    call(current_site(), "quarantine_drop", entry_id=entry_id)
    say(f"{entry_id}: dropped")
