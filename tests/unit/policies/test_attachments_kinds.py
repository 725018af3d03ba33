"""policies.attachments and policies.formats on every kind of letter that they rule on (Điều 13)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from bdmta.policy import Annotate, Pass, Reject
from bdmta.testing.policy import PolicyContext
from tests.corpus.attachments import accepted, refused
from tests.corpus.attachments.letters import Case

REFUSED = [
    refused.by_name, refused.by_content, refused.by_type, refused.by_disguise, refused.by_parameter,
    refused.in_containers, refused.crooked_archives, refused.documents, refused.structures,
]  # fmt: skip
ACCEPTED = [accepted.documents, accepted.names, accepted.structures, accepted.harmless_documents]


@pytest.fixture(scope="module")
def attachments() -> PolicyContext:
    return PolicyContext("policies.attachments")


@pytest.fixture(scope="module")
def formats() -> PolicyContext:
    return PolicyContext("policies.formats")


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.__name__)
def test_refuses(kind: Callable[[], Iterator[Case]], attachments: PolicyContext) -> None:
    wrong, count = [], 0
    for count, case in enumerate(kind(), 1):  # noqa: B007
        verdict = asyncio.run(attachments.data(case.octets))
        codes = {finding.code for finding in verdict.findings}
        if not isinstance(verdict, Reject) or (case.problem and case.problem not in codes):
            wrong.append((case.name, case.problem, sorted(codes)))
        else:
            assert (verdict.code, verdict.enhanced, verdict.article) == (550, "7.1", "Điều 13")
    assert wrong == []
    assert count > 10


@pytest.mark.parametrize("kind", ACCEPTED, ids=lambda kind: kind.__name__)
def test_accepts(kind: Callable[[], Iterator[Case]], attachments: PolicyContext, formats: PolicyContext) -> None:
    wrong, count = [], 0
    for count, case in enumerate(kind(), 1):  # noqa: B007
        for context in (attachments, formats):
            verdict = asyncio.run(context.data(case.octets))
            codes = {finding.code for finding in verdict.findings}
            if not isinstance(verdict, Pass | Annotate) or (codes and codes != {case.problem}):
                wrong.append((case.name, sorted(codes)))
    assert wrong == []
    assert count > 10
