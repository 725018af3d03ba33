"""A wrong setting, in one line: the table, the key, what is wrong, the nearest known one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bdmta.config.model import Config

_SHOWN_LETTERS = 80
_EXPECTED = {
    "int_type": "a whole number is expected",
    "bool_type": "true or false is expected",
    "string_type": "a text in quotes is expected",
    "tuple_type": "a list in [ ] is expected",
    "model_type": "a table is expected",
    "model_attributes_type": "a table is expected",
    "int_from_float": "a whole number is expected",
}


def complain(error: ValidationError) -> str:
    """`[smtp] max_mesage_octets: unknown key; did you mean max_message_octets?`: the first of what pydantic found.

    Misspelt names come first, since what follows from them is noise.
    """
    found = error.errors(include_url=False)
    return printable(_first(min(found, key=lambda one: one["type"] != "extra_forbidden")))


def printable(line: str) -> str:
    """`line` with whatever is not printable written as an escape: a key may hold any character."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)


def _first(first: Any) -> str:
    where = first["loc"]
    if first["type"] == "extra_forbidden":
        return _unknown(where)
    if first["type"] == "value_error" and not where:
        return str(first["ctx"]["error"])  # of the whole file: it names its table and key itself
    return f"{_place(where)} {_wrong(first)}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, or None when none is close."""
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def keys_of(table: str) -> list[str]:
    """The keys of a table of the configuration."""
    return list(model_of(table).model_fields)


def model_of(table: str) -> type[BaseModel]:
    """The model behind a table; that of one listener for `listener`."""
    annotation: Any = Config.model_fields[table].annotation
    model: type[BaseModel] = get_args(annotation)[0] if get_args(annotation) else annotation
    return model


def _unknown(where: Sequence[int | str]) -> str:
    tables = list(Config.model_fields)
    key = str(where[-1])
    if len(where) == 1:
        owner = next((table for table in tables if key in keys_of(table)), None)
        guess = nearest(key, tables)
        shown = f"[{key}] unknown table"
        if guess:
            return f"{shown}; did you mean [{guess}]?"
        return f"{key}: stands outside of any table; it belongs to [{owner}]" if owner else shown
    known = keys_of(str(where[0]))
    complaint = f"{_place(where)} unknown key"
    owner = next((table for table in tables if key in keys_of(table)), None)
    if owner:
        return f"{complaint}; it belongs to [{owner}]"
    guess = nearest(key, known)
    return f"{complaint}; did you mean {guess}?" if guess else f"{complaint}; known are {', '.join(known)}"


def _place(where: Sequence[int | str]) -> str:
    table, rest = str(where[0]), list(where[1:])
    shown = f"[{table}]"
    if table == "listener" and rest and isinstance(rest[0], int):
        shown = f"[[listener]] number {int(rest.pop(0)) + 1}"
    keys = [str(part) for part in rest if not isinstance(part, int) and not _is_tag(str(part))]
    position = next((f" item {part + 1}" for part in rest if isinstance(part, int)), "")
    return f"{shown} {'.'.join(keys)}{position}:" if keys else f"{shown}:"


def _is_tag(part: str) -> bool:
    return "[" in part or part in ("literal", "str")  # pydantic names the arm of a union


def _wrong(found: Any) -> str:
    kind, context = found["type"], found.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if found["loc"] == ("listener",) and isinstance(found["input"], dict):
        return "write [[listener]], once for each port"
    if kind in _EXPECTED:
        return f"{_EXPECTED[kind]}, not {_shown(found['input'])}"
    if kind == "literal_error":
        guess = nearest(str(found["input"]), re.findall(r"'([^']*)'", context["expected"]))
        hint = f"; did you mean {guess}?" if guess and guess.isalpha() else ""
        return f"{context['expected']} is expected, not {_shown(found['input'])}{hint}"
    if kind == "greater_than_equal":
        return f"at least {context['ge']} is expected, not {_shown(found['input'])}"
    if kind == "less_than_equal":
        return f"at most {context['le']} is expected, not {_shown(found['input'])}"
    if kind == "too_short":
        return "the list is empty"
    return f"{found['msg'][:1].lower()}{found['msg'][1:]}, not {_shown(found['input'])}"


def _shown(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _SHOWN_LETTERS else text[:_SHOWN_LETTERS] + "…"
