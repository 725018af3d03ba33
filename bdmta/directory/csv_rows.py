"""Rows of a bulk import, read line by line: what can be said about a file before the directory is asked."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator
from typing import IO, Any

from bdmta.directory.bulk import ROW_COUNT_MAX
from bdmta.errors import UsageError

COLUMNS = ("address", "name", "kind", "agency", "quota", "password_hash", "alias_of", "rank", "published")
_FIELD_MAX = 65_536


def read_rows(file: IO[str], name: str) -> Iterator[dict[str, Any]]:
    """The rows of a CSV with a header, each with its `line`; empty lines are left out. Streams.

    Columns may be separated by commas, semicolons or tabs. Raises UsageError naming the line, or an unknown column
    with the nearest known.
    """
    header = file.readline()
    delimiter = max(",;\t", key=header.count)
    columns = [
        column.strip().lower() for column in next(csv.reader([header.removeprefix("\ufeff")], delimiter=delimiter), [])
    ]
    _check_columns(columns, name)
    csv.field_size_limit(_FIELD_MAX)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    count = 0
    line = 1
    try:
        for cells in reader:
            line, started = reader.line_num + 1, line + 1
            if not any(cell.strip() for cell in cells):
                continue
            count += 1
            if count > ROW_COUNT_MAX:
                raise UsageError(f"{name}: more than {ROW_COUNT_MAX} rows; split the file")
            yield _row(cells, columns, name, started)
    except csv.Error as error:
        raise UsageError(f"{name}, line {reader.line_num + 1}: {error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not UTF-8 text after line {line}; save it as CSV UTF-8") from error


def _check_columns(columns: list[str], name: str) -> None:
    for column in columns:
        if column not in COLUMNS:
            near = difflib.get_close_matches(column, COLUMNS, 1, 0.5)
            hint = f"the nearest known is {near[0]}" if near else f"known are {', '.join(COLUMNS)}"
            raise UsageError(f"{name}, line 1: unknown column {column!r}; {hint}")
    for column in COLUMNS:
        if columns.count(column) > 1:
            raise UsageError(f"{name}, line 1: the column {column} stands there twice")
    if "address" not in columns:
        raise UsageError(f"{name}, line 1: there is no column address; the first line names the columns")


def _row(cells: list[str], columns: list[str], name: str, line: int) -> dict[str, Any]:
    if len(cells) > len(columns):
        raise UsageError(
            f"{name}, line {line}: {len(cells)} values for {len(columns)} columns; quote those with commas"
        )
    row: dict[str, Any] = {column: cell.strip() for column, cell in zip(columns, cells, strict=False) if cell.strip()}
    if "rank" in row:
        if not (row["rank"].isdecimal() and 0 < int(row["rank"][:9]) < 1000):
            raise UsageError(f"{name}, line {line}: rank {row['rank']!r} is no number from 1 to 999 (Điều 5.4)")
        row["rank"] = int(row["rank"])
    if "published" in row:
        said = row["published"].lower()
        if said not in ("yes", "no"):
            raise UsageError(f"{name}, line {line}: published is yes or no, not {row['published']!r}")
        row["published"] = said == "yes"
    row.setdefault("address", "")
    return {"line": line, **row}
