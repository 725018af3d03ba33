"""What the office does with quarantine: release, drop, expiry, and one digest a day to whom letters are held for."""

from __future__ import annotations

import os
from collections import defaultdict

from bdmta.directory.registry import call
from bdmta.directory.service import DirectoryService
from bdmta.errors import BdmtaError
from bdmta.office.letters import commit, tell
from bdmta.quarantine import HELD, Kept, QuarantineStore
from storage.commit import Delivery, Target
from storage.files import write_durable
from storage.maildir import mailbox_dir

_DIGEST_VI = """Kính gửi anh/chị,

Trong ngày qua, hệ thống tạm giữ {count} thư gửi tới anh/chị do nghi ngờ không an toàn:

{lines}
Nếu cần nhận thư nào, xin gửi mã thư đó tới {postmaster}; thư được giữ {days} ngày rồi tự xoá. Xin không yêu cầu cho
nhận thư mà anh/chị không chờ đợi.

Trung tâm Thông tin điện tử
"""


def _store(service: DirectoryService) -> QuarantineStore:
    return QuarantineStore(service.quarantine_dir, service.clock)


@call
def quarantine_release(service: DirectoryService, *, entry_id: str) -> list[str]:
    """Deliver the letter to the inboxes it was kept from, then take it out; done twice, it is there once."""
    store = _store(service)
    kept = store.entry(entry_id)
    if kept.why != HELD:
        raise BdmtaError(f"{entry_id}: it is the original of a letter that was delivered; nobody waits for it")
    targets = []
    for address in kept.recipients:
        mailbox = service.directory.find_mailbox(address)
        if mailbox is not None and mailbox.status != "closed":
            targets.append(Target(mailbox_dir(service.mail_root, address)))
    if not targets:
        raise BdmtaError(f"{entry_id}: none of its recipients has a mailbox here: {', '.join(kept.recipients)}")
    commit(service).store_sync([Delivery(store.letter(entry_id), tuple(targets))])
    store.remove(entry_id)
    service.note_act("quarantine.release", entry_id, after={"delivered_to": list(kept.recipients)})
    return list(kept.recipients)


@call
def quarantine_drop(service: DirectoryService, *, entry_id: str) -> None:
    """Remove the letter for good."""
    store = _store(service)
    kept = store.entry(entry_id)
    store.remove(entry_id)
    service.note_act("quarantine.drop", entry_id, before={"sender": kept.sender, "recipients": list(kept.recipients)})


@call
def quarantine_daily(service: DirectoryService, *, keep_days: int, marker: str) -> None:
    """Once a day: tell whom letters are held for, and remove what is older than `keep_days`.

    That it was done (the time of the file `marker`) is noted before anybody is told, so that nobody is told twice.
    """
    now = service.clock.time()
    store = _store(service)
    since = _told_at(marker, now)
    write_durable(marker, service.clock.now().isoformat().encode())
    os.utime(marker, (now, now))
    texts = digests(list(store.entries()), since, postmaster=service.postmaster, days=keep_days)
    for address, text in texts.items():
        tell(service, address, "Thư đang được tạm giữ", text)
    store.expire(now - keep_days * 86_400)


def _told_at(marker: str, now: float) -> float:
    """When the last digest went out; a day ago when there was none."""
    try:
        return os.stat(marker).st_mtime
    except FileNotFoundError:
        return now - 86_400


def digests(kept: list[Kept], since: float, *, postmaster: str, days: int) -> dict[str, str]:
    """The text for each mailbox that a letter has been held for since `since`."""
    lines: dict[str, list[str]] = defaultdict(list)
    for one in kept:
        if one.why == HELD and one.kept_at >= since:
            for address in one.recipients:
                lines[address].append(f"  - {one.id}, từ {one.sender or 'hệ thống'} ({one.policy})\n")
    return {
        address: _DIGEST_VI.format(count=len(of), lines="".join(of), postmaster=postmaster, days=days)
        for address, of in lines.items()
    }
