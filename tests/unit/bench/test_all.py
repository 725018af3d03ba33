"""`scripts/bench all`: its parts, and that quick figures never take the place of others."""

import os
import subprocess
import sys
from pathlib import Path

from bench.__main__ import PARTS, _words_of

PROJECT = Path(__file__).parents[3]


def bench(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "bench", *words], cwd=PROJECT, capture_output=True, text=True, timeout=120,
        env={**os.environ, **environment},
    )  # fmt: skip


def test_all_has_every_part_that_the_table_needs():
    assert {"smtp", "group", "imap", "pop3", "policy", "send", "idle", "backup", "outage", "latency", "growth"} <= set(
        PARTS
    )


def test_a_quick_run_writes_beside_and_says_so():
    kept = (PROJECT / "bench" / "RESULTS.md").read_bytes()
    done = bench("all", "--quick", "--only", "addressbook")
    assert done.returncode == 0, done.stderr
    assert "| 1,000 people, 20 agencies | |" in done.stdout
    assert "--- addressbook: done in" in done.stdout
    assert (PROJECT / "bench" / "RESULTS.md").read_bytes() == kept
    assert "`scripts/bench addressbook --quick`" in (PROJECT / "bench" / "quick" / "RESULTS.md").read_text()


def test_a_part_that_fails_is_named_and_the_others_run(tmp_path):
    done = bench("all", "--quick", "--only", "smtp,addressbook", "--port", "-1", BENCH_TMP=str(tmp_path))
    assert done.returncode == 1
    assert "--- smtp: FAILED" in done.stdout
    assert "--- addressbook: done" in done.stdout
    assert done.stderr.rstrip().endswith("failed: smtp")


def test_a_part_that_there_is_not():
    done = bench("all", "--only", "smtp,race")
    assert done.returncode == 1
    assert "no such part: race" in done.stderr


def test_each_part_gets_the_words_it_knows():
    from argparse import Namespace

    asked = Namespace(rounds=2, port=20000, warm=True)
    assert _words_of("imap", asked) == ["--port", "20000", "--rounds", "2", "--warm"]
    assert _words_of("outage", asked) == ["--port", "20000"]
    assert _words_of("policy", asked) == []
