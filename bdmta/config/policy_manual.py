"""The options of the shipped policies, as tables in `docs/policies.md`; `python -m bdmta.config.manual` writes them."""

from __future__ import annotations

import dataclasses
import importlib
import re

from bdmta.config.policy_file import default_of, sentence_of
from bdmta.config.render import toml_value

_BLOCK = re.compile(
    r"(<!-- options of ([\w.]+): written by `python -m bdmta.config.manual` -->\n).*?(<!-- end -->)", re.S
)


def render_options(use: str) -> str:
    """A table in Markdown of the options of policy module `use`."""
    lines = ["| option | default | |", "| --- | --- | --- |"]
    for field in dataclasses.fields(importlib.import_module(use).Config):
        sentence = sentence_of(field).replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| `{field.name}` | `{toml_value(default_of(field))}` | {sentence} |")
    return "\n".join(lines) + "\n"


def with_options(page: str) -> str:
    """`page` with every block of options as the policies have them."""
    return _BLOCK.sub(lambda match: f"{match[1]}\n{render_options(match[2])}\n{match[3]}", page)
