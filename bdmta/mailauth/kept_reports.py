"""The aggregate reports that have come to us, kept: one JSON file each in a folder, readable with cat, bounded.

A file's name begins with the day that the report is about, and says the same report by the same name: one that comes
twice is kept once.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from bdmta.errors import BdmtaError
from bdmta.mailauth.aggregate import ReceivedReport
from storage.files import write_durable

MAX_KEPT = 20_000
MAX_KEPT_OCTETS = 512 * 1024 * 1024  # all files together; the oldest go first
_MAX_ROWS = 2_000
_MAX_TEXT = 255  # a domain name
_DAY_S = 86_400
_NAME = re.compile(r"(\d{4}-\d\d-\d\d)-[0-9a-f]{16}\.json")
_COLUMNS = {
    "source": "row/source_ip", "disposition": "row/policy_evaluated/disposition", "dkim": "row/policy_evaluated/dkim",
    "spf": "row/policy_evaluated/spf", "from": "identifiers/header_from",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class KeptReport:
    """One report. `letters` counts all rows, those that were over the bound included; `rows` hold what the report says
    of each source. `is_proven`: DMARC passed for the letter that brought it.
    """

    id: str
    domain: str
    reporter: str
    report_id: str
    begin: int
    end: int
    letters: int
    failed: int
    brought_by: str = ""
    is_proven: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)


def kept_report(report: ReceivedReport, *, brought_by: str, is_proven: bool) -> KeptReport:
    """What is kept of a report: known columns, cut to size; rows beyond the bound are only counted."""
    rows = [_row(record) for record in report.records]
    rows.sort(key=lambda row: -int(row["letters"]))
    failed = sum(row["letters"] for row in rows if "pass" not in (row["dkim"], row["spf"]))
    mark = f"{report.domain}\n{report.reporter}\n{report.report_id}\n{report.begin}"
    begin = min(max(report.begin, 0), 4_102_444_800)  # up to the year 2100
    day = datetime.fromtimestamp(begin, UTC).date().isoformat()
    return KeptReport(
        f"{day}-{hashlib.sha256(mark.encode()).hexdigest()[:16]}", _cut(report.domain), _cut(report.reporter),
        _cut(report.report_id), begin, max(report.end, begin), sum(row["letters"] for row in rows), failed,
        _cut(brought_by), is_proven, rows[:_MAX_ROWS],
    )  # fmt: skip


def _row(record: dict[str, str]) -> dict[str, Any]:
    count = record.get("row/count", "")[:12]
    row: dict[str, Any] = {name: _cut(record.get(path, "")) for name, path in _COLUMNS.items()}
    return {**row, "letters": int(count) if count.isdecimal() else 0}


def _cut(text: str) -> str:
    return "".join(letter for letter in text[:_MAX_TEXT] if letter.isprintable())


class KeptReports:
    """The folder of reports. Any process may use it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def put(self, report: KeptReport) -> bool:
        """Keep it, durably; False when it is there already. Raises StoreError."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        path = self._path(report.id)
        if os.path.exists(path):
            return False
        write_durable(path, json.dumps(asdict(report), ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        return True

    def since(self, day: str = "") -> Iterator[KeptReport]:
        """The reports about `day` (YYYY-MM-DD) and later, oldest first, without their rows."""
        for name in self._names():
            if name >= day:
                report = self._read(name)
                if report is not None:
                    report.rows.clear()
                    yield report

    def get(self, report_id: str) -> KeptReport:
        """One report. Raises BdmtaError when there is none of that id."""
        report = self._read(f"{report_id}.json") if _NAME.fullmatch(f"{report_id}.json") else None
        if report is None:
            raise BdmtaError(f"{report_id}: no such report is kept; `bdmta dmarc list` shows those that are")
        return report

    def tidy(self, keep_days: int, now: float) -> int:
        """Remove what is older, and the oldest beyond the bounds; how many went."""
        oldest = datetime.fromtimestamp(now - keep_days * _DAY_S, UTC).date().isoformat()
        octets = removed = 0
        for position, name in enumerate(reversed(list(self._names()))):
            path = os.path.join(self._folder, name)
            octets += os.stat(path).st_size
            if name < oldest or position >= MAX_KEPT or octets > MAX_KEPT_OCTETS:
                os.unlink(path)
                removed += 1
        return removed

    def _names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._folder) if _NAME.fullmatch(name))
        except FileNotFoundError:
            return []

    def _path(self, report_id: str) -> str:
        return os.path.join(self._folder, f"{report_id}.json")

    def _read(self, name: str) -> KeptReport | None:
        try:
            with open(os.path.join(self._folder, name), encoding="utf-8") as file:
                return KeptReport(**json.load(file))
        except (OSError, ValueError, TypeError):
            return None
