"""Notices by mail: written once, in the recipients' mailboxes once, however often the office is killed."""

from __future__ import annotations

import os
from datetime import datetime
from zoneinfo import ZoneInfo

from bdmta.directory.service import DirectoryService
from bdmta.message.write import compose_text, date
from bdmta.office.letters import commit
from storage.commit import Delivery, Target
from storage.directory_requests import RequestNotice
from storage.facts import FactWriter
from storage.letter import Letter
from storage.maildir import mailbox_dir


def send_notices(service: DirectoryService) -> int:
    """Put every notice that waits into its mailbox, and note that it went; how many.

    A notice has one file name for good: killed between the letter and the note, the next run finds it there.
    """
    waiting = service.directory.requests.notices(unsent="mail")
    for notice in waiting:
        of_request = service.directory.requests.notices(notice.request)
        number = service.directory.requests.number_of(notice.request)
        letter = _letter(service, notice, number, of_request)
        _deliver(service, notice, letter, number)
        with service.directory.change(service.actor) as change:
            change.requests.told(notice, number)
    return len(waiting)


def _letter(service: DirectoryService, notice: RequestNotice, number: str, of_request: list[RequestNotice]) -> bytes:
    """The same octets to everybody of one outcome."""
    same = [
        n for n in of_request
        if (n.purpose, n.made_at, n.text, n.channel) == (notice.purpose, notice.made_at, notice.text, "mail")
    ]  # fmt: skip
    to = [n.recipient for n in same if not n.is_copy] or [notice.recipient]
    copies = [n.recipient for n in same if n.is_copy and n.recipient not in to]
    domain = service.directory.domains()[0]
    at = datetime.fromisoformat(notice.made_at).astimezone(ZoneInfo(service.timezone))
    headers = [
        ("Return-Path", "<>"),
        ("Date", date(at).decode()),
        ("From", f"Trung tâm Thông tin điện tử <{service.requests.address or service.postmaster}>"),
        ("To", ", ".join(to)),
    ]
    if copies:
        headers.append(("Cc", ", ".join(copies)))
    headers += [("Subject", notice.subject), ("Message-ID", f"<{number}.{same[0].id}@{domain}>")]
    if notice.answers:
        headers += [("In-Reply-To", notice.answers), ("References", notice.answers)]
    headers.append(("Auto-Submitted", "auto-replied" if notice.answers else "auto-generated"))  # RFC 3834 §5
    return compose_text(headers, notice.text)


def _deliver(service: DirectoryService, notice: RequestNotice, octets: bytes, number: str) -> None:
    mailbox = mailbox_dir(service.mail_root, notice.recipient)
    made = int(datetime.fromisoformat(notice.made_at).timestamp())
    base = f"{made}.R{notice.id}{number.replace('-', '')}.requests"
    if _is_there(mailbox, base):
        return
    service.create_folders(notice.recipient)
    name = f"{base},S={len(octets)},W={len(octets)}"
    commit(service).store_sync([Delivery(Letter.from_octets([octets]), (Target(mailbox),), name)])
    if service.facts_dir:
        facts = FactWriter(service.facts_dir, service.clock, "office")
        facts.write(
            [{"event": "delivered", "reference": number, "recipient": notice.recipient,
              "detail": {"direction": "internal", "folder": "INBOX", "notice": notice.purpose}}]
        )  # fmt: skip
        facts.close()


def _is_there(mailbox: str, base: str) -> bool:
    for part in ("new", "cur"):
        try:
            if any(name.startswith(f"{base},") for name in os.listdir(f"{mailbox}/{part}")):
                return True
        except FileNotFoundError:
            continue
    return False
