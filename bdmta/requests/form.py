"""What a letter asks for: key lines in its text, or the rows of a form. Keys in Vietnamese, with or without diacritics.

Strangers write these: every line, cell and row is bounded, and what is not understood is named, never guessed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bdmta.naming import fold
from bdmta.requests.model import FIELDS

ROW_COUNT_MAX = 100
CELL_MAX = 300
LINE_COUNT_MAX = 2000

COLUMNS: tuple[tuple[str, str], ...] = (
    ("kind", "Yêu cầu"), ("name", "Họ và tên"), ("agency", "Cơ quan"), ("position", "Chức vụ"), ("rank", "Cấp bậc"),
    ("mailbox_kind", "Loại hộp thư"), ("extension", "Phần mở rộng"), ("published", "Công khai"),
    ("mailbox", "Hộp thư"), ("new_address", "Địa chỉ mới"), ("new_name", "Họ và tên mới"),
    ("new_agency", "Cơ quan mới"), ("old_agency", "Cơ quan cũ"), ("into_agency", "Cơ quan nhận"),
    ("grounds", "Căn cứ"),
)  # fmt: skip
"""The columns of the form, and the keys of a letter's lines."""

_OTHER = {
    "ho ten": "name", "ho ten moi": "new_name", "ten moi": "new_name", "loai yeu cau": "kind", "noi dung": "kind",
    "co quan, don vi": "agency", "don vi": "agency", "dia chi hop thu": "mailbox", "hop thu cu": "mailbox",
    "ly do": "grounds", "hop thu moi": "new_address", "sap nhap vao": "into_agency", "dia chi de nghi": "address",
}  # fmt: skip
_KEYS = {fold(label): name for name, label in COLUMNS} | _OTHER
_KINDS = {
    "cap moi": "create", "cap moi hop thu": "create", "thay doi": "change", "thay doi hop thu": "change",
    "doi ten": "change", "huy": "cancel", "huy bo": "cancel", "huy bo hop thu": "cancel",
    "cap lai mat khau": "reset", "sap nhap": "merge", "sap nhap co quan": "merge",
}  # fmt: skip
_WORDS: dict[str, dict[str, Any]] = {
    "mailbox_kind": {"ca nhan": "person", "co quan": "agency"},
    "published": {"co": True, "khong": False},
}
_LINE = re.compile(r"[\s*\-–•]*([^:=]{2,40}?)\s*[:=]\s*(.{0,2000})")
_NUMBER = re.compile(r"\bYC-(\d{4})-(\d{6})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as a form says it; `problems` name what could not be read."""

    kind: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    grounds: str = ""
    problems: tuple[str, ...] = ()


def from_text(text: str) -> list[Asked]:
    """The requests in a letter's lines `key: value`; a second `Yêu cầu:` begins the next. None: no such line."""
    found: list[dict[str, str]] = []
    for line in text.splitlines()[:LINE_COUNT_MAX]:
        match = _LINE.fullmatch(line.strip())
        name = _KEYS.get(fold(match[1].strip())) if match else None
        if match is None or name is None:
            continue
        if not found or (name == "kind" and "kind" in found[-1]):
            found.append({})
        found[-1].setdefault(name, match[2].strip())
    return [_asked(one) for one in found[:ROW_COUNT_MAX] if "kind" in one]


def from_csv(octets: bytes) -> list[Asked]:
    """The requests in a CSV form: UTF-8, with commas or semicolons, the columns by their headings."""
    text = octets.decode("utf-8-sig", "replace")
    first = text.partition("\n")[0]
    csv.field_size_limit(1 << 16)
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ","))
    except csv.Error as error:
        return [Asked(problems=(f"tệp CSV không đọc được ({error})",))]
    return from_rows(rows)


def from_rows(rows: Iterable[Sequence[str]]) -> list[Asked]:
    """The requests in the rows of a sheet, whose first has the headings."""
    table = [[str(cell).strip() for cell in row] for row in rows]
    table = [row for row in table if any(row)]
    if not table:
        return []
    names = [_KEYS.get(fold(heading)) for heading in table[0]]
    if "kind" not in names:
        return [Asked(problems=("biểu mẫu thiếu cột “Yêu cầu”",))]
    if len(table) - 1 > ROW_COUNT_MAX:
        return [Asked(problems=(f"biểu mẫu quá {ROW_COUNT_MAX} dòng",))]
    found = []
    for row in table[1:]:
        cells = {name: cell for name, cell in zip(names, row, strict=False) if name and cell}
        found.append(_asked(cells))
    return found


def request_number(subject: str) -> str:
    """The number that a letter's subject names, `YC-2026-000123`; "" for none."""
    match = _NUMBER.search(subject)
    return match[0].upper() if match else ""


def _asked(cells: dict[str, str]) -> Asked:
    said = cells.pop("kind", "")
    kind = _KINDS.get(fold(said), said if said in FIELDS else "")
    problems = [] if kind else [f"“{said[:60]}” không phải là một loại yêu cầu"]
    grounds = cells.pop("grounds", "")[:2000]
    known = {one.name for one in FIELDS.get(kind, ())}
    details: dict[str, Any] = {}
    for name, text in cells.items():
        if not text or (kind and name not in known):
            continue  # a form has a column for everything
        if len(text) > CELL_MAX:
            problems.append(f"mục “{name}” dài quá {CELL_MAX} ký tự")
        elif name in _WORDS:
            value = _WORDS[name].get(fold(text))
            if value is None:
                problems.append(f"“{text[:60]}” không đọc được")
            else:
                details[name] = value
        else:
            details[name] = text.strip("<> ") if "@" in text else text
    return Asked(kind, details, grounds, tuple(problems))
