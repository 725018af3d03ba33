"""The sum that the store keeps is the sum of what was added, whoever adds, and `fits` agrees with it."""

from __future__ import annotations

import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from bdmta.testing.clock import FakeClock
from storage.maildir import create_mailbox
from storage.maildirsize import Usage, parse_sizes, render_sizes
from storage.quota import Limit, Quota

STEPS = st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.integers(0, 5000), st.booleans()), max_size=40)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.integers(1, 50_000))
def test_usage_is_the_sum(steps: list[tuple[int, int, bool]], limit_octets: int) -> None:
    limit = Limit(limit_octets, 0)
    with tempfile.TemporaryDirectory() as root:
        box = f"{root}/dian.vn/a"
        create_mailbox(box)
        quotas = [Quota(FakeClock()), Quota(FakeClock())]
        quotas[0].set_limit(box, limit)
        held: list[int] = []
        for who, octets, takes in steps:
            added, letters = octets, 1
            if takes and held:
                added, letters = -held.pop(), -1
            else:
                held.append(octets)
            before = limit.percent(Usage(sum(held) - added, 0))
            if who < 2:
                told = quotas[who].add(box, added, letters, limit)
                if letters < 0 or limit.percent(Usage(sum(held), 0)) < 80:
                    assert told == 0
                elif before < 80:
                    assert told in (0, 80, 95)
            else:
                with open(f"{box}/maildirsize", "a") as file:
                    file.write(f"{added} {letters}\n")
            expected = Usage(sum(held), len(held))
            assert quotas[0].usage(box) == quotas[1].usage(box) == expected


@given(st.binary(max_size=200))
def test_any_octets_are_parsed_or_refused(octets: bytes) -> None:
    found = parse_sizes(octets)
    assert found is None or (found.usage.octets >= 0 and found.usage.letters >= 0)


@given(st.integers(0, 1 << 50), st.integers(0, 1 << 30), st.integers(0, 1 << 50), st.integers(0, 1 << 30))
def test_what_is_rendered_is_parsed(a: int, b: int, c: int, d: int) -> None:
    found = parse_sizes(render_sizes(Limit(a, b), Usage(c, d)))
    assert found is not None
    assert (found.limit, found.usage, found.lines) == (Limit(a, b), Usage(c, d), 1)
