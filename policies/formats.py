"""Attached documents have a format of the list (Điều 13); the list is data, in `conf/formats/*.toml`.

A file's name and its content must agree on one format of the sets in force. Inline pictures, invitations, signature
parts and delivery reports are structure of the letter, not documents. Members of archives are judged as attachments
are; parts within a document are not.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bdmta.policy
from bdmta.policy import Direction, Facts, Finding, Item, Pass, Reject, Services, Stage, Verdict, option

_ARTICLE = "Điều 13"
_JUDGED = frozenset({"attachment", "member", "hidden", "inline", "structure"})
_STRUCTURE_CONTENTS = frozenset(
    {"text", "calendar", "vcard", "xml", "pgp", "pgp-binary", "pem", "cms", "certificate", "tnef", "empty", "applefile"}
)
_STRUCTURE_NAMES = frozenset(
    {("ics", "calendar"), ("vcf", "vcard"), ("p7s", "cms"), ("p7m", "cms"), ("asc", "pgp"), ("sig", "pgp"),
     ("dat", "tnef"), ("tnef", "tnef")}
)  # fmt: skip
_LITTER = re.compile(r"(?:^|/)(?:__MACOSX/.*|\._[^/]*|\.DS_Store|Thumbs\.db|desktop\.ini)$", re.I)
_UNSEEN = frozenset({"encrypted", "unreadable"})  # policies.attachments decides on what cannot be seen
_STRUCTURE_OCTETS = 64 * 1024  # of a part whose content is not known, such as a signature cut short
_SHOWN_COUNT = 16
_EXCHANGE_TEXT = re.compile(r"^ATT\d{2,}\.(?:htm|html|txt)$", re.I)


@dataclass(frozen=True)
class Config:
    """Options."""

    sets: tuple[str, ...] = option(("qd20-2008", "extended"), "Names of the sets of formats in force.")
    folder: str = option("", "Folder of the sets (NAME.toml); empty: those that come with bdmta.")
    report_mailboxes: tuple[str, ...] = option(
        ("postmaster", "dmarc"),
        "Local parts of mailboxes to which other systems report on our mail; letters from outside to these alone may"
        " carry .xml.",
    )


@dataclass(frozen=True, slots=True)
class Formats:
    """The sets in force, as one table."""

    contents_of: dict[str, frozenset[str]]
    contents: frozenset[str]
    shown: str


class Policy:
    """Refuses an attached file whose name and content do not agree on an allowed format."""

    stages = frozenset({Stage.DATA})

    def __init__(self, config: Config, services: Services) -> None:
        self.formats = read_formats(config)
        self._examiner = services.examiner
        self._report_mailboxes = frozenset(local.lower() for local in config.report_mailboxes)

    async def decide(self, stage: Stage, facts: Facts) -> Verdict:
        """Reject 550 5.7.1 naming the file and what is allowed, or Pass."""
        if facts.message is None:
            return Pass()
        inventory = await self._examiner.inventory(facts.message)
        items = inventory.items
        if self._is_for_reports(facts):
            items = tuple(item for item in items if not _is_xml(item))
        findings = [f for item in items if (f := self._judge(item)) is not None]
        if not findings:
            return Pass()
        return self._refusal(findings, facts)

    def _is_for_reports(self, facts: Facts) -> bool:
        """DMARC's aggregate reports are XML, alone or packed (RFC 7489 §7.2.1.1); no official is to read it."""
        locals_ = {address.rpartition("@")[0] for address in facts.rcpt_to}
        return facts.direction is Direction.INBOUND and bool(locals_) and locals_ <= self._report_mailboxes

    def _judge(self, item: Item) -> Finding | None:
        """What is wrong with one file, or None."""
        if item.role not in _JUDGED or _is_structure(item):
            return None
        if item.role == "hidden" and not item.names and item.family not in ("executable", "archive"):
            return None
        name = item.names[0] if item.names else ""
        if item.role == "member" and _LITTER.search(name):
            return None
        extension = _extension(name)
        if not extension:
            known = item.detected in self.formats.contents or item.detected in ("empty", "ole-encrypted")
            return None if known else _finding("format-unknown", item, "its format is not known", "không rõ định dạng")
        contents = self.formats.contents_of.get(extension)
        if contents is None:
            return _finding(
                "format",
                item,
                f".{extension} is not an accepted format",
                f"định dạng .{extension} không được chấp nhận",
            )
        if item.detected in contents or item.detected == "empty" or not _UNSEEN.isdisjoint(item.problems):
            return None
        return _finding(
            "format-mismatch", item, f"its content is not .{extension}", f"nội dung không phải định dạng .{extension}"
        )

    def _refusal(self, findings: list[Finding], facts: Facts) -> Reject:
        first = findings[0]
        rule = "Article 13 of Decision 82/2009/QD-UBND"
        how = f"Định dạng được nhận: {self.formats.shown}. Xin lưu lại tài liệu theo một định dạng này rồi gửi lại."
        return Reject(
            text=f"File {first.file} not accepted: {first.text} ({rule}). Accepted: {self.formats.shown}",
            text_vi=f"Không nhận tệp {first.file}: {first.text_vi} (Điều 13, Quyết định 82/2009/QĐ-UBND). "
            f"Định dạng được nhận: {self.formats.shown}",
            findings=tuple(findings[:50]),
            article=_ARTICLE,
            how_to_vi=how if facts.direction is not Direction.INBOUND else "",
        )


def _is_xml(item: Item) -> bool:
    return bool(item.names) and _extension(item.names[0]) == "xml" and item.detected in ("xml", "text")


def _finding(code: str, item: Item, text: str, text_vi: str) -> Finding:
    return Finding(code=code, text=text[:200], text_vi=text_vi[:200], file=item.display, article=_ARTICLE)


def _is_structure(item: Item) -> bool:
    if item.role == "inline":
        return item.family == "image"
    if item.role == "structure":
        return item.detected in _STRUCTURE_CONTENTS or (not item.detected and item.size_octets <= _STRUCTURE_OCTETS)
    if item.detected == "tnef":  # what it carries is judged
        return True
    name = item.names[0] if item.names else ""
    if item.role == "attachment" and _EXCHANGE_TEXT.match(name) and item.detected in ("html", "text", "empty"):
        return True
    return item.role == "attachment" and (_extension(name), item.detected) in _STRUCTURE_NAMES


def _extension(name: str) -> str:
    """The extension that Windows sees: what follows the last dot, blanks and dots at the end taken off."""
    base = re.split(r"[/\\]", name)[-1].rstrip(" .\t\u00a0")
    _, dot, tail = base.rpartition(".")
    return tail.strip().lower() if dot else ""


def read_formats(config: Config) -> Formats:
    """The table of the sets that `config` names. Raises OSError or ValueError, naming the file."""
    contents_of: dict[str, set[str]] = {}
    for name in config.sets:
        for entry in _read_set(config.folder, name):
            for extension in entry["extensions"]:
                contents_of.setdefault(str(extension).lower(), set()).update(entry["contents"])
    shown = ", ".join(f".{extension}" for extension in list(contents_of)[:_SHOWN_COUNT])
    shown += ", …" if len(contents_of) > _SHOWN_COUNT else ""
    every = frozenset(c for contents in contents_of.values() for c in contents)
    return Formats({e: frozenset(c) for e, c in contents_of.items()}, every, shown)


def _read_set(folder: str, name: str) -> list[dict[str, Any]]:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"sets: {name!r}: a name is wanted, as in {_SHIPPED}")
    path = (Path(folder) if folder else _shipped_folder()) / f"{name}.toml"
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except FileNotFoundError:
        raise ValueError(f"sets: there is no {path}; shipped: {_SHIPPED}") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: not TOML: {error}") from None
    entries = document.get("format", [])
    for number, entry in enumerate(entries, 1):
        for key in ("extensions", "contents"):
            if not isinstance(entry.get(key), list) or not all(isinstance(v, str) for v in entry[key]):
                raise ValueError(f"{path.name}: [[format]] {number}: {key}: a list of texts is wanted")
    return list(entries)


_SHIPPED = "qd20-2008, extended"


def _shipped_folder() -> Path:
    """`conf/formats` of the wheel (within the package) or of the checkout (beside it)."""
    package = Path(bdmta.policy.__file__).parent
    inside = package / "conf" / "formats"
    return inside if inside.is_dir() else package.parent / "conf" / "formats"
