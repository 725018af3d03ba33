"""What a request does to the directory, within one transaction; and what is then left to do with files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bdmta.directory.passwords import generate
from bdmta.directory.service import DirectoryService
from bdmta.errors import BdmtaError
from bdmta.requests import texts
from bdmta.requests.recipients import check_agency, target
from storage.directory_change import Change
from storage.directory_requests import Request
from storage.directory_rows import Mailbox

Done = tuple[list[str], list[list[Any]]]
"""What people are told was done, a line each; and the work with files: `[what, …]`."""

DRAIN_S = 600
"""How long letters may still come to an old place: who had looked it up before has delivered by then."""


def carry(service: DirectoryService, change: Change, request: Request) -> Done:
    """Do it. Raises BdmtaError, StoreError, and nothing was done then."""
    return _CARRY[request.kind](service, change, request)


def _create(service: DirectoryService, change: Change, request: Request) -> Done:
    details = request.details
    kind = str(details.get("mailbox_kind", "person"))
    mailbox = service.new_mailbox(request.subject, str(details["name"]), kind, str(details["agency"]))
    mailbox = replace(mailbox, rank=details.get("rank"), published=bool(details.get("published")), must_change=True)
    change.add_mailbox(mailbox, postmaster=service.postmaster)
    lines = [f"cấp hộp thư {mailbox.address} cho {mailbox.name}", "mật khẩu lần đầu gửi bằng phong bì niêm phong riêng"]
    return lines, [["folders", mailbox.address]]


def _change(service: DirectoryService, change: Change, request: Request) -> Done:
    mailbox, details = _mailbox(service, request), request.details
    fields = {"name": "new_name", "agency": "new_agency", "rank": "rank"}
    given = {name: details[told] for name, told in fields.items() if told in details}
    if "agency" in given:
        check_agency(service, given["agency"])
    lines: list[str] = []
    if given:
        change.set_mailbox(mailbox.address, **given)
        labels = {"name": "họ và tên", "agency": "cơ quan", "rank": "cấp bậc"}
        lines += [f"{labels[name]}: {value}" for name, value in given.items()]
    new = str(details.get("new_address", ""))
    if not new:
        return lines, []
    until = alias_until(service)
    change.moves.rename(mailbox.address, new, until=until)
    stays = f"đến hết ngày {texts.day(_local_day(service, until))}" if until else "lâu dài"
    lines.append(f"{mailbox.address} đổi thành {new}; thư gửi tới địa chỉ cũ vẫn đến, {stays}")
    drain_until = service.clock.time() + DRAIN_S
    return lines, [["forwarding", mailbox.address, new], ["drain", mailbox.address, new, "", drain_until]]


def _reset(service: DirectoryService, change: Change, request: Request) -> Done:
    """The old password ends now; the slip that is printed brings the new one, which nobody has seen before."""
    mailbox = _mailbox(service, request)
    change.set_password(mailbox.address, service.passwords.hash_generated(generate()), must_change=True)
    told = "mật khẩu cũ hết hiệu lực; mật khẩu mới gửi bằng phong bì niêm phong riêng"
    return [f"cấp lại mật khẩu hộp thư {mailbox.address}", told], []


def _cancel(service: DirectoryService, change: Change, request: Request) -> Done:
    mailbox = _mailbox(service, request)
    change.set_mailbox(mailbox.address, published=False)
    change.set_status(mailbox.address, "closed", reason=request.number)
    lines = [
        f"đóng hộp thư {mailbox.address} ({mailbox.name})",
        "thư trong hộp thư đã được sao lưu và trích xuất trước khi đóng",
    ]
    return lines, [["export", mailbox.address]]


def _merge(service: DirectoryService, change: Change, request: Request) -> Done:
    """People go over as they are; the old agency's mailboxes become aliases, their letters folders of the new one's."""
    agencies = service.directory.agencies
    old, into = agencies.get(str(request.details["old_agency"])), agencies.get(str(request.details["into_agency"]))
    home = f"{into.identifier}@{service.directory.domains()[0]}"
    until, work, people = alias_until(service), [], 0
    for mailbox in service.directory.mailboxes(agency=old.identifier):
        if mailbox.kind == "agency" and mailbox.status != "closed":
            change.moves.fold(mailbox.address, home, until=until)
            below = f"Sáp nhập {mailbox.address.partition('@')[0]}".replace(".", "-")
            work.append(["drain", mailbox.address, home, below, service.clock.time() + DRAIN_S])
        else:
            change.set_mailbox(mailbox.address, agency=into.identifier)
            people += 1
    for agency in agencies.all():
        if agency.parent == old.identifier and agency.identifier != into.identifier:
            change.agencies.set(agency.identifier, parent=into.identifier)
    if into.parent == old.identifier:
        change.agencies.set(into.identifier, parent=old.parent or "")
    change.agencies.set(old.identifier, published=False, parent=into.identifier)
    lines = [f"{old.name} sáp nhập vào {into.name}", f"{people} hộp thư cá nhân chuyển sang {into.identifier}"]
    for _, address, *_rest in work:
        lines.append(f"thư gửi tới {address} nay đến {home}; thư cũ nằm trong thư mục “{_rest[1]}”")
    return lines, work


_CARRY: dict[str, Callable[[DirectoryService, Change, Request], Done]] = {
    "create": _create, "change": _change, "reset": _reset, "cancel": _cancel, "merge": _merge,
}  # fmt: skip


def _mailbox(service: DirectoryService, request: Request) -> Mailbox:
    found = target(service, request).mailbox
    if found is None:
        raise BdmtaError(f"{request.number}: {request.details.get('mailbox')}: no such mailbox")
    if found.status == "closed":
        raise BdmtaError(f"{request.number}: {found.address}: is closed already")
    return found


def alias_until(service: DirectoryService) -> str:
    """When an old address stops leading on: so many days from now (ISO 8601 in UTC); empty: never."""
    days = service.requests.alias_days
    return (service.clock.now() + timedelta(days=days)).isoformat(timespec="seconds") if days else ""


def _local_day(service: DirectoryService, iso: str) -> str:
    return datetime.fromisoformat(iso).astimezone(ZoneInfo(service.timezone)).date().isoformat()
