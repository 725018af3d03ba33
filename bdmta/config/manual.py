"""The settings as a chapter of `docs/operators.md`. `python -m bdmta.config.manual` writes it and `conf/`."""

from __future__ import annotations

import os

from bdmta.config.complaint import model_of
from bdmta.config.model import Config
from bdmta.config.policy_file import render_policies
from bdmta.config.policy_manual import with_options
from bdmta.config.render import render_toml, toml_value

BEGIN = "<!-- settings: written by `python -m bdmta.config.manual` -->"
END = "<!-- end of settings -->"


def render_manual() -> str:
    """The chapter in Markdown: a heading and a table of settings for each table of the file."""
    lines: list[str] = []
    for table in Config.model_fields:
        model = model_of(table)
        shown = f"[[{table}]]" if table == "listener" else f"[{table}]"
        lines += ["", f"### `{shown}`", "", (model.__doc__ or "").strip().partition("\n")[0], ""]
        lines += ["| setting | default | |", "| --- | --- | --- |"]
        for key, field in model.model_fields.items():
            sentence = (field.description or "").replace("|", "\\|").replace("<", "&lt;")
            lines.append(f"| `{key}` | `{toml_value(field.default)}` | {sentence} |")
    return "\n".join(lines).strip() + "\n"


def with_manual(page: str) -> str:
    """`page` with the chapter put between its two markers; ValueError when they are not there."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page lacks {BEGIN} or {END}")
    return f"{head}{begin}\n\n{render_manual()}\n{end}{tail}"


def write(project: str) -> None:
    """Write `conf/*.toml`, the settings in `docs/operators.md` and the options in `docs/policies.md`."""
    page, policies = (os.path.join(project, "docs", name) for name in ("operators.md", "policies.md"))
    with open(page, encoding="utf-8") as file:
        guide = with_manual(file.read())
    with open(policies, encoding="utf-8") as file:
        rules = with_options(file.read())
    for path, text in (
        (os.path.join(project, "conf", "bdmta.toml"), render_toml()),
        (os.path.join(project, "conf", "policies.toml"), render_policies()),
        (page, guide),
        (policies, rules),
    ):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    write(os.getcwd())
