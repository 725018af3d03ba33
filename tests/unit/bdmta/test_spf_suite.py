"""The published test suite of RFC 7208 (openspf.org, release 2014.04), whole, through our check and our resolver.

`rfc7208/rfc7208-tests.yml` is the suite as its authors ship it, under the licence beside it. What a fail explains is not
compared: we never ask for explanations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bdmta.dns import Outcome, TempFail
from bdmta.mailauth import spf
from bdmta.testing.resolver import FakeResolver, World

SUITE = Path(__file__).parent / "rfc7208" / "rfc7208-tests.yml"
TIMEOUT = TempFail("no answer in time")
KINDS = ("A", "AAAA", "MX", "TXT", "PTR", "CNAME")


def scenarios() -> Iterator[tuple[str, World, Mapping[str, Any]]]:
    """The name of each test, the world it is in, and itself."""
    with SUITE.open(encoding="utf-8") as file:
        for scenario in yaml.safe_load_all(file):
            world = {name.lower(): kinds(records) for name, records in scenario["zonedata"].items()}
            for name, test in scenario["tests"].items():
                yield f"{scenario['description']}: {name}", world, test


def kinds(records: list[Any]) -> dict[str, Any]:
    """A name's records by kind. SPF stands for TXT where TXT is not named; TIMEOUT for every kind without records."""
    found: dict[str, Any] = {}
    named = {kind for record in records if record != "TIMEOUT" for kind in record}
    for record in records:
        for kind, value in record.items() if record != "TIMEOUT" else ():
            kind = "TXT" if kind == "SPF" and "TXT" not in named else kind
            if value == "TIMEOUT":
                found[kind] = TIMEOUT
            elif value != "NONE":
                found.setdefault(kind, []).append(value_of(kind, value))
    if "TIMEOUT" in records:
        found = {**dict.fromkeys(KINDS, TIMEOUT), **found}
    return found


def value_of(kind: str, value: Any) -> Any:
    if kind == "TXT":
        return "".join(value) if isinstance(value, list) else value
    return tuple(value) if kind == "MX" else value


class Suite(FakeResolver):
    """Follows one CNAME as servers do; names that begin with `error.` are not answered."""

    def _answer(self, name: str, kind: str) -> Outcome[Any]:
        name = name.lower().rstrip(".")
        alias = self.world.get(name)
        if isinstance(alias, Mapping) and alias.get("CNAME") and not isinstance(alias["CNAME"], TempFail):
            return super()._answer(alias["CNAME"][0], kind)
        if alias is None and name.startswith("error."):
            return TIMEOUT
        return super()._answer(name, kind)


CASES = list(scenarios())


def test_the_suite_is_whole() -> None:
    assert len(CASES) == 203


@pytest.mark.parametrize(("world", "case"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
@pytest.mark.parametrize("cached", [True, False], ids=["cached", "asked"])
def test_rfc_7208(world: World, case: Mapping[str, Any], cached: bool) -> None:
    resolver = Suite(world, cached=cached)
    result = asyncio.run(spf.check(resolver, str(case["host"]), case["mailfrom"], str(case["helo"])))
    wanted = case["result"] if isinstance(case["result"], list) else [case["result"]]
    assert result.result in wanted, (case.get("description"), result)
