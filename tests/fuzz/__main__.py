"""`scripts/fuzz [SECONDS] [--seed N] [--only mutation|hypothesis|atheris]`: letters gone wrong through all that reads
them at the edge. A failing letter is left in ./fuzz-failures with its traceback, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import itertools
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.fuzz.mutation import MAX_OCTETS, TOKENS, Mutator
from tests.fuzz.targets import Targets

PROJECT = Path(__file__).parents[2]
FAILURES = PROJECT / "fuzz-failures"
MOST_KEPT = 100


def seeds() -> list[bytes]:
    """The tests' own letters, and the shared corpus when it lies beside the checkout."""
    from tests.corpus.attachments import accepted, refused

    letters = [case.octets for make in (accepted, refused) for case in make.every_kind()]
    letters += [path.read_bytes() for path in sorted(PROJECT.glob("tests/corpus/letters/*.eml"))]
    letters += [path.read_bytes() for path in sorted((PROJECT / "../shared/corpus").glob("*/*.eml"))]
    return [octets for octets in letters if len(octets) < 60_000]


class Campaign:
    """Counts letters, and keeps one failing letter of every kind."""

    def __init__(self, targets: Targets) -> None:
        self.targets = targets
        self.letters = 0
        self.slowest = (0.0, "")
        self.failures: Counter[str] = Counter()

    def check(self, octets: bytes) -> bool:
        """All checks on one letter; whether it is well."""
        self.letters += 1
        before = sum(self.failures.values())
        for name in self.targets.checks:
            began = time.process_time()
            try:
                self.targets.check(name, octets)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a Hang, too
                self._keep(name, error, octets)
            self.slowest = max(self.slowest, (time.process_time() - began, name))
        return sum(self.failures.values()) == before

    def _keep(self, name: str, error: BaseException, octets: bytes) -> None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{name}: {type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:60]!r}"
        self.failures[where] += 1
        if self.failures[where] > 1 or len(self.failures) > MOST_KEPT:
            return
        FAILURES.mkdir(exist_ok=True)
        path = FAILURES / f"{name}-{hashlib.sha256(octets).hexdigest()[:12]}.eml"
        path.write_bytes(octets)
        path.with_suffix(".txt").write_text("".join(traceback.format_exception(error)))
        sys.stdout.write(f"FAILED {where}: {path}\n{''.join(traceback.format_exception_only(error))[:500]}")
        sys.stdout.flush()


def by_mutation(campaign: Campaign, given: list[bytes], until: float, seed: int) -> None:
    """Our own mutations; quick, and all of them valid guesses at what a client or an attacker writes."""
    mutator = Mutator(given, seed)
    while time.monotonic() < until:
        campaign.check(mutator.letter())


def by_hypothesis(campaign: Campaign, given: list[bytes], until: float) -> None:
    """Hypothesis chooses letters and edits, and makes a failing letter small."""
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis import given as asked
    from hypothesis import strategies as st

    edits = st.lists(
        st.tuples(st.floats(0, 1), st.one_of(st.sampled_from(TOKENS), st.binary(max_size=6)), st.integers(0, 50)),
        max_size=8,
    )

    def edited(octets: bytes, changes: list[tuple[float, bytes, int]]) -> bytes:
        for where, token, removed in changes:
            at = int(where * len(octets))
            octets = octets[:at] + token + octets[at + removed :]
        return octets

    # Not by the clock inside of it: what it runs must not depend on the time.
    for _ in itertools.takewhile(lambda _: time.monotonic() < until, itertools.count()):

        @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck),
                  phases=(Phase.generate, Phase.shrink))  # fmt: skip
        @asked(st.one_of(st.sampled_from(given), st.binary(max_size=2000)), edits)
        def run(octets: bytes, changes: list[tuple[float, bytes, int]]) -> None:
            assert campaign.check(edited(octets, changes))

        try:
            run()
        except AssertionError:
            continue


def by_atheris(given: list[bytes], seconds: float, seed: int) -> int:
    """libFuzzer's search for new paths, in a process of its own, as it never returns; its exit status."""
    with tempfile.TemporaryDirectory(prefix="bdmta-fuzz.") as folder:
        for number, octets in enumerate(given):
            (Path(folder) / str(number)).write_bytes(octets)
        asked = [f"-max_total_time={int(seconds)}", f"-seed={seed}", f"-max_len={MAX_OCTETS}", "-timeout=30",
                 "-rss_limit_mb=0", "-verbosity=0", "-print_final_stats=1",
                 f"-artifact_prefix={FAILURES}/atheris-", folder]  # fmt: skip
        FAILURES.mkdir(exist_ok=True)
        status = subprocess.run([sys.executable, "-m", "tests.fuzz.guided", *asked], cwd=PROJECT).returncode
        if not any(FAILURES.iterdir()):
            FAILURES.rmdir()
        return status


def main() -> int:
    """Share the time between what is there."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=600)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)) >> 1)
    parser.add_argument("--only", choices=["mutation", "hypothesis", "atheris"])
    asked = parser.parse_args()
    ways = [asked.only] if asked.only else ["mutation", "hypothesis", "atheris"]
    if "atheris" in ways and importlib.util.find_spec("atheris") is None:
        sys.stdout.write("atheris is not installed (pip install atheris): without it\n")
        ways.remove("atheris")
    given = seeds()
    sys.stdout.write(f"{len(given)} letters to begin with, seed {asked.seed}: {', '.join(ways)}\n")
    sys.stdout.flush()
    share = asked.seconds / max(1, len(ways))
    status = by_atheris(given, share, asked.seed) if "atheris" in ways else 0
    targets = Targets()
    campaign = Campaign(targets)
    try:
        if "mutation" in ways:
            by_mutation(campaign, given, time.monotonic() + share, asked.seed)
        if "hypothesis" in ways:
            by_hypothesis(campaign, given, time.monotonic() + share)
    finally:
        targets.close()
    slowest = f"the slowest check took {campaign.slowest[0]:.2f} s of CPU ({campaign.slowest[1]})"
    sys.stdout.write(
        f"{campaign.letters} letters; {slowest}; {sum(campaign.failures.values())} failures; atheris: {status}\n"
    )
    for where, count in campaign.failures.most_common():
        sys.stdout.write(f"  {count} x {where}\n")
    return 1 if campaign.failures or status else 0


if __name__ == "__main__":
    sys.exit(main())
