"""A sample of what `scripts/faults` tries: a call of the store that fails or is its last, and the loss of power."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.faults.operations import PLANTED
from tests.faults.shim import build, can_build, run_under

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(not can_build(), reason="there is no C compiler for the shim"),
    pytest.mark.skipif(sys.platform != "linux", reason="the shim is for Linux"),
]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("shim"))


def faults(shim: Path, *arguments: str) -> tuple[int, str]:
    done = run_under(
        shim, "-m", "tests.faults", *arguments, cwd=Path(__file__).parents[2], capture_output=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("operation", "every"),  # few calls of each, lest CI takes long; `scripts/faults` tries them all
    [
        ("delivery", 13),
        ("queue hand-over", 5),
        ("queue hand-over by the journal", 7),
        ("APPEND", 41),
        ("delivery by the journal", 9),
        ("APPEND by the journal", 61),
        ("MOVE of young letters", 59),
        ("EXPUNGE of a young letter", 29),
        ("backup", 29),
        ("restore of a mailbox", 53),
    ],
)
def test_no_acknowledged_letter_is_lost_doubled_or_half_there(shim: Path, operation: str, every: int) -> None:
    status, told = faults(shim, operation, "--every", str(every))
    assert status == 0, told
    assert "No acknowledged letter lost" in told


def test_a_store_that_does_not_sync_is_found_out(shim: Path) -> None:
    (planted,) = PLANTED
    status, told = faults(shim, planted.name)
    assert status == 1
    assert "half a letter" in told
    assert "lost" in told
