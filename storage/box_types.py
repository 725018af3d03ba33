"""The values that pass between a folder of letters and those who read it. No behaviour worth a lock.

Flags are one integer a letter: six bits for RFC 3501 §2.3.2, then one bit for each of the folder's 26 keywords
(`keyword_bit`).
A mask turns into octets once and is kept by the renderer; there are few distinct masks in a folder.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

SEEN = 1
ANSWERED = 2
FLAGGED = 4
DELETED = 8
DRAFT = 16
RECENT = 32  # never in `Columns.flags`; rows >= View.recent_row have it (RFC 3501 §2.3.2)
KEYWORD_SHIFT = 6
KEYWORD_COUNT = 26
SYSTEM_MASK = SEEN | ANSWERED | FLAGGED | DELETED | DRAFT

Octets: TypeAlias = "bytes | mmap.mmap"


def keyword_bit(position: int) -> int:
    """Return the flag bit of the keyword at `position` (0-25) of `Box.keywords`."""
    return 1 << (KEYWORD_SHIFT + position)


@dataclass(frozen=True, slots=True)
class Columns:
    """One state of a folder, a row a letter in UID order. Never changed after it is made: hold it as long as you like.

    In a `View`, row *i* is the letter with sequence number *i + 1*.
    """

    uid: array[int]  # "I"
    flags: array[int]  # "I", without RECENT
    size: array[int]  # "Q", octets with CRLF line ends (RFC822.SIZE)
    internaldate: array[int]  # "q", seconds since 1970
    modseq: array[int]  # "Q"

    def __len__(self) -> int:
        return len(self.uid)


@dataclass(frozen=True, slots=True)
class Counts:
    """What SELECT and STATUS tell. `recent` counts letters that no session was told of."""

    messages: int
    unseen: int
    deleted: int
    recent: int
    size_octets: int


@dataclass(frozen=True, slots=True)
class Status:
    """A folder's figures, without a session (STATUS, LIST-STATUS)."""

    counts: Counts
    uidvalidity: int
    uidnext: int
    highestmodseq: int


@dataclass(frozen=True, slots=True)
class Deltas:
    """What changed in a view since it was last polled; to be told in this order: expunged, exists, recent, flags."""

    expunged: tuple[int, ...] = ()  # sequence numbers in the order to send (highest first, so none shifts another)
    expunged_uids: tuple[int, ...] = ()  # the same letters
    exists: int | None = None  # the new number of letters, when letters came (or None)
    recent: int | None = None  # the new number of recent letters, when letters came
    flags: tuple[int, ...] = ()  # rows (after the expunges) whose flags others changed
    keywords_changed: bool = False  # Box.keywords grew: tell FLAGS and PERMANENTFLAGS again

    def __bool__(self) -> bool:
        return bool(self.expunged or self.exists is not None or self.flags or self.keywords_changed)


@dataclass(frozen=True, slots=True)
class Changed:
    """What a STORE did. Rows are of the view, whose columns are already the new ones."""

    rows: tuple[int, ...]  # letters asked for that exist now, changed or not, and were not refused by UNCHANGEDSINCE
    modified: tuple[int, ...] = ()  # rows left alone since their modseq is above `unchanged_since` (RFC 7162 §3.1.3)
    missing: tuple[int, ...] = ()  # rows already expunged by others


@dataclass(frozen=True, slots=True)
class Placed:
    """Where APPEND, COPY or MOVE put letters (RFC 4315): `source` and `uids` go in pairs; on disk when this is
    returned.
    """

    uidvalidity: int
    uids: tuple[int, ...]
    source: tuple[int, ...] = ()  # UIDs in the folder they came from; empty for APPEND
    missing: tuple[int, ...] = ()  # UIDs asked for that were already gone


@dataclass(frozen=True, slots=True)
class FolderInfo:
    """A line of LIST. `selectable` is false for a level that exists by its children only."""

    name: str  # "INBOX", "Công văn/2026"; separator "/", NFC
    selectable: bool
    has_children: bool
    subscribed: bool
    special_use: str = ""  # "\\Sent" and the like


class Rendered(NamedTuple):
    """What the index keeps of one letter.

    Made by `bdmta.render.render_letter`; text folded by the same rule as the needles.
    """

    header_octets: int  # up to and with the empty line
    envelope: bytes  # RFC 3501 §7.4.2, with the parentheses; strings quoted, or literals where they must be
    body: bytes  # BODY without extensions
    bodystructure: bytes
    subject: str  # decoded, folded
    from_: str  # "name <address>, ..." decoded, folded
    to: str
    cc: str
    bcc: str
    base_subject: str  # RFC 5256 §2.1, folded
    sort_from: str  # first address's local part, folded (RFC 5256 §3)
    sort_to: str
    sort_cc: str
    sent_at: int | None  # seconds since 1970 from Date; None: SORT and SENT* use the internal date
    sent_day: (
        int | None
    )  # days since 1970 of Date as its sender wrote it, without its zone (SENTBEFORE, SENTON, SENTSINCE)
    message_id: str  # without the angle brackets, or ""
    references: tuple[str, ...]  # RFC 5256 §3: References, else the first of In-Reply-To
    is_reply: bool  # the subject had Re:, Fwd: (RFC 5256 §2.1), for THREAD=REFERENCES
    text: str | None  # folded text of the body's text parts that are not plain ASCII; None: there are none
    spans: tuple[int, ...]  # where the plain ones are: start, end, start, end ... in the letter's octets
    header_text: str | None = None  # folded header; None: it is plain ASCII without encoded words


FIELDS = (
    "header_octets", "subject", "from_", "to", "cc", "bcc", "base_subject", "sort_from", "sort_to", "sort_cc",
    "sent_at", "sent_day", "message_id", "references", "is_reply",
)  # fmt: skip
RENDERED = ("envelope", "body", "bodystructure")

Renderer: TypeAlias = Callable[[Octets], Rendered]


@dataclass(frozen=True, slots=True)
class IndexRules:
    """How letters are read for the index. `version` names renderer and folding: another version rebuilds the index."""

    render: Renderer  # a function of a module: it is sent to worker processes
    fold: Callable[[str], str]  # what `Rendered`'s text went through; needles go through it too
    version: str
