"""`bdmta backup run|list|verify|restore|drill`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bdmta.cli.context import JsonOption, administers, current_site, print_json, print_table, say
from bdmta.cli.progress import bar
from bdmta.errors import BdmtaError, UsageError

if TYPE_CHECKING:
    from bdmta.backup.choose import Wanted
    from bdmta.site import Site

app = typer.Typer(no_args_is_help=True)

_Id = Annotated[str, typer.Argument(metavar="[ID]", help="As `list` shows it; without it the newest that has it.")]


@app.command()
def run(as_json: JsonOption = False) -> None:
    """Take a backup now, beside the running service; then remove those that need not stay."""
    from bdmta.backup.health import look_again, shown
    from bdmta.backup.plan import require_running_as_owner
    from bdmta.backup.taking import letters_now, take_backup
    from bdmta.clock import SystemClock

    site = current_site()
    require_running_as_owner(site)
    with bar("backing up", lambda: letters_now(site)) as advance:
        taken, removed = take_backup(site, SystemClock(), lambda letters, octets: advance(letters))
    look_again(site, SystemClock())
    if as_json:
        print_json({**shown(taken), "removed": removed})
    else:
        say(
            f"{taken.id}: {taken.letters} letters in {taken.mailboxes} mailboxes, {taken.octets:,} octets,"
            f" {taken.new_octets:,} of them new, in {taken.ended_at - taken.taken_at:.1f} s; keys {taken.keys}"
        )
        for backup_id in removed:
            say(f"{backup_id}: removed, newer ones stand for it")
    if taken.problems:
        more = f" and {len(taken.problems) - 1} more" if len(taken.problems) > 1 else ""
        raise BdmtaError(f"backup {taken.id} lacks what could not be read: {taken.problems[0]}{more}")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """The backups, oldest first."""
    from bdmta.backup.health import local_time, shown
    from bdmta.backup.taking import open_repository

    site = current_site()
    repository = open_repository(site)
    rows: list[dict[str, Any]] = []
    for taken in repository.taken():
        verified = repository.verified(taken.id)
        zone = site.config.clock.timezone
        rows.append(
            {
                **shown(taken),
                "taken_at": local_time(taken.taken_at, zone),
                "ended_at": local_time(taken.ended_at, zone),
                "verified_at": local_time(verified.at, zone) if verified else None,
                "damaged": verified.problems if verified else [],
            }
        )
    if as_json:
        print_json(rows)
        return
    columns = ["id", "taken_at", "letters", "octets", "new_octets", "verified_at"]
    print_table([*columns, "state"], [[*(row[c] for c in columns), _state(row)] for row in rows])


def _state(row: dict[str, Any]) -> str:
    if row["damaged"]:
        return f"damaged ({len(row['damaged'])})"
    return f"incomplete ({len(row['problems'])})" if row["problems"] else "good"


@app.command()
def verify(backup_id: _Id = "", as_json: JsonOption = False) -> None:
    """Read everything back, of one backup or of all; exit code 1, and every letter named, when something differs."""
    from bdmta.backup.health import local_time, look_again
    from bdmta.backup.plan import require_running_as_owner
    from bdmta.backup.taking import verify_backups
    from bdmta.clock import SystemClock

    site = current_site()
    require_running_as_owner(site)
    done = [0]
    total = [0]
    with bar("verifying", lambda: total[0], "files") as advance:

        def step(so_far: int, of: int) -> None:
            advance(so_far - done[0])
            done[0], total[0] = so_far, of

        found = verify_backups(site, SystemClock(), backup_id, step)
    look_again(site, SystemClock())
    zone = site.config.clock.timezone
    if as_json:
        print_json(
            [{"id": one, "verified_at": local_time(v.at, zone), "ok": not v.problems, "problems": v.problems}
             for one, v in found.items()]
        )  # fmt: skip
    else:
        for one, verified in found.items():
            say(f"{one}: {'good' if not verified.problems else f'{len(verified.problems)} damaged'}")
            for problem in verified.problems:
                say(f"  {problem}")
    if any(verified.problems for verified in found.values()):
        bad = [one for one, verified in found.items() if verified.problems]
        raise BdmtaError(f"{len(bad)} of {len(found)} backups damaged: {found[bad[0]].problems[0]}")


@app.command()
@administers
def restore(
    backup_id: _Id = "",
    mailbox: Annotated[str, typer.Option(metavar="ADDRESS", help="This mailbox; without it the whole site.")] = "",
    folder: Annotated[str, typer.Option(help="This folder of it, such as INBOX or Sent.")] = "",
    message_id: Annotated[str, typer.Option(metavar="ID", help="The letter with this Message-ID.")] = "",
    sender: Annotated[str, typer.Option(metavar="ADDRESS", help="Letters from this address (From).")] = "",
    date: Annotated[str, typer.Option(metavar="DAY", help="Letters that arrived on this day (2026-11-20).")] = "",
    before: Annotated[str, typer.Option(metavar="DATE", help="As of this day's end, or this time.")] = "",
    into: Annotated[str, typer.Option(metavar="FOLDER", help="Into this folder; else `Khôi phục-YYYYMMDD`.")] = "",
    in_place: Annotated[bool, typer.Option("--in-place", help="Where everything was, beside what is there.")] = False,
    onto: Annotated[str, typer.Option(metavar="DIR", help="The whole site into this empty or absent folder.")] = "",
    source: Annotated[
        str, typer.Option("--from", metavar="DIR", help="The folder of backups, on a machine without configuration.")
    ] = "",
    keys: Annotated[str, typer.Option(metavar="DIR", help="The folder with the keys that were kept apart.")] = "",
    passphrase_file: Annotated[str, typer.Option(metavar="FILE", help="The passphrase of encrypted keys.")] = "",
    send_queue: Annotated[
        bool, typer.Option("--send-queue", help="Do not hold letters that waited for outside at the time.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring back the whole site, a mailbox, a folder or a letter, while the site serves (a whole site: before it)."""
    from bdmta.cli import backup_restore as parts

    if folder and not mailbox:
        raise UsageError("--folder needs --mailbox ADDRESS")
    if into and in_place:
        raise UsageError("--into FOLDER and --in-place: one of them")
    if mailbox or message_id or sender or date:
        if onto or source:
            raise UsageError("--onto and --from restore a whole site; a mailbox is restored into the site of -c")
        site = current_site()
        wanted = _wanted(
            site, backup_id=backup_id, mailbox=mailbox, folder=folder, message_id=message_id, sender=sender, date=date,
            before=before,
        )  # fmt: skip
        parts.restore_letters(site, wanted, into=into, in_place=in_place, as_json=as_json)
        return
    parts.restore_whole(
        backup_id=backup_id, before=before, onto=os.path.abspath(onto) if onto else "", source=source, keys=keys,
        passphrase_file=passphrase_file, holds_queue=not send_queue, as_json=as_json,
    )  # fmt: skip


def _wanted(
    site: Site, *, backup_id: str, mailbox: str, folder: str, message_id: str, sender: str, date: str, before: str
) -> Wanted:  # fmt: skip
    from datetime import date as Date  # noqa: N812 - the option is called date
    from zoneinfo import ZoneInfo

    from bdmta.address import AddressError, parse_address
    from bdmta.backup.choose import Wanted, parse_time

    try:
        address = parse_address(mailbox).key if mailbox else ""
        day = Date.fromisoformat(date) if date else None
    except AddressError as error:
        raise UsageError(f"{mailbox}: not an address: {error}") from None
    except ValueError:
        raise UsageError(f"{date}: a day (2026-11-20) is expected") from None
    until = parse_time(before, ZoneInfo(site.config.clock.timezone)) if before else None
    return Wanted(
        backup_id=backup_id, mailbox=address, folder=folder, message_id=message_id, sender=sender, day=day, before=until
    )  # fmt: skip


@app.command()
def drill(as_json: JsonOption = False) -> None:
    """Restore a sample to a scratch folder, serve it, read every letter by IMAP, compare; then remove it."""
    from bdmta.backup.drill import recorded_drill
    from bdmta.backup.plan import require_running_as_owner
    from bdmta.clock import SystemClock
    from bdmta.office.client import call

    site = current_site()
    require_running_as_owner(site)
    with bar("reading by IMAP", lambda: 0) as advance:
        done = recorded_drill(site, SystemClock(), lambda letters, octets: advance(letters))
    detail = {**done.as_json(), "problems": len(done.problems)}
    call(site, "audit_note", action="backup.drill", subject=done.backup_id, detail=detail)
    if as_json:
        print_json(done.as_json())
    else:
        say(f"{done.backup_id}: {done.letters} letters of {len(done.mailboxes)} mailboxes restored and read by IMAP")
    if done.problems:
        raise BdmtaError(f"the drill failed: {done.problems[0]} ({len(done.problems)} in all)")
