"""Agencies: what can be asked of them by name (Điều 5.2)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bdmta.directory.registry import Json, call
from bdmta.directory.service import DirectoryService
from bdmta.errors import BdmtaError, UsageError
from bdmta.naming import abbreviations
from storage.directory_change import Change
from storage.directory_rows import LEVELS, Agency
from storage.errors import StoreError

ROW_COUNT_MAX = 20_000
PROBLEM_COUNT_MAX = 1_000


class _Undo(Exception):
    """Ends the transaction without keeping it."""


@call
def agency_add(
    service: DirectoryService,
    *,
    name: str,
    abbreviation: str | None = None,
    level: str = "province",
    parent: str | None = None,
    head: str = "",
    clerk: str = "",
    paper_address: str = "",
    published: bool = False,
) -> Json:
    """Add an agency; without an abbreviation, the first suggestion that is free."""
    chosen = abbreviation or _first_free(service, name, parent or "")
    agency = Agency(
        identifier=chosen, name=" ".join(name.split()), level=_level(level), parent=parent or None,
        head=head, clerk=clerk, paper_address=paper_address, published=published,
    )  # fmt: skip
    with service.change() as change:
        change.agencies.add(agency)
    return _shown(service, service.directory.agencies.get(chosen))


def _first_free(service: DirectoryService, name: str, parent: str) -> str:
    suggested = abbreviations(name, parent)
    for one in suggested:
        if service.directory.agencies.obstacle(one) is None:
            return one
    reasons = "; ".join(f"{one}: {service.directory.agencies.obstacle(one)}" for one in suggested)
    raise BdmtaError(f"{name}: no abbreviation to suggest is free ({reasons or 'no letters'}); give --abbreviation")


@call
def agency_suggest(service: DirectoryService, *, name: str, parent: str = "") -> list[Json]:
    """Abbreviations for a name, the best first, each with what is in its way (None: free)."""
    return [
        {"abbreviation": one, "obstacle": service.directory.agencies.obstacle(one)}
        for one in abbreviations(name, parent)
    ]


@call
def agency_list(service: DirectoryService, *, level: str | None = None, parent: str | None = None) -> list[Json]:
    """All agencies, or those of one level or directly below one."""
    found = service.directory.agencies.all()
    return [
        _shown(service, one)
        for one in found
        if (level is None or one.level == level) and (parent is None or one.parent == parent)
    ]


@call
def agency_show(service: DirectoryService, *, abbreviation: str) -> Json:
    """One agency, with the agencies directly below it and how many mailboxes are of it."""
    agency = service.directory.agencies.get(abbreviation.strip().lower())
    below = [one.identifier for one in service.directory.agencies.all() if one.parent == agency.identifier]
    boxes = service.directory.mailboxes(agency=agency.identifier)
    return {**_shown(service, agency), "below": below, "mailboxes": len(boxes)}


@call
def agency_set(service: DirectoryService, *, abbreviation: str, **fields: Any) -> Json:
    """Change name, level, parent ("" for none), head, clerk, paper_address or published; None stays as it is."""
    given = {name: value for name, value in fields.items() if value is not None}
    if "level" in given:
        given["level"] = _level(given["level"])
    with service.change() as change:
        change.agencies.set(abbreviation.strip().lower(), **given)
    return _shown(service, service.directory.agencies.get(abbreviation.strip().lower()))


@call
def agency_import(service: DirectoryService, *, rows: list[Json], dry_run: bool = False) -> Json:
    """Add every row, or none when any has a problem. A parent may stand below its children.

    A row: `line`, `name`, and where given abbreviation, parent, level, head, clerk, paper_address, published. Returns
    `problems` ([line, name, reason]), their number, and `agencies`: what was added, or would be, with suggestions made.
    """
    if len(rows) > ROW_COUNT_MAX:
        raise BdmtaError(f"{len(rows)} rows; at most {ROW_COUNT_MAX} in one import")
    problems: list[list[Any]] = []
    added: list[Json] = []
    try:
        with service.change() as change:
            _import(service, change, rows, problems, added)
            if problems or dry_run:
                raise _Undo
    except _Undo:
        pass
    problems.sort(key=lambda problem: int(problem[0]))
    return {"problems": problems[:PROBLEM_COUNT_MAX], "problem_count": len(problems), "agencies": added}


def _import(
    service: DirectoryService, change: Change, rows: list[Json], problems: list[list[Any]], added: list[Json]
) -> None:
    """Those with a chosen abbreviation first, so that no suggestion takes one; parents when all are there."""
    parents: list[tuple[Json, str]] = []
    for row in sorted(rows, key=lambda row: not row.get("abbreviation")):
        try:
            with change.attempt():
                made = change.agencies.add(_from_row(service, row))
        except (BdmtaError, StoreError) as error:
            problems.append([row["line"], row.get("name", ""), str(error)])
            continue
        added.append({"line": row["line"], "abbreviation": made.identifier, "name": made.name})
        if row.get("parent"):
            parents.append((row, made.identifier))
    for row, identifier in parents:
        try:
            with change.attempt():
                change.agencies.set(identifier, parent=str(row["parent"]).strip().lower())
        except StoreError as error:
            problems.append([row["line"], row.get("name", ""), str(error)])
    added.sort(key=lambda one: int(one["line"]))


def _from_row(service: DirectoryService, row: Json) -> Agency:
    name = " ".join(str(row.get("name", "")).split())
    if not name:
        raise UsageError("the name is empty")
    parent = str(row.get("parent", "")).strip().lower()
    chosen = str(row.get("abbreviation", "")).strip().lower() or _first_free(service, name, parent)
    return Agency(
        identifier=chosen, name=name, level=_level(str(row.get("level") or "province")), head=row.get("head", ""),
        clerk=row.get("clerk", ""), paper_address=row.get("paper_address", ""), published=bool(row.get("published")),
    )  # fmt: skip


def _level(text: str) -> Any:
    if text not in LEVELS:
        raise UsageError(f"{text}: a level is one of {', '.join(LEVELS)}")
    return text


def _shown(service: DirectoryService, agency: Agency) -> Json:
    address = f"{agency.identifier}@{service.directory.domains()[0]}"
    shown = {**asdict(agency), "created_at": service.local_time(agency.created_at)}
    shown["abbreviation"] = shown.pop("identifier")
    return {**shown, "address": address, "has_mailbox": service.directory.find_mailbox(address) is not None}
