"""`scripts/bench all`: its parts, and that quick figures never take the place of others."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import whole
from bench.__main__ import PARTS

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
    assert "--- smtp: FAILED, exit status 1 in" in done.stdout
    assert "--- addressbook: done" in done.stdout
    assert done.stderr.rstrip().endswith("failed: smtp")


def test_a_part_that_there_is_not():
    done = bench("all", "--only", "smtp,race")
    assert done.returncode == 1
    assert "no such part: race" in done.stderr


def test_each_part_gets_the_words_it_knows():
    from argparse import Namespace

    asked = Namespace(rounds=2, port=20000, warm=True)
    assert whole.words_of("imap", asked) == ["--port", "20000", "--rounds", "2", "--warm"]
    assert whole.words_of("outage", asked) == ["--port", "20000"]
    assert whole.words_of("policy", asked) == []


def test_every_part_that_leaves_a_site_has_its_room_told():
    assert set(whole._ROOM) == set(PARTS) - {"policy", "mailauth"}  # theirs are removed
    assert set(whole._AFTER_REST) <= set(PARTS)


def test_it_tells_how_much_room_is_wanted_and_refuses_without(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_TMP", str(tmp_path))
    monkeypatch.setattr(whole, "_free", lambda: (30.0, 2_000))
    assert whole.prove_room(["smtp", "policy"]).startswith("3.4 GB and 95,000 files are wanted in ")
    with pytest.raises(SystemExit, match="no room: .* 30.0 GB and 2,000,000 are free"):
        whole.prove_room(PARTS)
    monkeypatch.setattr(whole, "_free", lambda: (3.0, 1_000_000))
    with pytest.raises(SystemExit, match="no room"):
        whole.prove_room(["smtp"])


LEAVES = """
import subprocess, sys
left = subprocess.Popen(["sleep", "1000"], start_new_session=True, stdout=subprocess.DEVNULL)
print(left.pid, flush=True)
{then}
"""


def run_part(then, limit_s=20.0):
    """What a part's end is called, and the pid of the server that it left behind. In a process of its own."""
    code = (
        f"import sys; from bench.whole import run_part; print(run_part([sys.executable, '-c', sys.argv[1]], {limit_s}))"
    )
    done = subprocess.run([sys.executable, "-c", code, LEAVES.format(then=then)], cwd=PROJECT, capture_output=True,
                          text=True, timeout=60)  # fmt: skip
    pid, why = done.stdout.split("\n")[:2]
    return why, int(pid)


@pytest.mark.parametrize(
    ("then", "limit_s", "why"),
    [
        ("pass", 20.0, ""),
        ("sys.exit('no')", 20.0, "exit status 1"),
        ("import os; os.kill(os.getpid(), 9)", 20.0, "exit status -9"),
        ("import time; time.sleep(1000)", 1.2, "not done after 0.02 minutes"),
    ],
)
def test_a_server_that_a_part_leaves_running_is_ended(then, limit_s, why):
    told, pid = run_part(then, limit_s)
    assert told == why
    assert not Path(f"/proc/{pid}").exists()


def test_a_whole_run_that_is_told_to_end_tells_its_part(tmp_path):
    """The part stops its servers as it does when it runs alone; none is left."""
    part = "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit())\ntry: print('up', flush=True); time.sleep(99)\n"
    part += "finally: print('stopped', flush=True)"
    code = "import sys; from bench import whole; whole.words_of = lambda *_: []; sys.executable = sys.argv[1]\n"
    code += "whole.everything(['--only', 'policy'], ['policy'], lambda text: None)"
    fake = tmp_path / "python"
    fake.write_text(f"#!{sys.executable}\n{part}\n")
    fake.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(fake)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout.readline() == "up\n"
        start = time.monotonic()
        run.send_signal(signal.SIGTERM)
        assert run.stdout.readline() == "stopped\n"
        assert run.wait(20) == 1
        assert time.monotonic() - start < 10
