"""`bdmta import`: accounts from a CSV, letters from another server's Maildir or mbox."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bdmta.cli.context import JsonOption, administers, current_site, print_json, say
from bdmta.errors import BdmtaError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bdmta.site import Site

_FOLDERS_AT_ONCE = 1000
_SHOWN_COUNT = 50


@administers
def import_(
    file: Annotated[str | None, typer.Argument(metavar="[FILE.csv]", help="address,name[,kind,agency,quota,…]")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    report: Annotated[
        str | None, typer.Option(metavar="FILE", help="Line by line, with the passwords that are made; mode 0600.")
    ] = None,
    maildir: Annotated[str | None, typer.Option(metavar="TREE", help="Letters of a Maildir++ tree.")] = None,
    mbox: Annotated[str | None, typer.Option(metavar="FILE", help="Letters of an mbox file.")] = None,
    mailbox: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Whose letters they are.")] = None,
    folder: Annotated[str | None, typer.Option(metavar="NAME", help="The folder for --mbox.")] = None,
    json: JsonOption = False,
) -> None:
    """Add accounts in bulk, all or nothing; or take over the letters of another server (repeat it at will)."""
    if sum(given is not None for given in (file, maildir, mbox)) != 1:
        raise UsageError("give one of FILE.csv, --maildir TREE, --mbox FILE")
    if file is not None:
        if mailbox or folder:
            raise UsageError("--mailbox and --folder belong to --maildir and --mbox")
        _import_accounts(current_site(), file, report, dry_run, json)
        return
    if mailbox is None:
        raise UsageError("--maildir and --mbox need --mailbox ADDRESS")
    if report is not None or (folder is not None and mbox is None):
        raise UsageError("--report belongs to FILE.csv, --folder to --mbox")
    _import_letters(current_site(), mailbox, maildir, mbox, folder or "INBOX", dry_run, json)


def _import_accounts(site: Site, file: str, report: str | None, is_trial: bool, json: bool) -> None:
    from bdmta.cli.import_report import free_report_path, write_report
    from bdmta.office.client import call

    with _progress() as advance:
        rows = _read(file, advance)
        with_password = _give_passwords(rows)
        advance("checking", 0, len(rows))
        trial = call(site, "import_rows", rows=rows, dry_run=True)
        path = report or (free_report_path(file) if with_password and not is_trial else None)
        if trial["problems"]:
            if report:
                write_report(report, rows, trial["problems"], "not added")
            _refuse(file, trial, json)
        if is_trial:
            _say_outcome(file, trial, 0, None, json, "would be added")
            return
        if path:  # before the directory has them: a password that was kept and not written down would be lost
            write_report(path, rows, [], "added")
        try:
            advance("adding", 0, len(rows))
            done = call(site, "import_rows", rows=rows)
        except BaseException:
            if path:
                write_report(path, [{**row, "password": ""} for row in rows], [], "unknown")
            raise
        if done["problems"]:  # somebody changed the directory since the trial
            if path:
                write_report(path, rows, done["problems"], "not added")
            _refuse(file, done, json)
        _make_folders(site, [row["address"] for row in rows if not row.get("alias_of")], advance)
    _say_outcome(file, done, with_password, path, json, "added")


def _read(file: str, advance: Callable[[str, int, int | None], None]) -> list[dict[str, Any]]:
    from bdmta.directory.csv_rows import read_rows

    rows: list[dict[str, Any]] = []
    with open(file, encoding="utf-8", newline="") as source:
        for row in read_rows(source, file):
            rows.append(row)
            if len(rows) % 1000 == 0:
                advance("reading", len(rows), None)
    if not rows:
        raise UsageError(f"{file}: no rows")
    return rows


def _give_passwords(rows: Iterable[dict[str, Any]]) -> int:
    """Generate a password for each mailbox that brings no hash; how many."""
    from bdmta.directory.passwords import generate

    count = 0
    for row in rows:
        if not row.get("alias_of") and not row.get("password_hash"):
            row["password"] = generate()
            count += 1
    return count


def _make_folders(site: Site, addresses: list[str], advance: Callable[[str, int, int | None], None]) -> None:
    from bdmta.office.client import call

    for start in range(0, len(addresses), _FOLDERS_AT_ONCE):
        call(site, "mailbox_folders", addresses=addresses[start : start + _FOLDERS_AT_ONCE])
        advance("folders", min(start + _FOLDERS_AT_ONCE, len(addresses)), len(addresses))


def _refuse(file: str, outcome: dict[str, Any], json: bool) -> None:
    problems = outcome["problems"]
    if json:
        print_json({"ok": False, "mailboxes": 0, "aliases": 0, "problems": _as_objects(problems)})
    for line, address, reason in problems[:_SHOWN_COUNT]:
        sys.stderr.write(f"{file}, line {line}: {address}: {reason}\n")
    if outcome["problem_count"] > _SHOWN_COUNT:
        sys.stderr.write(f"{file}: and {outcome['problem_count'] - _SHOWN_COUNT} lines more\n")
    raise BdmtaError(f"{file}: nothing imported, {outcome['problem_count']} lines have problems")


def _as_objects(problems: list[list[Any]]) -> list[dict[str, Any]]:
    return [{"line": line, "address": address, "reason": reason} for line, address, reason in problems]


def _say_outcome(file: str, outcome: dict[str, Any], passwords: int, report: str | None, json: bool, what: str) -> None:
    if json:
        counts = {"mailboxes": outcome["mailboxes"], "aliases": outcome["aliases"], "passwords": passwords}
        print_json({"ok": True, **counts, "report": report, "dry_run": what != "added", "problems": []})
        return
    say(f"{file}: {outcome['mailboxes']} mailboxes and {outcome['aliases']} aliases {what}")
    if report and passwords:
        say(f"{report}: {passwords} passwords, mode 0600; hand them out and remove it")


def _import_letters(
    site: Site, address: str, maildir: str | None, mbox: str | None, folder: str, is_trial: bool, json: bool
) -> None:
    from bdmta.clock import SystemClock
    from bdmta.directory.letters_import import Taker, read_maildir, read_mbox
    from bdmta.office.client import call
    from storage.maildir import mailbox_dir
    from storage.quota import Limit

    box = call(site, "mailbox_show", address=address)
    if box["status"] == "closed":
        raise BdmtaError(f"{box['address']}: is closed; `bdmta mailbox resume {box['address']}` opens it again")
    if not is_trial:
        call(site, "mailbox_folders", addresses=[box["address"]])
    letters = read_maildir(maildir) if maildir is not None else read_mbox(str(mbox), folder)
    limit = Limit(octets=box["quota_octets"], letters=box["quota_letters"])
    path = mailbox_dir(site.mail_root, box["address"])
    taker = Taker(mailbox=path, clock=SystemClock(), limit=limit, is_trial=is_trial)
    with _progress() as advance:
        for number, letter in enumerate(letters, 1):
            taker.take(letter)
            if number % 50 == 0:
                advance("letters", number, None)
    taken = taker.finish()
    if not is_trial:
        source = {"from": os.path.abspath(maildir or str(mbox)), "folder": folder}
        call(site, "audit_note", action="mailbox.import-letters", subject=box["address"], after=taken, detail=source)
    if json:
        print_json({"address": box["address"], "dry_run": is_trial, **taken})
        return
    verb = "would be taken" if is_trial else "taken"
    say(f"{box['address']}: {taken['letters']} letters {verb}, {taken['known']} were there already")
    if taken["skipped"]:
        say(f"{box['address']}: {taken['skipped']} files passed over (unreadable, or no letters)")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar on stderr when that is a terminal; else nothing."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=None)
        yield lambda what, done, total: progress.update(task, description=what, completed=done, total=total)
