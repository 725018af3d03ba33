"""Writing `conf/policies.toml`: the default chain, each policy with its options at their defaults, commented out."""

from __future__ import annotations

import dataclasses
import importlib
import textwrap
from typing import Any

from bdmta.config.render import toml_value

CHAIN = (
    "policies.sender",
    "policies.dmarc",
    "policies.secrecy",
    "policies.attachments",
    "policies.formats",
    "policies.charset",
)
"""The default chain, in the order in which its members are asked."""

_MODES = {"policies.dmarc": '{ inbound = "enforce", submission = "off", internal = "off" }'}
"""Where the shipped mode is not plain `enforce`."""

_ENFORCE = '"enforce"'
_WIDTH = 110
_INTRODUCTION = """\
# The chain of policies, in the order in which they are asked. See docs/operators.md.
#
# use: the module that runs, such as policies.sender, or a file of your own, such as ./ours.py
# mode: observe records what the policy would have done, warn marks the letter, enforce obeys, off does not ask;
#       one word, or one for each direction: { inbound = "warn", submission = "enforce", internal = "observe" }
# timeout_s: how long it may take, in seconds. on_error: what happens when it fails: defer, pass, reject, quarantine.
#
# `bdmta policy order` shows the result, `bdmta policy try FILE.eml` what it would say of a letter; SIGHUP loads it.
"""


def render_policies(chain: tuple[str, ...] = CHAIN) -> str:
    """A whole, commented policies.toml; raises ImportError for a policy that is not installed."""
    return "\n".join([_INTRODUCTION, *(f"{_render(use)}\n" for use in chain)]).rstrip("\n") + "\n"


def _render(use: str) -> str:
    module = importlib.import_module(use)
    about = (module.__doc__ or "").strip().partition("\n")[0]
    lines = [f"# {line}" for line in textwrap.wrap(about, _WIDTH)]
    lines += [
        "[[policy]]",
        f"use = {toml_value(use)}",
        f"mode = {_MODES.get(use, _ENFORCE)}",
        "# timeout_s = 20",
        '# on_error = "defer"',
    ]
    lines.append("[policy.options]")
    for field in dataclasses.fields(module.Config):
        lines += [f"# {line}" for line in textwrap.wrap(sentence_of(field), _WIDTH)]
        lines.append(f"# {field.name} = {toml_value(default_of(field))}")
    return "\n".join(lines)


def sentence_of(field: dataclasses.Field[Any]) -> str:
    """What an option is about, with its choices."""
    doc, choices = field.metadata.get("doc", ""), field.metadata.get("choices", ())
    return f"{doc} One of: {', '.join(choices)}." if choices else doc


def default_of(field: dataclasses.Field[Any]) -> Any:
    """An option's default."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
