"""What can be asked of the office about outages; each act is in the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bdmta.directory.registry import Json, call
from bdmta.directory.service import DirectoryService
from bdmta.errors import BdmtaError
from bdmta.outage.book import OutageBook
from bdmta.outage.notice import Notice
from bdmta.outage.times import parse_moment


def _book(service: DirectoryService) -> OutageBook:
    if service.outages is None:
        raise BdmtaError("the notices of outages are not open here")
    return service.outages


def _moment(service: DirectoryService, text: str | None, option: str) -> datetime | None:
    return None if text is None else parse_moment(text, service.clock.now(), service.timezone, option)


@call
def outage_open(
    service: DirectoryService, *, what: str, from_: str | None = None, until: str | None = None,
    scope: Sequence[str] = (), planned: bool = False,
) -> Json:  # fmt: skip
    """Declare an outage, or announce planned work; the same again gives the notice that is there (`new`: false)."""
    book = _book(service)
    before = {notice.id for notice in book.all()}
    agencies = {mailbox.agency for mailbox in service.directory.mailboxes()}
    notice = book.open(
        what=what, from_at=_moment(service, from_, "--from"), until_at=_moment(service, until, "--until"), scope=scope,
        is_planned=planned, is_agency=lambda name: name in agencies or name in service.directory.agencies,
        by=service.actor,
    )  # fmt: skip
    is_new = notice.id not in before
    if is_new:
        _note(service, "outage.open", notice)
    return {"id": notice.id, "state": notice.state, "new": is_new}


@call
def outage_update(
    service: DirectoryService, *, notice_id: str, until: str | None = None, what: str | None = None
) -> Json:
    """A new estimate, a new text."""
    before = _book(service).get(notice_id)
    notice = _book(service).update(notice_id, until_at=_moment(service, until, "--until"), what=what, by=service.actor)
    return _answer(service, "outage.update", before, notice)


@call
def outage_close(service: DirectoryService, *, notice_id: str, done: str) -> Json:
    """The system is back."""
    before = _book(service).get(notice_id)
    return _answer(service, "outage.close", before, _book(service).close_notice(notice_id, done=done, by=service.actor))


@call
def outage_confirm(
    service: DirectoryService, *, notice_id: str, until: str | None = None, what: str | None = None, done: str = ""
) -> Json:
    """Publish a draft of the heartbeat."""
    before = _book(service).get(notice_id)
    notice = _book(service).confirm(
        notice_id, until_at=_moment(service, until, "--until"), what=what, done=done, by=service.actor
    )
    return _answer(service, "outage.confirm", before, notice)


@call
def outage_discard(service: DirectoryService, *, notice_id: str) -> Json:
    """Drop a draft."""
    before = _book(service).get(notice_id)
    return _answer(service, "outage.discard", before, _book(service).discard(notice_id, by=service.actor))


def _answer(service: DirectoryService, action: str, before: Notice, after: Notice) -> Json:
    is_new = before is not after
    if is_new:
        _note(service, action, after)
    return {"id": after.id, "state": after.state, "new": is_new}


def _note(service: DirectoryService, action: str, notice: Notice) -> None:
    detail: dict[str, Any] = {"state": notice.state, "until": notice.until_at.isoformat(), "scope": list(notice.scope)}
    service.note_act(action, notice.id, what=notice.what, **detail)
