"""Who logged in, when, from where and with which device; when each application password was used last."""

from __future__ import annotations

from datetime import UTC, datetime

from bdmta.directory.registry import Json, call
from bdmta.directory.service import DirectoryService


def note_uses(service: DirectoryService, seen: int | None) -> int:
    """Take the logins of the facts beyond `seen` into the application passwords' last use; the newest fact's number.

    `seen` None: beyond those that were taken in before this process began.
    """
    assert service.ledger is not None
    newest, uses = service.ledger.app_uses(service.directory.logins_seen() if seen is None else seen)
    if uses:
        told = {
            number: (datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"), where)
            for number, (at, where) in uses.items()
        }
        service.directory.note_logins(newest, told)
    return newest


@call
def login_list(service: DirectoryService, *, address: str, limit_count: int = 20) -> list[Json]:
    """The newest logins to a mailbox: at, protocol, ip, device, holder ("" for the mailbox's own password)."""
    if service.ledger is None:
        return []
    own = service.directory.mailbox(service.own_address(address)).address
    if service.facts_dir:
        service.ledger.import_files(service.facts_dir)
    return [
        {
            "at": service.local_time(row["at"]), "protocol": row["detail"].get("protocol", ""),
            "ip": row["detail"].get("ip", ""), "device": row["detail"].get("device", ""),
            "holder": row["detail"].get("holder", ""),
        }
        for row in service.ledger.logins(own, limit_count=limit_count)
    ]  # fmt: skip
