"""What a letter carries: the pure result types of the examiner; policies read them, and open nothing themselves.

Roles of an item: `body` (text that is read as the letter), `inline` (a picture shown within it), `structure`
(signatures, invitations, delivery reports: parts that MIME programs make), `attachment`, `letter` (an attached one),
`member` (of an archive), `component` (a document's own part), `embedded` (a file within a document), `hidden` (found in
text: uuencode, yEnc, before the first boundary).

Problems of an item: `executable-name`, `executable-type`, `executable-content`, `disguised-name`, `html-active`;
`macro`, `dde`, `remote-template`, `activex`; `pdf-javascript`, `pdf-launch`, `pdf-embedded`, `pdf-richmedia`;
`encrypted`, `encrypted-letter`; `unreadable`, `mismatch`, `overlap`, `hidden-entry`, `polyglot`, `traversal`, `link`;
`depth`, `entries`, `expanded`, `ratio`, `time`. Of the letter: `ambiguous`, `fragment`, `external-body`, `mime-bound`,
and any of the bounds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """One file in the letter, at whatever depth.

    `path` is the way in, outermost first (`("a.zip", "b.exe")`), safe to show to a person. `names` are the file's own
    names as they were given, decoded; `extensions` those of every reading of them, in lower case. `declared` is the
    media type said of it, `detected` what its content shows (a key of `bdmta.examine.signatures.FAMILIES`), `family`
    the family of that key; both "" where unknown.
    """

    path: tuple[str, ...]
    names: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    declared: str = ""
    detected: str = ""
    family: str = ""
    size_octets: int = 0
    role: str = "attachment"
    problems: tuple[str, ...] = ()

    @property
    def display(self) -> str:
        """`a.zip/b.exe`, for a person."""
        return "/".join(self.path)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Every file of one letter. `problems` are those of the letter as such; `truncated`: a bound stopped the look."""

    items: tuple[Item, ...] = ()
    problems: tuple[str, ...] = ()
    truncated: bool = False
