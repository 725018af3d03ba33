"""How much is measured: all of it, or (`--quick`) just enough to see that every part runs to its end.

Quick figures say nothing about speed, so they never take the place of others: they go to bench/quick/.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")
VARIABLE = "BENCH_QUICK"
if "--quick" in sys.argv:  # on import: counts are constants of their modules, and this is imported before each
    sys.argv.remove("--quick")
    os.environ[VARIABLE] = "1"
IS_QUICK = bool(os.environ.get(VARIABLE))
FOLDER = Path(__file__).parent / "quick" if IS_QUICK else Path(__file__).parent
"""Where results and charts are written."""


def of(full: _T, quick: _T) -> _T:
    """The count that holds in this run."""
    return quick if IS_QUICK else full
