"""Requests by letter: the ledger says who handed it in; what is not an official's with that right is a draft."""

from __future__ import annotations

from typing import Any

from bdmta.directory.registry import Json, call
from bdmta.directory.service import DirectoryService
from bdmta.errors import BdmtaError
from bdmta.requests import model, texts
from bdmta.requests.calls import enter
from bdmta.requests.reading import waiting
from bdmta.requests.recipients import asking, find, to_asker
from bdmta.requests.sending import send_notices
from storage.directory_requests import Request
from storage.errors import Conflict, StoreError

STRANGERS_DRAFTS_MAX = 100
"""Open drafts of senders whom nobody knows; letters beyond stay in the mailbox, unread by the program."""

UNVERIFIED = "unverified:"


@call
def request_letters(service: DirectoryService) -> list[str]:
    """The letters at the request address that were not dealt with, by their names; oldest first, 200 at most."""
    address = service.requests.address
    if not address:
        return []
    known = service.directory.requests.letters()
    return sorted(name for name in waiting(service.mail_root, address) if name not in known)[:200]


@call
def request_intake(
    service: DirectoryService, *, letter: str, reference: str, message_id: str, subject: str, number: str,
    asked: list[Json], text: str, is_whole: bool, may_answer: bool,
) -> Json:  # fmt: skip
    """Enter what a letter asks; dealt with before, nothing changes. `{"outcome", "numbers"}`.

    Whose it is, is what the ledger has of this reception: an authenticated submission, with the same Message-ID.
    """
    known = service.directory.requests.letter(letter)
    if known is not None:
        return {"outcome": known, "numbers": []}
    fact = _fact(service, reference, message_id)
    account = str((fact or {}).get("detail", {}).get("account") or "")
    sender = account or (UNVERIFIED + str((fact or {}).get("sender") or "unknown"))
    answers = message_id if may_answer and account else ""
    numbers: list[str] = []
    if number and account and _is_answer(service, number, account):
        outcome = _answer(service, number, account, text)
    elif asked:
        numbers = [
            _enter(service, sender, f"{reference or letter}#{n}" if n > 1 else reference or letter, one, answers)
            for n, one in enumerate(asked, 1)
            if account or _strangers(service) < STRANGERS_DRAFTS_MAX
        ]
        outcome = f"requests: {', '.join(numbers)}" if numbers else "unread: too many drafts of strangers"
    elif account:
        numbers = [_unread(service, sender, reference or letter, text if is_whole else "(thư quá lớn)", answers)]
        outcome = f"draft: {numbers[0]}"
    else:
        outcome = "left for a person: no request in it, and nobody of ours"
    with service.change() as change:
        change.requests.dealt_with(letter, outcome)
    return {"outcome": outcome, "numbers": numbers}


def _fact(service: DirectoryService, reference: str, message_id: str) -> Json | None:
    """What this server noted when it accepted the letter by an authenticated submission or else."""
    if service.ledger is None or not reference:
        return None
    service.ledger.import_files(service.facts_dir)
    for fact in service.ledger.trace(reference, limit_count=50):
        if fact["event"] == "accepted" and fact["reference"] == reference and fact["message_id"] == message_id:
            is_ours = fact["detail"].get("direction") == "submission"
            return fact if is_ours else {**fact, "detail": {**fact["detail"], "account": None}}
    return None


def _strangers(service: DirectoryService) -> int:
    drafts = service.directory.requests.all(state="draft")
    return sum(draft.requester.startswith(UNVERIFIED) for draft in drafts)


def _is_answer(service: DirectoryService, number: str, account: str) -> bool:
    """The account belongs to whom the request is of: the requester, or an agency that he speaks for."""
    try:
        request = service.directory.requests.get(number)
    except StoreError:
        return False
    if request.requester == account:
        return True
    return bool(asking(service, account).speaks_for & asking(service, request.requester).speaks_for)


def _answer(service: DirectoryService, number: str, account: str, text: str) -> str:
    request = service.directory.requests.get(number)
    with service.change() as change:
        if request.state == "discussing":
            change.requests.set(number, "answer", f"{account}: {text}", state="received")
        else:
            change.requests.set(number, "answer", f"{account}: {text}")
    return f"answer: {number}"


def _enter(service: DirectoryService, sender: str, source: str, asked: Json, answers: str) -> str:
    """A request when everything is in order; else a draft that says what is not. Its number, new or known."""
    before = [r for r in service.directory.requests.of_source(source.partition("#")[0]) if r.source == source]
    if before:
        return before[0].number
    problems = list(asked["problems"])
    kind = asked["kind"] or "change"
    base: dict[str, Any] = {
        "kind": kind, "requester": sender, "channel": "mailbox", "grounds": asked["grounds"], "source": source,
    }  # fmt: skip
    is_ours = not sender.startswith(UNVERIFIED)
    if is_ours and not problems and find(service, sender) is not None:
        try:
            made = Request(**base, details=model.checked(kind, asked["details"]))
            return enter(service, made, answers=answers, ack=bool(answers))
        except Conflict:
            raise
        except (BdmtaError, StoreError) as error:
            problems.append(str(error))
    draft = Request(**base, state="draft", details=_bare(kind, asked["details"]))
    number = enter(service, draft, answers=answers, ack=bool(answers))
    with service.change() as change:
        change.requests.event(number, "draft", "; ".join(problems) or "người gửi chưa được xác thực")
    return number


def _bare(kind: str, details: Json) -> Json:
    """What can be kept of a draft's details."""
    kept: Json = {}
    for name, value in details.items():
        try:
            kept |= model.checked(kind, {name: value}, is_draft=True)
        except BdmtaError:
            continue
    return kept


def _unread(service: DirectoryService, sender: str, source: str, text: str, answers: str) -> str:
    """An official wrote, and no request was found: a draft with the text, and a letter that shows the form."""
    before = service.directory.requests.of_source(source)
    if before:
        return before[0].number
    draft = Request(kind="change", requester=sender, channel="mailbox", source=source, state="draft")
    number = enter(service, draft, ack=False)
    with service.change() as change:
        change.requests.event(number, "letter", text)
        if answers:
            request = service.directory.requests.get(number)
            words = texts.unreadable("không thấy dòng “Yêu cầu: …” hoặc biểu mẫu đính kèm")
            change.requests.tell(number, to_asker(service, request, "acknowledge", words, answers))
    send_notices(service)
    return number
