"""What can be asked of requests by name: entering, looking, deciding. Carrying out is in `calls_doing`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from bdmta.directory.registry import Json, call
from bdmta.directory.service import DirectoryService
from bdmta.errors import BdmtaError, UsageError
from bdmta.requests import model, texts
from bdmta.requests.proposing import proposals
from bdmta.requests.recipients import asking, check_agency, find, notices, target, to_asker
from bdmta.requests.rights import right, who_may
from bdmta.requests.sending import send_notices
from storage.directory_requests import Request


@call
def request_new(
    service: DirectoryService, *, kind: str, requester: str, details: Json, grounds: str = "",
    paper_number: str = "", paper_date: str = "", scan: str = "", override: str = "",
) -> Json:  # fmt: skip
    """Enter a request, as it came on paper or by word of an official mailbox. Who may not ask it is refused.

    `requester`: an official mailbox, or an agency's abbreviation on paper. `override`: why it is entered all the same;
    on record. The answer is that of `request_show`.
    """
    if paper_date:
        _iso_day(paper_date)
    paper = {k: v for k, v in {"number": paper_number, "date": paper_date, "scan": scan}.items() if v}
    request = Request(
        kind=kind, requester=requester.strip().lower() or "", channel="paper" if paper else "mailbox",
        details=model.checked(kind, details), grounds=grounds or override, paper=paper,
    )  # fmt: skip
    if not request.requester:
        raise UsageError("who asks? give the official mailbox, or on paper the agency's abbreviation")
    number = enter(service, request, override=override)
    return shown(service, number)


def enter(
    service: DirectoryService, request: Request, *, override: str = "", answers: str = "", ack: bool = True
) -> str:
    """Put a request on record with its deadline and its receipt; its number."""
    about = target(service, request)
    found = right(request.kind, asking(service, request.requester), about, service.requests.home_affairs)
    if found is None and not override and request.state != "draft":
        raise BdmtaError(
            f"{request.requester}: may not ask to {request.kind} {_about(request)}: that is for "
            f"{who_may(request.kind)} (Điều 7); --override REASON enters it all the same"
        )
    if request.state != "draft":
        _check_target(service, request)
    today = service.clock.now().astimezone(ZoneInfo(service.timezone)).date()
    made = Request(**{
        **asdict(request), "role": found.role if found else "", "work": (),
        "due_on": model.due_on(today, service.requests.working_days, _holidays(today.year)).isoformat(),
    })  # fmt: skip
    with service.change() as change:
        number = change.requests.add(made, year=today.year, text=found.article if found else override)
        if ack:
            made = Request(**{**asdict(made), "number": number})
            words = texts.acknowledgement(made, made.due_on)
            receipts = [n for n in to_asker(service, made, "acknowledge", words, answers) if n.channel == "mail"]
            change.requests.tell(number, receipts)
    send_notices(service)
    return number


def _check_target(service: DirectoryService, request: Request) -> None:
    """Raise NotFound or BdmtaError for what does not exist, before anybody promises it."""
    for name in ("agency", "new_agency", "old_agency", "into_agency"):
        if name in request.details:
            check_agency(service, str(request.details[name]))
    if request.kind == "merge" and request.details["old_agency"] == request.details["into_agency"]:
        raise UsageError("old_agency and into_agency are the same")
    if request.kind == "merge":
        for name in ("old_agency", "into_agency"):
            service.directory.agencies.get(str(request.details[name]))
    if "mailbox" in request.details:
        address = service.own_address(str(request.details["mailbox"]))
        found = find(service, address)
        if found is None:
            service.directory.mailbox(address)
        elif found.status == "closed":
            raise BdmtaError(f"{address}: is closed already")
    if request.kind == "change" and "new_address" in request.details:
        service.own_address(str(request.details["new_address"]))


@call
def request_list(
    service: DirectoryService, *, state: str | None = None, kind: str | None = None, overdue: bool = False
) -> list[Json]:
    """Requests in order of their numbers; `overdue`: those whose day has passed and that wait still."""
    found = service.directory.requests.all(state=state, kind=kind)
    shown = [_row(service, request) for request in found]
    return [row for row in shown if row["overdue"]] if overdue else shown


@call
def request_show(service: DirectoryService, *, number: str) -> Json:
    """One request with its thread and history, its notices, and the address that is proposed."""
    return shown(service, number)


def shown(service: DirectoryService, number: str) -> Json:
    """What `request_show` answers."""
    request = service.directory.requests.get(number)
    events = [{**e, "at": service.local_time(e["at"])} for e in service.directory.requests.events(request.id)]
    told = [
        {
            "purpose": n.purpose, "channel": n.channel, "recipient": n.recipient, "is_copy": n.is_copy,
            "sent_at": service.local_time(n.sent_at) if n.sent_at else None,
        }
        for n in service.directory.requests.notices(request.id)
    ]  # fmt: skip
    return {
        **_row(service, request), "details": dict(request.details), "grounds": request.grounds,
        "paper": dict(request.paper), "source": request.source, "approved_by": request.approved_by,
        "history": events, "notices": told, "proposal": proposals(service).get(number),
    }  # fmt: skip


def _row(service: DirectoryService, request: Request) -> Json:
    today = service.clock.now().astimezone(ZoneInfo(service.timezone)).date().isoformat()
    unsent = [n for n in service.directory.requests.notices(request.id) if not n.sent_at]
    return {
        "number": request.number, "kind": request.kind, "state": request.state, "requester": request.requester,
        "role": request.role, "channel": request.channel, "subject": request.subject or _about(request),
        "received_at": service.local_time(request.received_at), "due_on": request.due_on,
        "state_at": service.local_time(request.state_at),
        "overdue": request.state not in ("done", "rejected") and request.due_on < today,
        "notified": request.state in ("done", "rejected") and not unsent,
    }  # fmt: skip


def _about(request: Request) -> str:
    details = request.details
    return str(details.get("mailbox") or details.get("name") or details.get("old_agency") or "")


@call
def request_note(service: DirectoryService, *, number: str, text: str, internal: bool = False) -> Json:
    """Write to the requester (Bước 2), or, `internal`, into the history alone."""
    request = service.directory.requests.get(number)
    if not text.strip():
        raise UsageError(f"{number}: the text is empty")
    with service.change() as change:
        if internal:
            change.requests.set(number, "note", text)
        else:
            if request.state in ("received", "approved"):
                change.requests.set(number, "question", text, state="discussing")
            else:
                change.requests.set(number, "question", text)
            change.requests.tell(number, to_asker(service, request, "question", texts.question(request, text)))
    send_notices(service)
    return shown(service, number)


@call
def request_edit(
    service: DirectoryService, *, number: str, details: Json | None = None, kind: str = "", requester: str = "",
    grounds: str = "", override: str = "",
) -> Json:  # fmt: skip
    """Complete a draft, or note what was agreed with the requester; a draft is received then (Bước 2).

    `details` are added to those that are there; an empty text takes one away.
    """
    request = service.directory.requests.get(number)
    if request.state not in model.OPEN:
        raise UsageError(f"{number}: is {request.state}; it cannot be edited any more")
    edited_kind = kind or request.kind
    merged = {**(request.details if edited_kind == request.kind else {}), **(details or {})}
    made = Request(**{
        **asdict(request), "kind": edited_kind, "requester": requester.strip().lower() or request.requester,
        "details": model.checked(edited_kind, merged), "grounds": grounds or request.grounds, "state": "received",
    })  # fmt: skip
    found = right(made.kind, asking(service, made.requester), target(service, made), service.requests.home_affairs)
    if found is None and not override and not (request.role or request.state != "draft"):
        raise BdmtaError(
            f"{made.requester}: may not ask to {made.kind} this: that is for {who_may(made.kind)} (Điều 7); "
            "give --from, or --override REASON"
        )
    _check_target(service, made)
    state = "received" if request.state == "draft" else request.state
    with service.change() as change:
        change.requests.set(
            number, "edited", override, kind=made.kind, requester=made.requester, details=made.details,
            grounds=made.grounds, state=state, role=found.role if found else "",
        )  # fmt: skip
    return shown(service, number)


@call
def request_approve(service: DirectoryService, *, number: str, address: str = "", text: str = "") -> Json:
    """Decide for it. A new person's address is the proposed one, or `address` where a person must choose."""
    request = service.directory.requests.get(number)
    model.check_step(request, "approved")
    model.checked(request.kind, request.details)
    _check_target(service, request)
    subject = request.subject
    if request.kind == "create":
        subject = _new_address(service, request, address)
    elif address:
        raise UsageError(f"{number}: --address belongs to a request to create")
    elif "mailbox" in request.details:
        found = find(service, service.own_address(str(request.details["mailbox"])))
        subject = found.address if found is not None else ""
    with service.change() as change:
        change.requests.set(number, "approved", text, state="approved", subject=subject, approved_by=service.actor)
    return shown(service, number)


def _new_address(service: DirectoryService, request: Request, chosen: str) -> str:
    domain = service.directory.domains()[0]
    if request.details.get("mailbox_kind") == "agency":
        wanted = f"{request.details['agency']}@{domain}"
        if chosen and service.own_address(chosen) != wanted:
            raise UsageError(f"{request.number}: an agency's mailbox is {wanted} (Điều 5.2)")
    elif chosen:
        wanted = service.own_address(chosen)
    else:
        wanted = _proposed(service, request)
    held = service.directory.holder(wanted)
    if held is not None and not held.startswith("at rest"):
        raise BdmtaError(f"{wanted}: taken, it is {held}; nobody loses an address in use (Điều 5.4)")
    for other in service.directory.requests.pending():
        if other.number != request.number and other.kind == "create" and other.subject == wanted:
            raise BdmtaError(f"{wanted}: was approved for {other.number}; choose another address")
    return wanted


def _proposed(service: DirectoryService, request: Request) -> str:
    answer = proposals(service)[request.number]
    if answer["status"] == "ok":
        return str(answer["address"])
    said = f"{request.number}: {answer['code']}: {answer['reason']}"
    if answer["status"] == "error":
        raise BdmtaError(f"{said}; correct the request (`bdmta request edit`), or give --address")
    choices = "".join(f"; ({n}) {one}" for n, one in enumerate(answer.get("choices", ()), 1))
    raise BdmtaError(f"{said}{choices}; decide with --address {answer['address']}, or another")


@call
def request_reject(service: DirectoryService, *, number: str, reason: str) -> Json:
    """Decide against it; the requester and Sở Nội vụ are told why (Bước 3)."""
    request = service.directory.requests.get(number)
    if request.state == "rejected":
        return shown(service, number)
    model.check_step(request, "rejected")
    if not reason.strip():
        raise UsageError(f"{number}: a refusal says why (Điều 7 Bước 3): --reason")
    with service.change() as change:
        change.requests.set(number, "rejected", reason, state="rejected")
        if request.requester:
            change.requests.tell(number, notices(service, request, "refusal", texts.refusal(request, reason)))
    send_notices(service)
    return shown(service, number)


def _iso_day(text: str) -> None:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text}: a date is written 2026-11-28") from None


@cache
def _holidays(year: int) -> Any:
    import holidays

    return holidays.country_holidays("VN", years=(year, year + 1))
