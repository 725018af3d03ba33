"""Addresses for those who wait for one together: rank, then time; an address in use stays where it is (Điều 5.4)."""

from __future__ import annotations

from bdmta.directory.agencies_naming import held_of
from bdmta.directory.registry import Json
from bdmta.directory.service import DirectoryService
from bdmta.naming import Held, Pending, allocate, propose
from storage.directory_requests import Request
from storage.directory_rows import ROLE_NAMES


def proposals(service: DirectoryService) -> dict[str, Json]:
    """What each pending request for a person's mailbox would get, by number, as `naming propose` says it."""
    waiting = [r for r in service.directory.requests.pending() if _wants_address(r)]
    asked = [_pending(r) for r in waiting]
    taken: dict[str, Held] = {}
    for base in {one.proposal.local_part for one in asked if one.proposal.local_part}:
        taken |= _taken(service, str(base))
    for other in service.directory.requests.pending():
        if other.kind == "create" and other.subject:
            local = other.subject.partition("@")[0]
            taken.setdefault(local, Held(local_part=local, who=f"yêu cầu {other.number} đã duyệt"))
    agencies = {agency.identifier for agency in service.directory.agencies.all()}
    answers = allocate(asked, taken, agencies)
    domain = service.directory.domains()[0]
    return {
        r.number: {**a.as_json(), "address": f"{a.local_part}@{domain}" if a.local_part else None}
        for r, a in zip(waiting, answers, strict=True)
    }


def _wants_address(request: Request) -> bool:
    is_person = request.details.get("mailbox_kind", "person") == "person"
    return request.kind == "create" and is_person and not request.subject and "name" in request.details


def _pending(request: Request) -> Pending:
    details = request.details
    return Pending(
        proposal=propose(str(details["name"])), rank=details.get("rank"), registered=request.received_at,
        extension=str(details.get("extension", "")), names=tuple(str(details["name"]).split()),
    )  # fmt: skip


def _taken(service: DirectoryService, base: str) -> dict[str, Held]:
    now = service.clock.now().isoformat(timespec="seconds")
    found = service.directory.agencies.namesakes(base, service.directory.domains()[0], now)
    held = {one.address.partition("@")[0]: held_of(one) for one in found}
    agency = service.directory.agencies.find(base)
    if agency is not None:
        held[base] = Held(local_part=base, who=agency.name, kind="agency")
    elif base in ROLE_NAMES:
        held.setdefault(base, Held(local_part=base, kind="role"))
    return held
