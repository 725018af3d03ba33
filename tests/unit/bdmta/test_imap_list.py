"""LIST patterns."""

from __future__ import annotations

import time

import pytest

from bdmta.imap.list_pattern import levels_above, matches


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "a/b", True),
        ("%", "a/b", False),
        ("%", "a", True),
        ("a/%", "a/b", True),
        ("a/%", "a/b/c", False),
        ("%/c", "a/b/c", False),
        ("*c", "a/b/c", True),
        ("a%c", "abc", True),
        ("a%c", "a/c", False),
        ("inbox", "INBOX", True),
        ("iNb%", "INBOX", True),
        ("sent", "Sent", False),
        ("", "a", False),
        ("%%", "", True),
        ("*%*", "x/y", True),
        ("a.c", "abc", False),
    ],
)
def test_patterns(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits


def test_a_hostile_pattern_costs_nothing() -> None:
    """No backtracking: `%a%a%a...` against a long name ends at once."""
    began = time.perf_counter()
    assert not matches("%a" * 400, "a" * 399 + "b")
    assert time.perf_counter() - began < 2
    assert not matches("*" * 2000, "a")


def test_levels() -> None:
    assert levels_above("a/b/c") == ["a", "a/b"]
