"""What a mailbox's owner or an operator sets: where letters are sent on, what is said during an absence."""

from __future__ import annotations

import os
from datetime import datetime
from zoneinfo import ZoneInfo

from bdmta.address import AddressError, parse_address
from bdmta.directory.registry import Json, call
from bdmta.directory.service import DirectoryService
from bdmta.errors import UsageError
from storage.directory_forwarding import FILE, Forwarding, change_forwarding, read_forwarding


def _path(service: DirectoryService) -> str:
    return os.path.join(os.path.dirname(service.snapshot_path), FILE)


@call
def forwarding_show(service: DirectoryService, *, address: str) -> Json:
    """A mailbox's settings."""
    own = service.directory.mailbox(service.own_address(address)).address
    return _shown(service, own, read_forwarding(_path(service)).get(own, Forwarding()))


@call
def forwarding_set(
    service: DirectoryService, *, address: str, forward: list[str] | None = None, keeps: bool | None = None,
    absence: str | None = None, absence_from: str | None = None, absence_until: str | None = None,
) -> Json:  # fmt: skip
    """Change what is given. `forward` [] and `absence` "" end it. Times: ISO 8601, local where no offset is given."""
    own = service.directory.mailbox(service.own_address(address)).address
    changes: Json = {}
    if forward is not None:
        changes["forward"] = [_target(service, own, text) for text in forward if text.strip()]
        if not changes["forward"]:
            changes["keeps"] = True
    if keeps is not None:
        changes["keeps"] = keeps
    if absence is not None:
        changes |= {"absence": absence.strip(), "absence_from": 0.0, "absence_until": 0.0}
    for name, text in (("absence_from", absence_from), ("absence_until", absence_until)):
        if text is not None:
            changes[name] = _moment(service, text)
    was = read_forwarding(_path(service)).get(own, Forwarding())
    made = change_forwarding(_path(service), own, changes)
    service.note_act("mailbox.forwarding", own, before=_on_record(was), after=_on_record(made))
    return _shown(service, own, made)


def _on_record(settings: Forwarding) -> Json:
    """What the audit log keeps: the text itself is its owner's."""
    return {"forward": list(settings.forward), "keeps": settings.keeps, "has_absence": bool(settings.absence)}


def _target(service: DirectoryService, own: str, text: str) -> str:
    try:
        address = parse_address(text.strip())
    except AddressError as error:
        raise UsageError(f"{text!r} is not a mail address ({error})") from error
    if address.key == own:
        raise UsageError(f"{own}: cannot forward to itself")
    if address.domain in service.directory.domains() and service.directory.find_mailbox(address.key) is None:
        raise UsageError(f"{address}: no mailbox here has this address")
    return str(address)


def _moment(service: DirectoryService, text: str) -> float:
    if not text.strip():
        return 0.0
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(f"{text!r} is not a time such as 2026-12-01 or 2026-12-01T08:00") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(service.timezone))).timestamp()


def _shown(service: DirectoryService, address: str, settings: Forwarding) -> Json:
    return {
        "address": address, "forward": list(settings.forward), "keeps": settings.keeps, "absence": settings.absence,
        "absence_from": service.local_time(settings.absence_from) if settings.absence_from else None,
        "absence_until": service.local_time(settings.absence_until) if settings.absence_until else None,
    }  # fmt: skip
