"""One letter to the request address, read in a process of its own: who gave it to us, by our own mark; what it asks.

Only the topmost Received is believed: this server writes it before everything that a sender wrote (contract 2).
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict
from typing import Any

from bdmta.charset import texts_of
from bdmta.message import Message, scan
from bdmta.message.headers import Header
from bdmta.queue.absence import may_answer
from bdmta.requests.form import Asked, from_csv, from_rows, from_text, request_number
from bdmta.requests.ods import OdsError, read_ods
from storage.maildir import mailbox_dir

_OWN_ID = re.compile(rb"\bid ([0-9a-z]{8,32});[^;]*\Z")
_FORM_OCTETS = 1_000_000
_TEXT_MAX = 8000
_ODS = "application/vnd.oasis.opendocument.spreadsheet"
_FORMS_MAX = 5


def waiting(mail_root: str, address: str) -> dict[str, str]:
    """The letters in the inbox: path by the name's unchanging part."""
    found: dict[str, str] = {}
    for part in ("new", "cur"):
        where = f"{mailbox_dir(mail_root, address)}/{part}"
        try:
            names = os.listdir(where)
        except FileNotFoundError:
            continue
        found |= {name.partition(":")[0].partition(",")[0]: f"{where}/{name}" for name in names if name[0] != "."}
    return found


def read(path: str, max_octets: int) -> dict[str, Any]:
    """What the office is told of a letter. Raises OSError. Too large a one is told of by its head alone."""
    with open(path, "rb") as file:
        octets = file.read(max_octets + 1)
    is_whole = len(octets) <= max_octets
    message = scan(octets)
    text, asked = _asked(message) if is_whole else ("", [])
    subject = message.first("subject")
    return {
        "reference": _reference(message.first("received")), "message_id": _text(message.first("message-id")),
        "subject": (subject.text if subject else "")[:500], "number": request_number(subject.text if subject else ""),
        "asked": [asdict(one) for one in asked], "text": text[:_TEXT_MAX], "is_whole": is_whole,
        "may_answer": may_answer(_text(message.first("return-path")).strip("<>"), message.headers),
    }  # fmt: skip


def _reference(received: Header | None) -> str:
    match = _OWN_ID.search(received.value.rstrip()) if received is not None else None
    return match[1].decode("ascii") if match else ""


def _text(header: Header | None) -> str:
    return header.text.strip()[:255] if header is not None else ""


def _asked(message: Message) -> tuple[str, list[Asked]]:
    """The letter's text, and its requests: those of attached forms, else those of its lines."""
    bodies = [text for what, text in texts_of(message) if what == "body"]
    found: list[Asked] = []
    forms = 0
    for part in message.walk():
        name = next(iter(part.names), "").lower()
        is_ods = name.endswith(".ods") or part.media_type == _ODS
        if not (is_ods or name.endswith(".csv")) or forms >= _FORMS_MAX:
            continue
        forms += 1
        octets = part.decoded(_FORM_OCTETS + 1)
        found += _of_form(octets, is_ods=is_ods)
    if not found:
        found = next((asked for asked in map(from_text, bodies) if asked), [])
    return (bodies[0] if bodies else ""), found


def _of_form(octets: bytes, *, is_ods: bool) -> list[Asked]:
    if len(octets) > _FORM_OCTETS:
        return [Asked(problems=("biểu mẫu quá lớn",))]
    if not is_ods:
        return from_csv(octets)
    try:
        return from_rows(read_ods(octets))
    except OdsError as error:
        return [Asked(problems=(str(error),))]
