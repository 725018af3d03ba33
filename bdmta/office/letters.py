"""Letters that the office writes into mailboxes here, durable when `tell` returns."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from zoneinfo import ZoneInfo

from bdmta.directory.service import DirectoryService
from bdmta.message.write import compose_text, date
from storage.commit import Commit, Delivery, Target
from storage.letter import Letter
from storage.maildir import mailbox_dir
from storage.spool import Spool


def tell(service: DirectoryService, address: str, subject: str, text: str) -> bool:
    """Write a letter into the mailbox `address`; whether there is one that takes it. Raises StoreError."""
    mailbox = service.directory.find_mailbox(address)
    if mailbox is None or mailbox.status == "closed":
        return False
    now = service.clock.now().astimezone(ZoneInfo(service.timezone))
    letter = compose_text(
        [
            ("Return-Path", "<>"),
            ("Date", date(now).decode()),
            ("From", f"Trung tâm Thông tin điện tử <{service.postmaster}>"),
            ("To", address),
            ("Subject", subject),
            ("Auto-Submitted", "auto-generated"),
        ],
        text,
    )
    commit(service).store_sync(
        [Delivery(Letter.from_octets([letter]), (Target(mailbox_dir(service.mail_root, address)),))]
    )
    return True


def commit(service: DirectoryService) -> Commit:
    """A store for the few letters that the office places itself; it works in the caller's thread."""
    spool = Spool(service.queue_dir, service.clock)
    return Commit(
        mail_root=service.mail_root, spool=spool, host="office", clock=service.clock, executor=ThreadPoolExecutor(1)
    )
