"""What the spool keeps of a letter beside its octets, and its form in the `.env` file (one small JSON object)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from storage.errors import Corrupt
from storage.letter import Letter
from storage.maildirsize import Limit

Kind = Literal["remote", "expand", "held"]


@dataclass(frozen=True, slots=True)
class QueueRecipient:
    """One recipient of a queued letter: `via` is the alias or group that led to it, `state` the courier's."""

    address: str
    dsn_notify: str = ""
    dsn_orcpt: str = ""
    via: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """A folder of a mailbox (its directory); `limit` is there for the quota warnings."""

    mailbox: str
    folder: str = "INBOX"
    limit: Limit | None = None


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A letter in the spool. `sender` "" is the null path. `letter` is needed by `put`, and None in what `load` gives.

    `letter_at_octets`: where the letter begins in its file, which is the spool's to say.
    `targets`, `name`, `batch_count` and `attempt` belong to kind "expand". `more` holds keys that this version
    does not know.
    """

    id: str
    sender: str
    recipients: tuple[QueueRecipient, ...] = ()
    letter: Letter | None = None
    direction: str = "internal"
    received_at: float = 0.0
    kind: Kind = "remote"
    targets: tuple[Target, ...] = ()
    name: str = ""
    batch_count: int = 0
    attempt: int = 0
    dsn_ret: str = ""
    dsn_envid: str = ""
    smtputf8: bool = False
    body_8bit: bool = False
    priority: int = 0
    size_octets: int = 0
    letter_at_octets: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)


_RECIPIENT_KEYS = frozenset(f.name for f in fields(QueueRecipient))
_ENTRY_KEYS = frozenset(f.name for f in fields(QueueEntry)) - {"letter", "more", "recipients", "targets"}


def render_entry(entry: QueueEntry) -> bytes:
    """The envelope, the first line of the `.env` file: readable with cat; what is empty is left out."""
    out: dict[str, Any] = {"v": 1}
    for key in ("id", "kind", "sender"):
        out[key] = getattr(entry, key)
    out["recipients"] = [
        {k: v for k in ("address", "dsn_notify", "dsn_orcpt", "via") if (v := getattr(r, k))}
        | ({"state": dict(r.state)} if r.state else {})
        for r in entry.recipients
    ]
    for key in sorted(_ENTRY_KEYS - {"id", "kind", "sender", "size_octets", "letter_at_octets"}):
        value = getattr(entry, key)
        if value:
            out[key] = value
    out["size_octets"] = entry.letter.size_octets if entry.letter is not None else entry.size_octets
    if entry.letter is None and entry.letter_at_octets:  # a letter that is given begins its file
        out["letter_at_octets"] = entry.letter_at_octets
    if entry.targets:
        none = Limit()
        out["targets"] = [
            [t.mailbox, t.folder, (t.limit or none).octets, (t.limit or none).letters] for t in entry.targets
        ]
    out.update({k: v for k, v in entry.more.items() if k not in out})
    return json.dumps(out, ensure_ascii=False, separators=(", ", ": ")).encode("utf-8", "surrogateescape") + b"\n"


def parse_entry(octets: bytes, path: str, *, letter_at_octets: int | None = None) -> QueueEntry:
    """The entry of an envelope, the first line of `.env` file `path`; `letter_at_octets` when its letter is below.

    Raises Corrupt, with the file's name.
    """
    try:
        found = json.loads(octets.decode("utf-8", "surrogateescape"))
        known = {k: v for k, v in found.items() if k in _ENTRY_KEYS}
        if letter_at_octets is not None:
            known["letter_at_octets"] = letter_at_octets
        recipients = tuple(
            QueueRecipient(**{k: v for k, v in r.items() if k in _RECIPIENT_KEYS}) for r in found["recipients"]
        )
        targets = tuple(Target(m, f, Limit(o, n) if o or n else None) for m, f, o, n in found.get("targets", ()))
        more = {k: v for k, v in found.items() if k not in _ENTRY_KEYS and k not in ("v", "recipients", "targets")}
        return QueueEntry(**known, recipients=recipients, targets=targets, more=more)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt(f"{path} is no entry of the spool: {error}") from error
