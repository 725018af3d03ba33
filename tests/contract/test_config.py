"""The schema is the manual (contract 14)."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bdmta.chain.load import load_chain
from bdmta.config import Config, parse
from bdmta.config.complaint import model_of
from bdmta.config.policy_file import CHAIN, render_policies
from bdmta.config.render import render_toml
from bdmta.policy import Services
from bdmta.testing.clock import FakeClock

PROJECT = Path(__file__).parents[2]
SETTINGS = [(table, key) for table in Config.model_fields for key in model_of(table).model_fields]
_UNITS = ("_days", "_hour", "_octets", "_s", "_percent", "_letters")
_COUNTS = {  # things that are counted, and numbers that have no unit
    "workers", "base_port", "port", "max_sessions", "max_recipients", "max_errors", "max_commands", "max_received",
    "sessions_per_address", "processes", "max_depth", "max_files", "max_ratio", "parallelism", "connections",
    "destination_connections", "mta_sts_port", "requests_per_minute", "status_port",
    "keep_hours", "keep_weeks", "keep_months", "drill_mailboxes",
}  # fmt: skip


def test_conf_is_written_from_the_schema() -> None:
    assert (PROJECT / "conf/bdmta.toml").read_text() == render_toml(), "run: python -m bdmta.config.manual"


def test_the_chain_is_written_from_the_policies() -> None:
    assert (PROJECT / "conf/policies.toml").read_text() == render_policies(), "run: python -m bdmta.config.manual"


def test_each_option_that_is_shown_is_right_when_uncommented(tmp_path: Path) -> None:
    lines = (PROJECT / "conf/policies.toml").read_text().splitlines()
    shown = re.sub(r"(?m)^# (?=[a-z_]+ = )", "", "\n".join(lines))
    chains = []
    for number, text in enumerate(("\n".join(lines), shown)):
        path = tmp_path / f"{number}.toml"
        path.write_text(text)
        chains.append(load_chain(path, _services, None))
    as_shipped, uncommented = ([(step.use, vars_of(step.options)) for step in chain.steps] for chain in chains)
    assert as_shipped == uncommented
    assert [use for use, _ in as_shipped] == list(CHAIN)


def _services(_: str) -> Services:
    nothing: Any = None  # a policy that is not asked reaches for nothing
    return Services(clock=FakeClock(), examiner=nothing, state=nothing, log=nothing)


def vars_of(options: Any) -> dict[str, Any]:
    """The modules are read twice, so their Config classes differ."""
    return dataclasses.asdict(options)


@pytest.mark.parametrize(("table", "key"), SETTINGS)
def test_a_setting_has_a_default_a_unit_and_one_sentence(table: str, key: str) -> None:
    field = model_of(table).model_fields[key]
    assert not field.is_required()
    sentence = field.description or ""
    assert re.fullmatch(r"[A-Z0-9].{8,240}\.", sentence), sentence
    assert not re.search(r"[a-z)]\. [A-Z]", sentence), "more than one sentence"
    if type(field.default) is int:
        assert key.endswith(_UNITS) or key in _COUNTS, "the unit is missing in the name"
        if key.endswith("_s"):
            assert "second" in sentence
        if key.endswith("_octets"):
            assert "octets" in sentence


def test_the_file_as_shipped_is_the_defaults() -> None:
    data = tomllib.loads((PROJECT / "conf/bdmta.toml").read_text())
    assert not any(data.values())
    assert parse(data, folder="/site") == parse({}, folder="/site")


def test_each_default_that_is_shown_is_right_when_uncommented() -> None:
    lines = (PROJECT / "conf/bdmta.toml").read_text().splitlines()
    shown = [re.sub(r"^# (?=\[\[|[a-z_]+ = )", "", line) for line in lines]
    data = tomllib.loads("\n".join(shown))
    assert {table: set(keys) for table, keys in data.items() if table != "listener"} == {
        table: set(model_of(table).model_fields) for table in Config.model_fields if table != "listener"
    }
    assert set(data["listener"][0]) == set(model_of("listener").model_fields)
    del data["listener"]
    assert parse(data, folder="/site") == parse({}, folder="/site")


def test_the_names_that_acceptance_relies_on_are_there() -> None:
    for table, key in (
        ("dns", "servers"), ("smtp", "max_message_octets"), ("smtp", "idle_timeout_s"), ("imap", "idle_timeout_s"),
        ("limits", "auth_backoff_s"), ("limits", "sessions_per_address"), ("limits", "trusted_networks"),
        ("clock", "timezone"), ("mail", "root"),
    ):  # fmt: skip
        assert (table, key) in SETTINGS
