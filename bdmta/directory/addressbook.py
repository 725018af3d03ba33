"""The address book (Điều 6): who stands in it, in the order in which people look.

In the public one: agencies that are marked published and can receive mail, and officials' mailboxes marked published
and active. In neither is anything else: no rank, no head, no clerk; in the public one no agency that is not published.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bdmta.clock import Clock
from bdmta.directory.registry import Json, call
from bdmta.directory.service import DirectoryService
from bdmta.naming import order_key, person_key
from storage.directory import Directory
from storage.directory_rows import LEVELS, Agency

if TYPE_CHECKING:
    from bdmta.site import Site


@call
def addressbook_entries(service: DirectoryService, *, internal: bool = False) -> Json:
    """`agencies` by level, then name; `officials` by given name, then the rest (Vietnamese order).

    An agency: abbreviation, name, level, parent (a listed agency's name, or ""), address, paper_address. An
    official: name, address, agency (a listed agency's name, or ""). `domain`, `generated_at`, `left_out`: the
    abbreviations of listed agencies that have no address that receives. `internal`: for those who have a mailbox
    themselves, with every agency and every official, published or not.
    """
    domain = service.directory.domains()[0]
    listed = {one.identifier: one for one in service.directory.agencies.all()}
    agencies, left_out = _agencies(service, listed, domain, internal)
    shown = {one["abbreviation"]: one["name"] for one in agencies}
    officials = [
        {"name": box.name, "address": box.address, "agency": shown.get(box.agency, "")}
        for box in service.directory.mailboxes(kind="person", status="active")
        if internal or box.published
    ]
    officials.sort(key=lambda one: (person_key(one["name"]), one["address"]))
    return {
        "domain": domain,
        "generated_at": service.local_time(service.clock.time()),
        "internal": internal,
        "agencies": agencies,
        "officials": officials,
        "left_out": left_out,
    }


def _agencies(
    service: DirectoryService, listed: dict[str, Agency], domain: str, internal: bool
) -> tuple[list[Json], list[str]]:
    boxes = {box.address: box for box in service.directory.mailboxes(kind="agency")}
    routes = {alias.address for alias in service.directory.aliases()} | {
        one.address for one in service.directory.groups()
    }
    found, left_out = [], []
    for one in listed.values():
        if not (internal or one.published):
            continue
        address = f"{one.identifier}@{domain}"
        box = boxes.get(address)
        if (box is None or box.status == "closed") and address not in routes:
            left_out.append(one.identifier)
            continue
        parent = listed.get(one.parent or "")
        is_shown = parent is not None and (internal or parent.published)
        found.append(_entry(one, address, parent.name if parent is not None and is_shown else ""))
    for box in boxes.values():  # not entered as an agency
        identifier = box.address.partition("@")[0]
        if (internal or box.published) and box.status == "active" and identifier not in listed:
            found.append(_entry(Agency(identifier=identifier, name=box.name), box.address, ""))
    found.sort(key=lambda one: (LEVELS.index(one["level"]), order_key(one["name"]), one["address"]))
    return found, left_out


def _entry(agency: Agency, address: str, parent: str) -> Json:
    return {
        "abbreviation": agency.identifier, "name": agency.name, "level": agency.level, "parent": parent,
        "address": address, "paper_address": agency.paper_address,
    }  # fmt: skip


class BookReader:
    """Reads the books beside the office's writer. One thread at a time."""

    def __init__(self, site: Site, clock: Clock) -> None:
        self._directory = Directory.open(site.directory_db, clock, readonly=True)
        self._service = DirectoryService(
            directory=self._directory, clock=clock, snapshot_path="", password_key_path="", mail_root=site.mail_root,
            postmaster=site.config.postmaster, timezone=site.config.clock.timezone,
        )  # fmt: skip

    def book(self, internal: bool) -> Json:
        """The book of now."""
        found: Json = addressbook_entries(self._service, internal=internal)
        return found

    def generation(self) -> int:
        """Grows with every change of the directory."""
        return self._directory.generation

    def close(self) -> None:
        """Close the database."""
        self._directory.close()


@contextmanager
def reader_of(site: Site, clock: Clock) -> Iterator[BookReader]:
    """A reader for the block."""
    reader = BookReader(site, clock)
    try:
        yield reader
    finally:
        reader.close()
