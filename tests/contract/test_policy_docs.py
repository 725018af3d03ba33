"""`docs/policies.md` says what the policies have and what senders really read."""

from __future__ import annotations

import re

import pytest

from bdmta.chain.load import shipped_policies
from bdmta.config.policy_file import CHAIN
from bdmta.config.policy_manual import with_options
from tests.contract.refusals import PAGE, SAMPLES, refusals, with_refusals


def test_every_shipped_policy_has_its_chapter() -> None:
    page = PAGE.read_text()
    assert set(CHAIN) <= set(shipped_policies()) | set(CHAIN)
    for use in {*CHAIN, *shipped_policies()}:
        assert re.search(rf"(?m)^## {re.escape(use)}\b", page), use
        assert f"<!-- options of {use}: " in page
        assert use in SAMPLES


def test_the_options_are_those_of_the_policies() -> None:
    page = PAGE.read_text()
    assert page == with_options(page), "run: python -m bdmta.config.manual"


def test_the_refusals_are_those_that_senders_read() -> None:
    page = PAGE.read_text()
    assert page == with_refusals(page), "run: python -m tests.contract.refusals"


@pytest.mark.parametrize("use", SAMPLES)
def test_a_refusal_is_told_in_english_and_in_vietnamese(use: str) -> None:
    for about, said in refusals(use):
        lines = said.split("\n")
        assert len(lines) >= 2, about
        assert re.match(r"[45]\d\d-[45]\.\d\.\d+ .*\(ref 6h0mkqsn806w300\)", " ".join(lines)), said
        assert said.isascii()
