"""The public address book (Điều 6): who may stand in it, in the order in which people look.

Agencies that are marked published and can receive mail, and officials' mailboxes marked published and active. Nothing
else of either leaves the directory by this: no rank, no head, no clerk, no agency that is not published itself.
"""

from __future__ import annotations

from bdmta.directory.registry import Json, call
from bdmta.directory.service import DirectoryService
from bdmta.naming import order_key, person_key
from storage.directory_rows import LEVELS, Agency


@call
def addressbook_entries(service: DirectoryService) -> Json:
    """`agencies` by level, then name; `officials` by given name, then the rest (Vietnamese order).

    An agency: abbreviation, name, level, parent (a published agency's name, or ""), address, paper_address. An
    official: name, address, agency (a published agency's name, or ""). `domain`, `generated_at`, `left_out`: the
    abbreviations of published agencies that have no address that receives.
    """
    domain = service.directory.domains()[0]
    listed = {one.identifier: one for one in service.directory.agencies.all()}
    agencies, left_out = _agencies(service, listed, domain)
    shown = {one["abbreviation"]: one["name"] for one in agencies}
    officials = [
        {"name": box.name, "address": box.address, "agency": shown.get(box.agency, "")}
        for box in service.directory.mailboxes(kind="person", status="active")
        if box.published
    ]
    officials.sort(key=lambda one: (person_key(one["name"]), one["address"]))
    return {
        "domain": domain,
        "generated_at": service.local_time(service.clock.time()),
        "agencies": agencies,
        "officials": officials,
        "left_out": left_out,
    }


def _agencies(service: DirectoryService, listed: dict[str, Agency], domain: str) -> tuple[list[Json], list[str]]:
    boxes = {box.address: box for box in service.directory.mailboxes(kind="agency")}
    routes = {alias.address for alias in service.directory.aliases()} | {
        one.address for one in service.directory.groups()
    }
    found, left_out = [], []
    for one in listed.values():
        if not one.published:
            continue
        address = f"{one.identifier}@{domain}"
        box = boxes.get(address)
        if (box is None or box.status == "closed") and address not in routes:
            left_out.append(one.identifier)
            continue
        parent = listed.get(one.parent or "")
        found.append(_entry(one, address, parent.name if parent is not None and parent.published else ""))
    for box in boxes.values():  # marked itself, and not entered as an agency
        identifier = box.address.partition("@")[0]
        if box.published and box.status == "active" and identifier not in listed:
            found.append(_entry(Agency(identifier=identifier, name=box.name), box.address, ""))
    found.sort(key=lambda one: (LEVELS.index(one["level"]), order_key(one["name"]), one["address"]))
    return found, left_out


def _entry(agency: Agency, address: str, parent: str) -> Json:
    return {
        "abbreviation": agency.identifier, "name": agency.name, "level": agency.level, "parent": parent,
        "address": address, "paper_address": agency.paper_address,
    }  # fmt: skip
