"""Many mailboxes and aliases at once: all of them or none (`bdmta import FILE.csv`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bdmta.directory.folders import create_mailboxes
from bdmta.directory.foreign_hash import accept_hash
from bdmta.directory.registry import call
from bdmta.directory.service import DirectoryService
from bdmta.directory.size import parse_size
from bdmta.errors import BdmtaError
from storage.directory_change import Change
from storage.errors import StoreError

ROW_COUNT_MAX = 200_000
PROBLEM_COUNT_MAX = 1_000


class _Undo(Exception):
    """Ends the transaction without keeping it."""


@call
def import_rows(service: DirectoryService, *, rows: list[dict[str, Any]], dry_run: bool = False) -> dict[str, Any]:
    """Add every row, or none when any has a problem. Mailboxes first, then aliases, whatever their order.

    A row: `line` (its number in the file), `address`, `name`, and where given kind, agency, quota, rank, published,
    password_hash, password (a generated one), alias_of (addresses with `;` between). `mailbox_folders` makes folders.

    Returns `problems` ([line, address, reason]), their number, and how many `mailboxes` and `aliases` were added, or
    would be.
    """
    if len(rows) > ROW_COUNT_MAX:
        raise BdmtaError(f"{len(rows)} rows; at most {ROW_COUNT_MAX} in one import")
    boxes = [row for row in rows if not row.get("alias_of")]
    aliases = [row for row in rows if row.get("alias_of")]
    problems: list[list[Any]] = []
    try:
        with service.change() as change:
            lines: dict[str, int] = {}
            for row in boxes:
                _try(change, problems, row, lines, lambda row=row: _add_mailbox(service, change, row, dry_run))
            _add_aliases(service, change, aliases, lines, problems)
            if problems or dry_run:
                raise _Undo
    except _Undo:
        pass
    problems.sort(key=lambda problem: int(problem[0]))
    return {
        "problems": problems[:PROBLEM_COUNT_MAX],
        "problem_count": len(problems),
        "mailboxes": len(boxes),
        "aliases": len(aliases),
    }


def _try(change: Change, problems: list[list[Any]], row: dict[str, Any], lines: dict[str, int], add: Any) -> bool:
    try:
        with change.attempt():
            address = add()
    except (BdmtaError, StoreError) as error:
        text = str(row["address"])
        earlier = lines.get(text.strip().lower())
        reason = f"the address is on line {earlier} already" if earlier else str(error).removeprefix(f"{text}: ")
        problems.append([row["line"], text, reason])
        return False
    lines[address] = row["line"]
    return True


def _add_mailbox(service: DirectoryService, change: Change, row: dict[str, Any], is_trial: bool) -> str:
    mailbox = service.new_mailbox(
        row["address"], row.get("name") or "", row.get("kind") or "person", row.get("agency") or ""
    )
    password_hash = None
    if row.get("password_hash"):
        password_hash = accept_hash(row["password_hash"])
    elif row.get("password") and not is_trial:
        password_hash = service.passwords.hash_generated(row["password"])
    mailbox = replace(
        mailbox,
        password_hash=password_hash,
        must_change=bool(row.get("password")),
        rank=row.get("rank"),
        published=bool(row.get("published")),
    )
    if row.get("quota"):
        mailbox = replace(mailbox, quota_octets=parse_size(row["quota"]))
    return change.add_mailbox(mailbox, postmaster=service.postmaster).address


def _add_aliases(
    service: DirectoryService,
    change: Change,
    rows: Sequence[dict[str, Any]],
    lines: dict[str, int],
    problems: list[list[Any]],
) -> None:
    """Aliases of aliases in any order: again and again what could not be added yet, while it gets less."""
    waiting = list(rows)
    while waiting:
        failed: list[list[Any]] = []
        left = []
        for row in waiting:
            if not _try(change, failed, row, lines, lambda row=row: _add_alias(service, change, row)):
                left.append(row)
        if len(left) == len(waiting):
            problems += failed
            return
        waiting = left


def _add_alias(service: DirectoryService, change: Change, row: dict[str, Any]) -> str:
    address = service.own_address(row["address"])
    targets = [service.target_address(target) for target in row["alias_of"].split(";") if target.strip()]
    change.add_alias(address, targets)
    return address


@call
def mailbox_folders(service: DirectoryService, *, addresses: list[str]) -> int:
    """Make the folders of these mailboxes; how many. Harmless to repeat: a delivery would make them too."""
    create_mailboxes(service.mail_root, [service.own_address(address) for address in addresses])
    return len(addresses)
