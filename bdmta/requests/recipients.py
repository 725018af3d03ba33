"""From the matrix to addresses: who exactly is told, and by what way."""

from __future__ import annotations

from bdmta.directory.service import DirectoryService
from bdmta.requests.matrix import MATRIX, Addressee
from bdmta.requests.rights import Asker, Target, asker, subject_of
from storage.directory_requests import Request, RequestNotice
from storage.directory_rows import Mailbox


def notices(service: DirectoryService, request: Request, purpose: str, words: tuple[str, str]) -> list[RequestNotice]:
    """One notice to each whom Điều 7 names, once, though he stands for two; no mailbox to write to: on paper."""
    made: dict[str, RequestNotice] = {}
    for one in MATRIX[request.kind, subject_kind(service, request), purpose]:
        recipient, channel = _resolve(service, request, one)
        if recipient not in made:
            made[recipient] = RequestNotice(
                purpose=purpose, channel=channel, recipient=recipient, subject=words[0], text=words[1],
                is_copy=one.is_copy,
            )  # fmt: skip
    return list(made.values())


def to_asker(
    service: DirectoryService, request: Request, purpose: str, words: tuple[str, str], answers: str = ""
) -> list[RequestNotice]:
    """What goes to the requester alone: a receipt, a question."""
    recipient, channel = _resolve(service, request, Addressee("asker", "mail"))
    return [
        RequestNotice(
            purpose=purpose, channel=channel, recipient=recipient, subject=words[0], text=words[1], answers=answers
        )
    ]


def subject_kind(service: DirectoryService, request: Request) -> str:
    """Whether it is about the mailbox of an agency or of a person."""
    if request.kind == "merge":
        return "agency"
    if request.kind == "create":
        return str(request.details.get("mailbox_kind", "person"))
    found = target(service, request).mailbox
    return found.kind if found is not None else "person"


def target(service: DirectoryService, request: Request) -> Target:
    """What the request is about, as the directory has it now."""
    if request.kind == "merge":
        return Target(None, str(request.details.get("old_agency", "")))
    mailbox, agency = None, ""
    if request.kind == "create":
        agency = str(request.details.get("agency", ""))
    else:
        mailbox = find(service, subject_of(request))
        agency = mailbox.agency if mailbox is not None else ""
    known = service.directory.agencies.find(agency) if agency else None
    return Target(mailbox, agency, (known.parent or "") if known is not None else "")


def asking(service: DirectoryService, requester: str) -> Asker:
    """Who asks, and for which agencies."""
    home = service.directory.domains()[0]
    mailbox = find(service, requester if "@" in requester else f"{requester}@{home}")
    return asker(requester, service.directory.agencies.all(), mailbox)


def check_agency(service: DirectoryService, identifier: str) -> None:
    """Raise NotFound unless there is such an agency: entered, or one that has its mailbox already."""
    found = find(service, f"{identifier}@{service.directory.domains()[0]}")
    if found is None or found.kind != "agency":
        service.directory.agencies.get(identifier)


def find(service: DirectoryService, address: str) -> Mailbox | None:
    """The mailbox at `address`, or behind the alias that it is."""
    if "@" not in address:
        return None
    found = service.directory.find_mailbox(address.lower())
    if found is None:
        for leads_to in service.directory.targets(address.lower()):
            found = found or service.directory.find_mailbox(leads_to)
    return found


def _resolve(service: DirectoryService, request: Request, one: Addressee) -> tuple[str, str]:
    """The recipient and the channel."""
    if one.who == "asker":
        mailbox = find(service, request.requester)
        if mailbox is not None and mailbox.status == "active":
            return mailbox.address, one.channel
        who = request.requester
        agency = next(iter(sorted(asking(service, who).speaks_for)), "")
    elif one.who == "asking-agency":
        who = request.requester
        spoken = asking(service, who).speaks_for
        about = target(service, request)
        agency = next((a for a in (about.agency, about.parent) if a in spoken), next(iter(sorted(spoken)), ""))
        agency = agency or about.agency  # an official who asks for his agency's mailbox is of that agency
    elif one.who == "successor":
        agency = who = str(request.details["into_agency"])
    elif one.who == "home-affairs":
        agency = who = service.requests.home_affairs
    else:
        agency = who = target(service, request).agency
    if one.channel == "mail" and agency:
        mailbox = find(service, f"{agency}@{service.directory.domains()[0]}")
        if mailbox is not None and mailbox.status == "active":
            return mailbox.address, "mail"
    return agency or who, "paper"
