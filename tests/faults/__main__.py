"""`scripts/faults`: every operation × every call × every fault, and the table of what came of it."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults import operations, operations_backup
from tests.faults.case import Outcome, Site
from tests.faults.journalled import JOURNALLED
from tests.faults.operations import PLANTED, Operation
from tests.faults.shim import ERRORS, KILL, Fault, Shim, build, can_build, run_under

OPERATIONS = (*operations.OPERATIONS, *JOURNALLED, *operations_backup.OPERATIONS)
POWER = "loss of power"


def outcomes(site: Site, shim: Shim, fault: Fault | None, every: int, start: int) -> Iterator[tuple[str, Outcome]]:
    """Each `every`-th call of the operation, from call `start` on, with the fault; None is the loss of power."""
    calls = site.count(shim, fault or KILL)
    for at in range(start, calls + 1 if fault else calls + 2, every):
        if fault is not None:
            yield f"call {at} of {calls}", site.try_fault(shim, fault, at)
        else:
            yield from ((f"call {at} of {calls}, {name}", outcome) for name, outcome in site.try_power(shim, at))


def try_operation(
    operation: Operation, folder: Path, shim: Shim, every: int, start: int, table: Table
) -> list[str]:  # fmt: skip
    """One row of the table for each fault; what was wrong."""
    wrong = []
    site = Site(operation, folder)
    for fault in (KILL, *ERRORS, None):
        name = fault.name if fault else POWER
        print(f"{operation.name}: {name} ...", file=sys.stderr)
        ended: Counter[str] = Counter()
        bad = 0
        for where, outcome in outcomes(site, shim, fault, every * operation.every, start):
            ended[outcome.ended] += 1
            if outcome.complaints:
                bad += 1
                wrong.append(
                    f"{operation.name}, {name}, {where}: {'; '.join(outcome.complaints)} (told: {outcome.said})"
                )
        summary = ", ".join(f"{count} {what}" for what, count in sorted(ended.items()))
        table.add_row(operation.name, name, str(sum(ended.values())), summary, "[red]" + str(bad) if bad else "0")
    return wrong


def main() -> int:
    """Exit status 1 when anything that was acknowledged was lost, doubled or half there."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument("operations", nargs="*", help="names of operations; all when none is given")
    parser.add_argument("--every", type=int, default=1, help="only every N-th call")
    parser.add_argument(
        "--start", type=int, default=1, help="from this call on: runs from 1 to N with --every N are all"
    )
    arguments = parser.parse_args()
    if "LD_PRELOAD" not in os.environ:
        if not can_build():
            print("scripts/faults: a C compiler is needed; on Debian: apt install gcc libc6-dev", file=sys.stderr)
            return 2
        with tempfile.TemporaryDirectory() as folder:
            return run_under(build(Path(folder)), "-m", "tests.faults", *sys.argv[1:]).returncode
    known = {operation.name: operation for operation in (*OPERATIONS, *PLANTED)}
    if unknown := set(arguments.operations) - set(known):
        parser.error(f"{', '.join(unknown)}: no such operation; there are: {', '.join(o.name for o in OPERATIONS)}")
    chosen = [known[name] for name in arguments.operations] or list(OPERATIONS)
    table = Table("operation", "fault", "cases", "ended", "lost, doubled or half there")
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        for operation in chosen:
            wrong += try_operation(operation, Path(folder) / "case", Shim(), arguments.every, arguments.start, table)
    Console(width=130).print(table)
    for line in wrong[:40]:
        print(line)
    print(f"{len(wrong)} wrong" if wrong else "No acknowledged letter lost, none doubled, none half there.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
