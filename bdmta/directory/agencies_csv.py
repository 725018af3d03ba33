"""A CSV of agencies, read line by line: what can be said about the file before the directory is asked."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator
from typing import IO, Any

from bdmta.directory.agencies import ROW_COUNT_MAX
from bdmta.errors import UsageError
from bdmta.naming import fold
from storage.directory_rows import LEVELS

COLUMNS = ("name", "abbreviation", "parent", "level", "head", "clerk", "paper_address", "published")
_YES = {"1", "yes", "true", "x", "co", "y"}
_NO = {"0", "no", "false", "khong", "n"}
_LEVELS: dict[str, str] = {"tinh": "province", "huyen": "district", "xa": "commune", "don vi": "unit"}
_FIELD_MAX = 65_536


def read_agencies(file: IO[str], name: str) -> Iterator[dict[str, Any]]:
    """The rows, each with its `line`. Commas, semicolons or tabs between; UsageError names line and column."""
    header = file.readline(_FIELD_MAX)
    delimiter = max(",;\t", key=header.count)
    columns = [
        cell.strip().lower() for cell in next(csv.reader([header.removeprefix("\ufeff")], delimiter=delimiter), [])
    ]
    _check_columns(columns, name)
    csv.field_size_limit(_FIELD_MAX)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    count, line = 0, 1
    try:
        for cells in reader:
            line, started = reader.line_num + 1, line + 1
            if not any(cell.strip() for cell in cells):
                continue
            count += 1
            if count > ROW_COUNT_MAX:
                raise UsageError(f"{name}: more than {ROW_COUNT_MAX} rows; split the file")
            if len(cells) > len(columns):
                raise UsageError(f"{name}, line {started}: {len(cells)} values for {len(columns)} columns")
            yield _row(
                dict(zip(columns, (cell.strip() for cell in cells), strict=False)), f"{name}, line {started}", started
            )
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
        if columns.count(column) > 1:
            raise UsageError(f"{name}, line 1: the column {column} stands there twice")
    if "name" not in columns:
        raise UsageError(f"{name}, line 1: there is no column name; the first line names the columns")


def _row(cells: dict[str, str], where: str, line: int) -> dict[str, Any]:
    row: dict[str, Any] = {column: cell for column, cell in cells.items() if cell}
    if "level" in row:
        level = " ".join(fold(row["level"]).replace("cap ", "").split())
        level = _LEVELS.get(level, level)
        if level not in LEVELS:
            raise UsageError(f"{where}: level {row['level']!r} is none of {', '.join(LEVELS)}")
        row["level"] = level
    if "published" in row:
        said = fold(row["published"])
        if said not in _YES | _NO:
            raise UsageError(f"{where}: published is yes or no, not {row['published']!r}")
        row["published"] = said in _YES
    return {"line": line, **row}
