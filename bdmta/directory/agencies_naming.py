"""`naming propose` against the directory: who has the plain address, and what comes of it (Điều 5.4)."""

from __future__ import annotations

from bdmta.directory.registry import Json, call
from bdmta.directory.service import DirectoryService
from bdmta.errors import UsageError
from bdmta.naming import Held, Pending, place, propose
from storage.directory_agencies import Namesake
from storage.directory_rows import ROLE_NAMES


@call
def naming_propose(
    service: DirectoryService,
    *,
    name: str = "",
    family: str = "",
    middle: str = "",
    given: str = "",
    rank: int | None = None,
    extension: str = "",
    domain: str | None = None,
) -> Json:
    """The address for a person: by the name, then beside the namesakes. Nothing is reserved or changed by asking.

    Beside what interface.md has: `address` with its domain, and `holders`: everyone who has the plain form or one
    with an extension.
    """
    where = _domain(service, domain)
    made = propose(name, family=family, middle=middle, given=given)
    agencies = service.directory.agencies
    found: list[Namesake] = []
    if made.local_part is not None:
        now = service.clock.now().isoformat(timespec="seconds")
        found = agencies.namesakes(made.local_part, where, now)
    held = {one.address.partition("@")[0]: held_of(one) for one in found}

    def holder(local: str) -> Held | None:
        agency = agencies.find(local)
        if agency is not None:
            return Held(local_part=local, who=agency.name, kind="agency")
        return held.get(local) or (Held(local_part=local, kind="role") if local in ROLE_NAMES else None)

    words = tuple(f"{family} {middle} {given}".split() if family.strip() and given.strip() else name.split())
    answer = place(Pending(proposal=made, rank=rank, extension=extension), holder, agencies, names=words)
    return {
        **answer.as_json(),
        "address": f"{answer.local_part}@{where}" if answer.local_part else None,
        "holders": [_shown(service, one) for one in found],
    }


def _domain(service: DirectoryService, domain: str | None) -> str:
    known = service.directory.domains()
    if domain is not None and domain.lower() not in known:
        raise UsageError(f"{domain}: not a domain of this system ({', '.join(known) or 'none yet'})")
    return domain.lower() if domain else known[0]


def held_of(one: Namesake) -> Held:
    """What holds an address, as naming sees it."""
    who = {"retired": f"đến {one.label}", "group": f"nhóm {one.label}", "alias": "bí danh"}.get(one.kind, one.label)
    return Held(local_part=one.address.partition("@")[0], who=who, rank=one.rank, kind=one.kind)


def _shown(service: DirectoryService, one: Namesake) -> Json:
    since = service.local_time(one.created_at) if one.created_at else None
    return {"address": one.address, "kind": one.kind, "held": one.held, "rank": one.rank, "since": since}
