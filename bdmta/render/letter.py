"""What the index keeps of a letter, made from its octets: ready answers for FETCH, folded text for SEARCH, SORT and
THREAD.

`rules` is what `storage.box.Mailboxes` is given: storage knows no MIME. Never raises, whatever the letter is.
"""

from __future__ import annotations

import re

from bdmta.message.addresses import Group, addresses
from bdmta.message.scan import scan
from bdmta.message.words import header_text
from bdmta.render.date import sent
from bdmta.render.envelope import envelope
from bdmta.render.structure import body_structures
from bdmta.render.subject import base_subject
from bdmta.render.text import Fold, field_text, fold, fold_without_marks, header_for_search, text_for_search
from storage.box_types import IndexRules, Octets, Rendered

VERSION = "3"  # another renderer, another version: indexes are made anew
REFERENCES_MAX = 200
_MESSAGE_ID = re.compile(rb"<([^<>\s]{1,500})>")
_FIRST_ADDRESS = re.compile(rb"[^<>\"(),:;\\@\[\]]*<([^<>\"(),:;\\@\s]+)@|\s*([^<>\"(),:;\\@\s]+)@")


def rules(*, fold_diacritics: bool = False) -> IndexRules:
    """Return the rules of reading letters for the index; with `fold_diacritics`, `cong van` finds `Công văn`."""
    if fold_diacritics:
        return IndexRules(render_letter_without_marks, fold_without_marks, f"{VERSION}d")
    return IndexRules(render_letter, fold, VERSION)


def render_letter(octets: Octets) -> Rendered:
    """Read a letter for the index."""
    return _render(octets, fold)


def render_letter_without_marks(octets: Octets) -> Rendered:
    """Read a letter for an index without diacritics."""
    return _render(octets, fold_without_marks)


def _render(octets: Octets, folded: Fold) -> Rendered:
    message = scan(octets)
    headers = message.headers
    values = {header.name: header.value for header in reversed(headers)}  # the first of each name
    subject = header_text(values.get("subject", b"")[:4096]).strip()
    base, is_reply = base_subject(subject)
    moment = sent(values.get("date", b""))
    ids = _MESSAGE_ID.findall(values.get("message-id", b""))
    text, spans = text_for_search(message, folded)
    body, bodystructure = body_structures(message.root)
    return Rendered(
        header_octets=message.body_start,
        envelope=envelope(headers),
        body=body,
        bodystructure=bodystructure,
        subject=folded(subject),
        from_=field_text(headers, "from", folded),
        to=field_text(headers, "to", folded),
        cc=field_text(headers, "cc", folded),
        bcc=field_text(headers, "bcc", folded),
        base_subject=folded(base),
        sort_from=_first_local(values.get("from"), folded),
        sort_to=_first_local(values.get("to"), folded),
        sort_cc=_first_local(values.get("cc"), folded),
        sent_at=moment[0] if moment else None,
        sent_day=moment[1] if moment else None,
        message_id=ids[0].decode("latin-1") if ids else "",
        references=_references(values),
        is_reply=is_reply,
        text=text,
        spans=spans,
        header_text=header_for_search(message, folded),
    )


def _first_local(value: bytes | None, folded: Fold) -> str:
    """Local part of the first address (RFC 5256 §3 SORT FROM, TO, CC)."""
    if not value:
        return ""
    match = _FIRST_ADDRESS.match(value[:1000])
    if match is not None:
        return folded((match[1] or match[2]).decode("utf-8", "replace"))
    first = addresses(value[:4096], 1)
    if not first:
        return ""
    return folded(first[0].name if isinstance(first[0], Group) else first[0].local)  # ENVELOPE names groups so


def _references(values: dict[str, bytes]) -> tuple[str, ...]:
    """Message-IDs of References, else the first of In-Reply-To (RFC 5256 §3 THREAD=REFERENCES); the newest ones when
    there are very many.
    """
    found = _MESSAGE_ID.findall(values.get("references", b"")[:65_536])
    if not found:
        found = _MESSAGE_ID.findall(values.get("in-reply-to", b"")[:4096])[:1]
    return tuple(dict.fromkeys(one.decode("latin-1") for one in found[-REFERENCES_MAX:]))
