"""policies.dmarc: what the author's domain asks for, and what the operator makes of it."""

from __future__ import annotations

import asyncio

import pytest

from bdmta.policy import Annotate, AuthResult, AuthResults, Defer, DmarcResult, Pass, Quarantine, Reject, Verdict
from bdmta.testing.policy import PolicyContext

LETTER = b"From: a@example.org\r\n\r\nXin chao\r\n"


def said(result: str, policy: str, disposition: str | None = None, **options: str) -> Verdict:
    dmarc = DmarcResult(
        result=AuthResult(result), domain="example.org", policy=policy,
        disposition=disposition or (policy if result == "fail" else "none"),
    )  # fmt: skip
    with PolicyContext("policies.dmarc", **options) as context:
        return asyncio.run(context.data(LETTER, auth=AuthResults(dmarc=dmarc)))


@pytest.mark.parametrize(
    ("result", "policy", "kind"),
    [
        ("fail", "reject", Reject), ("fail", "quarantine", Quarantine), ("fail", "none", Pass),
        ("pass", "reject", Pass), ("none", "", Pass), ("permerror", "", Pass), ("temperror", "reject", Defer),
        ("temperror", "quarantine", Defer), ("temperror", "none", Pass), ("temperror", "", Pass),
    ],
)  # fmt: skip
def test_as_the_domain_asks(result: str, policy: str, kind: type) -> None:
    assert isinstance(said(result, policy), kind)


@pytest.mark.parametrize(
    ("action", "kind"), [("reject", Reject), ("quarantine", Quarantine), ("mark", Annotate), ("accept", Pass)]
)
def test_the_operator_may_have_it_otherwise(action: str, kind: type) -> None:
    assert isinstance(said("fail", "reject", reject=action), kind)
    assert isinstance(said("fail", "quarantine", quarantine=action), kind)


def test_a_letter_that_pct_leaves_out_is_treated_more_softly() -> None:
    assert isinstance(said("fail", "reject", "quarantine"), Quarantine)
    assert isinstance(said("fail", "quarantine", "none"), Pass)


def test_the_refusal_says_which_domain_and_nothing_of_the_checks() -> None:
    verdict = said("fail", "reject")
    assert isinstance(verdict, Reject)
    assert (verdict.code, verdict.enhanced) == (550, "7.26")
    assert "example.org" in verdict.text and "example.org" in verdict.text_vi
    assert [finding.code for finding in verdict.findings] == ["dmarc-fail"]


def test_letters_that_nobody_checked_pass() -> None:
    with PolicyContext("policies.dmarc") as context:
        assert asyncio.run(context.data(LETTER)) == Pass()
