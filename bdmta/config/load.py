"""Reading the file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bdmta.config.complaint import complain, printable
from bdmta.config.model import Config
from bdmta.errors import ConfigError

_MAX_OCTETS = 1_048_576
_LISTS = frozenset({"listener"})


def load(path: str) -> Config:
    """The configuration in the TOML file at `path`, its paths made absolute.

    Raises ConfigError with one line: the file, the table, the key, what is wrong, the nearest known one.
    """
    try:
        with open(path, "rb") as file:
            octets = file.read(_MAX_OCTETS + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    if len(octets) > _MAX_OCTETS:
        raise ConfigError(f"{path}: is over {_MAX_OCTETS} octets")
    try:
        data = tomllib.loads(octets.decode())
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}: line {line}: is not UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: {printable(_syntax(error))}") from error
    return parse(data, folder=os.path.dirname(os.path.abspath(path)), name=path)


def parse(data: Mapping[str, Any], *, folder: str, name: str = "bdmta.toml") -> Config:
    """The configuration in `data`, as `load` gives it from a file in `folder`; raises ConfigError."""
    tables: dict[str, Any] = {table: {} for table in Config.model_fields if table not in _LISTS} | dict(data)
    server = tables["server"]
    given = server.get("data_dir", ".") if isinstance(server, dict) else "."
    data_folder = os.path.join(folder, os.path.expanduser(given)) if isinstance(given, str) else folder
    try:
        return Config.model_validate(tables, context={"config_folder": folder, "data_folder": data_folder})
    except ValidationError as error:
        raise ConfigError(f"{name}: {complain(error)}") from error


def _syntax(error: Exception) -> str:
    text = str(error)
    what, mark, where = text.rpartition(" (at ")
    if not mark:
        return f"is not TOML: {text}"
    return f"{where.rstrip(')')}: is not TOML: {what[:1].lower()}{what[1:]}"
