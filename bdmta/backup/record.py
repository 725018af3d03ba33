"""What the last drill came to, kept in the data folder: for `bdmta status`, the figures and the alarms."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from bdmta.site import Site
from storage.files import write_durable

_PROBLEMS_MAX = 100


@dataclass(frozen=True, slots=True)
class DrillRecord:
    """A drill: `at` in seconds since 1970, of which backup, what was read by IMAP, what was wrong."""

    at: float
    backup: str = ""
    mailboxes: int = 0
    letters: int = 0
    problems: list[str] = field(default_factory=list)

    def as_json(self, timezone: str) -> dict[str, Any]:
        """For `bdmta status --json`."""
        return {**asdict(self), "at": local_time(self.at, timezone)}


def keep_record(site: Site, record: DrillRecord) -> None:
    """Durable when it returns. Raises StoreError."""
    row = {**asdict(record), "problems": record.problems[:_PROBLEMS_MAX]}
    write_durable(_path(site), json.dumps(row, ensure_ascii=False, indent=1).encode() + b"\n")


def read_record(site: Site) -> DrillRecord | None:
    """The last drill; None: there was none, or its record cannot be read."""
    try:
        with open(_path(site), encoding="utf-8") as file:
            row = json.load(file)
        return DrillRecord(
            float(row["at"]), str(row["backup"]), int(row["mailboxes"]), int(row["letters"]),
            [str(one) for one in row["problems"]],
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


def local_time(at: float, timezone: str) -> str:
    """`at` in ISO 8601 with the site's offset."""
    return datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(timezone)).isoformat(timespec="seconds")


def _path(site: Site) -> str:
    return os.path.join(site.data_dir, "drill.json")
