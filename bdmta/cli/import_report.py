"""The report of a bulk import: line by line, mode 0600, since it holds the passwords that were made."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from typing import Any

from storage.errors import StoreError
from storage.files import write_durable

COLUMNS = ("line", "address", "result", "reason", "password")


def write_report(path: str, rows: Sequence[dict[str, Any]], problems: Sequence[Sequence[Any]], result: str) -> None:
    """Write the report of every row to `path` (replaced atomically, durable, mode 0600). Raises StoreError.

    `result`: what became of the rows without a problem. No password is written when there are problems: none was kept.
    """
    reasons = {int(line): str(reason) for line, _, reason in problems}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        reason = reasons.get(row["line"], "")
        secret = "" if problems else row.get("password", "")
        writer.writerow((row["line"], _safe(row["address"]), "refused" if reason else result, reason, secret))
    try:
        write_durable(path, text.getvalue().encode("utf-8", "replace"), 0o600)
    except OSError as error:
        raise StoreError(f"{path}: the report cannot be written ({error.strerror})") from error


def _safe(cell: str) -> str:
    """Nothing that a spreadsheet would take for a formula."""
    return f"'{cell}" if cell[:1] in "=+-@" else cell


def free_report_path(source: str) -> str:
    """A name beside the imported file that nothing has yet."""
    path, number = f"{source}.report.csv", 1
    while os.path.lexists(path):
        number += 1
        path = f"{source}.report-{number}.csv"
    return path
