"""Carrying a request out: begun, finished in one transaction, settled; killed anywhere, the next start goes on."""

from __future__ import annotations

import os
from typing import Any

from bdmta.directory.passwords import generate
from bdmta.directory.registry import Json, call
from bdmta.directory.service import DirectoryService
from bdmta.errors import BdmtaError, UsageError
from bdmta.requests import model, texts
from bdmta.requests.calls import shown
from bdmta.requests.carrying import carry
from bdmta.requests.recipients import find, notices, target
from bdmta.requests.sending import send_notices
from storage.directory_forwarding import FILE, Forwarding, change_forwarding, read_forwarding
from storage.directory_requests import Request
from storage.errors import StoreError
from storage.maildir import mailbox_dir
from storage.moving import rename_mailbox

_TWO_PERSONS = ("cancel", "merge", "reset")


@call
def request_begin(service: DirectoryService, *, number: str) -> Json:
    """Note that it is being carried out; what is to be done before: `{"state", "export": [addresses]}`.

    Done before, the state is `done`, and nothing is to be done.
    """
    request = service.directory.requests.get(number)
    if request.state not in ("done", "working"):
        model.check_step(request, "working")
        if service.requests.two_persons and request.kind in _TWO_PERSONS and request.approved_by == service.actor:
            raise BdmtaError(f"{number}: {service.actor} has approved it; another person carries it out (two_persons)")
        new = request.details.get("new_address")
        if new:
            _check_free(service, str(new))
    if request.state != "done":
        subject = _subject_now(service, request)
        if (request.state, request.subject) != ("working", subject):
            with service.change() as change:
                change.requests.set(number, "begun", state="working", subject=subject)
    now = service.directory.requests.get(number)
    exported = [now.subject] if now.kind == "cancel" and now.state != "done" else []
    return {"state": now.state, "export": exported}


def _subject_now(service: DirectoryService, request: Request) -> str:
    """The address that the mailbox has now: another request may have changed it since this one was approved."""
    if "mailbox" not in request.details:
        return request.subject
    address = service.own_address(str(request.details["mailbox"]))
    found = find(service, address)
    if found is None or found.status == "closed":
        state = "is closed already" if found is not None else "there is no such mailbox any more"
        raise BdmtaError(f"{request.number}: {address}: {state}; `bdmta request reject {request.number} --reason …`")
    return found.address


def _check_free(service: DirectoryService, address: str) -> None:
    new = service.own_address(address)
    held = service.directory.holder(new)
    if held is not None and not held.startswith("at rest"):
        raise BdmtaError(f"{new}: taken, it is {held}; choose another address")
    if os.path.isdir(mailbox_dir(service.mail_root, new)):
        raise BdmtaError(f"{new}: {mailbox_dir(service.mail_root, new)} holds letters of somebody else; move it away")


@call
def request_finish(service: DirectoryService, *, number: str, exported: str = "") -> Json:
    """Directory, state and notices in one transaction; then what is left with files. Repeating changes nothing."""
    service = service.for_actor(service.actor, service.grounds or number)  # the audit log says by which request
    request = service.directory.requests.get(number)
    if request.state == "done":
        return _settle(service, number)
    if request.state != "working":
        raise UsageError(f"{number}: is {request.state}; `bdmta request done {number}` carries an approved one out")
    if "new_address" in request.details:  # before the directory says so: a delivery must not make the new folder first
        old, new = request.subject, service.own_address(str(request.details["new_address"]))
        rename_mailbox(mailbox_dir(service.mail_root, old), mailbox_dir(service.mail_root, new))
    try:
        with service.change() as change:
            lines, work = carry(service, change, request)
            told = notices(service, request, "result", texts.result(request, lines))
            change.requests.set(number, "done", exported, state="done", work=work)
            change.requests.tell(number, told)
    except (BdmtaError, StoreError) as error:
        _undo(service, number, str(error))
        raise
    return _settle(service, number)


def _undo(service: DirectoryService, number: str, why: str) -> None:
    """What cannot be done is approved again and says why; a renamed folder gets its name back."""
    request = service.directory.requests.get(number)
    if "new_address" in request.details:
        old, new = request.subject, service.own_address(str(request.details["new_address"]))
        paths = mailbox_dir(service.mail_root, old), mailbox_dir(service.mail_root, new)
        if service.directory.find_mailbox(old) is not None and service.directory.find_mailbox(new) is None:
            rename_mailbox(paths[1], paths[0])
    with service.change() as change:
        change.requests.set(number, "failed", why, state="approved")


@call
def request_settle(service: DirectoryService, *, number: str) -> Json:
    """What the office itself has left to do: folders, settings, letters to whom it concerns. Repeat it at will."""
    return _settle(service, number)


def _settle(service: DirectoryService, number: str) -> Json:
    request = service.directory.requests.get(number)
    left: list[list[Any]] = []
    for what, *about in request.work:
        if what == "folders":
            service.create_folders(about[0])
            service.set_limit(about[0])
        elif what == "forwarding":
            _move_forwarding(service, *about)
        else:
            left.append([what, *about])
    if left != list(request.work):
        with service.change() as change:
            change.requests.set(number, "settled", work=left)
    service.publish()
    send_notices(service)
    return shown(service, number)


def _move_forwarding(service: DirectoryService, old: str, new: str) -> None:
    path = os.path.join(os.path.dirname(service.snapshot_path), FILE)
    found = read_forwarding(path).get(old)
    if found is not None:
        fields = {name: getattr(found, name) for name in found.__dataclass_fields__}
        change_forwarding(path, new, fields)
        blank = Forwarding()
        change_forwarding(path, old, {name: getattr(blank, name) for name in fields})


@call
def request_work(service: DirectoryService) -> list[Json]:
    """What is begun, or has work left with files, or letters that wait: for `bdmta request resume`."""
    return [
        {"number": r.number, "state": r.state, "kind": r.kind, "work": [list(one) for one in r.work]}
        for r in service.directory.requests.with_work()
    ]


@call
def request_worked(service: DirectoryService, *, number: str, item: list[Any], note: str = "") -> None:
    """A piece of work with files is done."""
    request = service.directory.requests.get(number)
    left = [list(one) for one in request.work if list(one) != item]
    if len(left) != len(request.work):
        with service.change() as change:
            change.requests.set(number, f"worked.{item[0]}", note, work=left)
    mailbox = service.directory.find_mailbox(str(item[2])) if item[0] == "drain" else None
    if mailbox is not None:
        service.set_limit(mailbox.address)


@call
def request_slip(service: DirectoryService, *, number: str) -> Json:
    """A first password for the sealed slip, generated now, in the answer and never to be seen again.

    Asked again while the person has not changed it, a new one takes its place; afterwards it is refused.
    """
    request = service.directory.requests.get(number)
    if request.kind not in ("create", "reset") or request.state != "done":
        raise UsageError(f"{number}: a slip goes with a request to create or reset that is done; it is {request.state}")
    found = target(service, request).mailbox if request.kind == "reset" else None
    mailbox = found or service.directory.mailbox(request.subject)
    if not mailbox.must_change:
        raise BdmtaError(f"{mailbox.address}: has chosen a password; a new one takes a request to reset (Điều 17.2)")
    secret = generate()
    with service.change() as change:
        change.set_password(mailbox.address, service.passwords.hash_generated(secret), must_change=True)
        change.requests.event(number, "slip", mailbox.address)
    agency = service.directory.agencies.find(mailbox.agency)
    return {
        "number": number,
        "address": mailbox.address,
        "name": mailbox.name,
        "password": secret,
        "agency": agency.name if agency else mailbox.agency,
    }


@call
def request_paper(service: DirectoryService, *, numbers: list[str] | None = None) -> list[Json]:
    """The notices on paper that wait to be printed (or those of `numbers`, printed or not), with what they say."""
    book, found = service.directory.requests, []
    wanted = [book.get(number) for number in numbers] if numbers is not None else None
    papers = book.notices(unsent="paper") if wanted is None else [n for r in wanted for n in book.notices(r.id)]
    for notice in papers:
        if notice.channel != "paper":
            continue
        request = book.get(book.number_of(notice.request))
        agency = service.directory.agencies.find(notice.recipient)
        found.append({
            "id": notice.id, "number": request.number, "kind": request.kind, "purpose": notice.purpose,
            "recipient": agency.name if agency else notice.recipient, "is_copy": notice.is_copy,
            "paper_address": agency.paper_address if agency else "", "title": notice.subject, "text": notice.text,
            "subject": request.subject, "made_at": service.local_time(notice.made_at),
            "sent_at": service.local_time(notice.sent_at) if notice.sent_at else None,
        })  # fmt: skip
    return found


@call
def request_printed(service: DirectoryService, *, ids: list[int]) -> int:
    """These notices are on paper: on record, with the time; how many were not before."""
    book = service.directory.requests
    waiting = {notice.id: notice for notice in book.notices(unsent="paper")}
    printed = [waiting[number] for number in ids if number in waiting]
    with service.change() as change:
        for notice in printed:
            change.requests.told(notice, book.number_of(notice.request))
    return len(printed)


@call
def request_aliases_end(service: DirectoryService) -> list[str]:
    """Take away the aliases whose months are over; their addresses rest (Điều 5.4). Which those were."""
    with service.change() as change:
        ended = change.moves.ended_aliases()
        for address in list(ended):
            try:
                with change.attempt():
                    change.remove_alias(address, rest_days=service.rest_days)
            except StoreError:  # a group or another alias leads to it still
                ended.remove(address)
    return ended
