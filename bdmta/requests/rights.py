"""Who may ask what (Điều 7 Bước 1), as one table with its articles."""

from __future__ import annotations

from dataclasses import dataclass

from storage.directory_requests import Request
from storage.directory_rows import Agency, Mailbox


@dataclass(frozen=True, slots=True)
class Right:
    """Whoever is `role` to the mailbox or agency in question may ask for `kind`, by `article`."""

    kind: str
    role: str
    article: str


AGENCY, PARENT, HOLDER, HOME_AFFAIRS = "agency", "parent", "holder", "home-affairs"
_NEW = "Điều 7 Bước 1: Thủ trưởng cơ quan lập yêu cầu cấp mới"
_ORGANISATION = "Điều 7 Bước 1: Sở Nội vụ lập yêu cầu thay đổi hay hủy bỏ khi có thay đổi về tổ chức, nhân sự"
_OWN = "Điều 7 Bước 1: cá nhân hoặc cơ quan được cấp hộp thư lập yêu cầu thay đổi"

RIGHTS = (
    Right("create", AGENCY, _NEW),
    Right("create", PARENT, f"{_NEW} (cơ quan cấp trên, khi cơ quan chưa có hộp thư)"),
    Right("change", HOLDER, _OWN),
    Right("change", AGENCY, _OWN),
    Right("change", HOME_AFFAIRS, _ORGANISATION),
    Right("reset", HOLDER, f"{_OWN}; Điều 17 khoản 2"),
    Right("reset", AGENCY, f"{_OWN}; Điều 17 khoản 2"),
    Right("cancel", HOME_AFFAIRS, _ORGANISATION),
    Right("merge", HOME_AFFAIRS, _ORGANISATION),
)
"""Every right there is; what is not here, nobody may ask."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the agencies that he speaks for (its own mailbox, its head, its clerk), and his own address."""

    address: str
    speaks_for: frozenset[str]


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about: the mailbox, if there is one, and the agency (and that agency's parent)."""

    mailbox: Mailbox | None
    agency: str
    parent: str = ""


def asker(requester: str, agencies: list[Agency], mailbox: Mailbox | None) -> Asker:
    """`requester` is the address of an official mailbox or, on paper, an agency's abbreviation."""
    said = requester.strip().lower()
    own = {a.identifier for a in agencies if said in (a.identifier, a.head.strip().lower(), a.clerk.strip().lower())}
    if mailbox is not None and mailbox.kind == "agency" and mailbox.agency:
        own.add(mailbox.agency)
    return Asker(said, frozenset(own))


def right(kind: str, who: Asker, target: Target, home_affairs: str) -> Right | None:
    """The right by which `who` may ask this, or None."""
    roles = set()
    if target.mailbox is not None and who.address == target.mailbox.address:
        roles.add(HOLDER)
    if target.agency and target.agency in who.speaks_for:
        roles.add(AGENCY)
    if target.parent and target.parent in who.speaks_for:
        roles.add(PARENT)
    if home_affairs and home_affairs in who.speaks_for:
        roles.add(HOME_AFFAIRS)
    return next((one for one in RIGHTS if one.kind == kind and one.role in roles), None)


def who_may(kind: str) -> str:
    """For a refusal: the roles that may ask `kind`."""
    return ", ".join(one.role for one in RIGHTS if one.kind == kind)


def subject_of(request: Request) -> str:
    """The address that a request is about, as far as it says one."""
    return request.subject or str(request.details.get("mailbox", ""))
