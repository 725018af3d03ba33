"""Writing the file: every setting with its sentence, the default commented out (contract 14)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from bdmta.config.complaint import model_of
from bdmta.config.model import Config

_WIDTH = 110
_INTRODUCTION = """\
The configuration of one bdmta site. Written from the schema; a line that starts with "# key =" shows the default.
`bdmta check` tests an edit; SIGHUP loads policies, certificates and accounts, other settings take a restart."""

Values = Mapping[str, Mapping[str, Any]]


def render_toml(values: Values | None = None) -> str:
    """A whole, commented configuration file in which `values` (table -> key -> value) are set.

    Every other setting stands commented out at its default. Raises KeyError for a table or key that does not exist.
    """
    given = {table: dict(keys) for table, keys in (values or {}).items()}
    lines = [_comment(_INTRODUCTION)]
    for table in Config.model_fields:
        keys = given.pop(table, {})
        lines += ["", _render_example() if table == "listener" else _render_table(table, keys)]
    if given:
        raise KeyError(f"no such table: {', '.join(given)}")
    return "\n".join(lines) + "\n"


def toml_value(value: Any) -> str:
    """`value` (text, number, boolean, or a list or table of these) in TOML, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(_ESCAPES.get(letter, letter) for letter in value) + '"'
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{toml_value(str(key))} = {toml_value(entry)}" for key, entry in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, set | frozenset):
        value = sorted(value)
    return "[" + ", ".join(map(toml_value, value)) + "]"


_ESCAPES = {chr(code): f"\\u{code:04x}" for code in [*range(0x20), 0x7F]} | {'"': '\\"', "\\": "\\\\"}


def _render_table(table: str, given: Mapping[str, Any]) -> str:
    model = model_of(table)
    left = dict(given)
    lines = [_comment(_first_line(model.__doc__)), f"[{table}]"]
    for key, field in model.model_fields.items():
        lines.append(_comment(field.description or ""))
        if key in left:
            lines.append(f"{key} = {toml_value(left.pop(key))}")
        else:
            lines.append(f"# {key} = {toml_value(field.default)}")
    if left:
        raise KeyError(f"[{table}] has no {', '.join(left)}")
    return "\n".join(lines)


def _render_example() -> str:
    """[[listener]]: an array of tables cannot be given at its default, so all of it is commented out."""
    model = model_of("listener")
    lines = [_comment(_first_line(model.__doc__)), "# [[listener]]"]
    for key, field in model.model_fields.items():
        lines += [_comment(field.description or ""), f"# {key} = {toml_value(field.default)}"]
    return "\n".join(lines)


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _comment(text: str) -> str:
    return "\n".join(f"# {line}" for part in text.splitlines() for line in textwrap.wrap(part, _WIDTH))
