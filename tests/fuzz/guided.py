"""The same checks under atheris, which measures what a letter reaches: `python -m tests.fuzz.guided [OPTIONS]`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["bdmta", "policies"]):
    from tests.fuzz.targets import Targets


def main() -> None:
    """Run until libFuzzer ends."""
    targets = Targets()
    names = [name for name in targets.checks if name != "workers"]  # what runs elsewhere teaches nothing

    def one(octets: bytes) -> None:
        for name in names:
            targets.check(name, octets)

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


main()
