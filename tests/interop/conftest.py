"""Tests with other people's programs run by `scripts/interop` (or `-m interop`) only: they take minutes."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "interop: runs other people's programs; `scripts/interop`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "interop" in str(config.getoption("markexpr")):
        return
    for item in items:
        if item.get_closest_marker("interop"):
            item.add_marker(pytest.mark.skip(reason="interop: run scripts/interop"))
