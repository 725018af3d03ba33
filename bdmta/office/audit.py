"""What can be asked of the audit log, and the way into it for acts that are done outside of the office."""

from __future__ import annotations

import json
from typing import Any

from bdmta.directory.registry import Json, call
from bdmta.directory.service import DirectoryService
from bdmta.errors import BdmtaError
from storage.audit import AuditRow, Broken, Head, verify

_EXPORT_MAX = 1_000_000


@call
def audit_list(service: DirectoryService, *, subject: str | None = None, limit_count: int = 1000) -> list[Json]:
    """Administrative acts, the newest first: id, at, actor, action, subject, grounds, before, after, detail."""
    return [_shown(service, row) for row in service.directory.audit(subject=subject, limit_count=limit_count)]


def _shown(service: DirectoryService, row: AuditRow) -> Json:
    return {
        "id": row.id, "at": service.local_time(row.at), "actor": row.actor, "action": row.action,
        "subject": row.subject, "grounds": row.grounds, "before": json.loads(row.before),
        "after": json.loads(row.after), "detail": json.loads(row.detail),
    }  # fmt: skip


@call
def audit_lines(service: DirectoryService, *, after_id: int = 0, limit_count: int = _EXPORT_MAX) -> list[Json]:
    """The lines as they are kept, oldest first, each with its hash: what `verify` goes by."""
    return service.directory.audit_lines(after_id, limit_count)


@call
def audit_head(service: DirectoryService) -> Json:
    """The newest line's number, time and hash: to be written down elsewhere. Number 0: no act yet."""
    return _head(service.directory.audit_head())


@call
def audit_verify(service: DirectoryService, *, anchors: list[Json] | None = None) -> Json:
    """`{"ok": true, "lines", "head"}`, or `{"ok": false, "line", "why"}` with the first line that is wrong.

    `anchors`: heads written down earlier (`id`, `hash`); the log must still hold them.
    """
    known = [Head(id=int(one["id"]), hash=str(one["hash"])) for one in anchors or ()]
    return verified(service.directory.every_audit_line(), known)


def verified(lines: Any, anchors: list[Head]) -> Json:
    """The answer of `audit_verify` for these lines, which may come out of a file."""
    try:
        head = verify(lines, anchors)
    except Broken as error:
        return {"ok": False, "line": error.line, "why": error.why}
    return {"ok": True, "lines": head.id, "head": _head(head)}


def _head(head: Head) -> Json:
    return {"id": head.id, "at": head.at, "hash": head.hash}


@call
def audit_note(
    service: DirectoryService,
    *,
    action: str,
    subject: str,
    before: Json | None = None,
    after: Json | None = None,
    detail: Json | None = None,
) -> None:
    """Put an act on record that a command does by itself, such as the rotation of a DKIM key."""
    if not action.strip() or not subject.strip():
        raise BdmtaError("an act needs a name and a subject")
    with service.directory.change(service.actor, service.grounds) as change:
        change.note(action, subject, before=before, after=after, **(detail or {}))
