"""`bdmta-traffic` against a real server: clean traffic has no fault, and each planted fault is found."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import pytest

from tests.site import DOMAIN, PASSWORDS
from tests.system.faulty import FaultyRelay

PLANTED = {2: "drop", 3: "double", 5: "corrupt", 7: "late", 9: "stray", 11: "intruder"}
FOUND = {"drop": "lost", "double": "doubled", "corrupt": "corrupted", "late": "late", "stray": "stray",
         "intruder": "intruder"}  # fmt: skip


@pytest.fixture
def accounts(tmp_path):
    path = tmp_path / "accounts.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("address", "password", "name"))
        rows.writerows((f"{local}@{DOMAIN}", password, local.title()) for local, password in PASSWORDS.items())
    return path


def traffic(*words, expect):
    done = subprocess.run(
        [sys.executable, "-m", "bdmta.traffic", *map(str, words)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == expect, done.stderr
    return done


def test_clean_traffic_of_every_kind_has_no_fault(site, accounts, tmp_path):
    chart, ledger = tmp_path / "chart.svg", tmp_path / "ledger.jsonl"
    done = traffic(
        "run", "--site", site.folder, "--accounts", accounts, "--count", 40, "--duration", 60, "--sessions", 4,
        "--largest", 200_000, "--think", 0.1, "--idle", 0.3, "--mix", "internal=4,inbound=2,citizens=1,bulk=1,junk=1,hostile=2",
        "--seed", 7, "--json", "-", "--chart", chart, "--ledger", ledger, expect=0,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["ok"]
    assert told["letters"]["accepted"] > 20
    assert told["letters"]["refused"] > 0
    assert told["checked"]["by"] == "IMAP"
    assert told["errors"] == {}
    assert told["read"] > 0
    assert chart.read_text().startswith("<svg")
    traffic("check", "--ledger", ledger, "--accounts", accounts, "--maildir", site.folder / "mail", expect=0)


def test_each_planted_fault_is_found_and_nothing_else(site, accounts, tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    with FaultyRelay(site.port("smtp"), PLANTED, stray=f"sotttt@{DOMAIN}", hold_s=5) as relay:
        done = traffic(
            "run", "--site", site.folder, "--accounts", accounts, "--smtp", f"127.0.0.1:{relay.port}", "--count", 12,
            "--rate", 100, "--sessions", 4, "--mix", "citizens=1", "--seed", 3, "--readers", "", "--largest", 20_000,
            "--late", 1, "--patience", 8, "--json", "-", "--ledger", ledger, expect=1,
        )  # fmt: skip
    told = json.loads(done.stdout)
    expected = {(FOUND[fault], number) for number, fault in PLANTED.items()}
    # A refusal of what nothing is wrong with is a fault as well, and the relay refused the letter that it passed on.
    expected.add(("kept-out", 11))
    assert {(fault["what"], fault["letter"]) for fault in told["fault_list"]} == expected
    assert not told["ok"]
    later = traffic(
        "check", "--ledger", ledger, "--accounts", accounts, "--maildir", site.folder / "mail", "--late", 1, expect=1
    )
    for word in (
        "lost: letter 2",
        "doubled: letter 3",
        "corrupted: letter 5",
        "late: letter 7",
        "stray: letter 9",
        "intruder: letter 11",
    ):
        assert word in later.stderr


def test_another_machine_is_not_loaded_by_mistake(accounts):
    done = traffic(
        "run", "--accounts", accounts, "--smtp", "192.0.2.1:25", "--no-check", "--mix", "inbound=1", expect=2
    )
    assert done.stderr == (
        "bdmta-traffic: smtp://192.0.2.1:25 is another machine; --not-loopback allows it, and is for servers that are yours "
        "to load\n"
    )


@pytest.mark.slow
@pytest.mark.crash
def test_what_was_promised_before_a_kill_is_there_afterwards(own_site, accounts, tmp_path):
    site, ledger = own_site({"dns": {"servers": "[]"}, "limits": {"auth_backoff_s": "0"}}), tmp_path / "ledger.jsonl"
    site.start(workers=2)
    running = subprocess.Popen(
        [sys.executable, "-m", "bdmta.traffic", "run", "--site", site.folder, "--accounts", accounts, "--rate", "60",
         "--duration", "8", "--idle", "1", "--think", "0.3", "--largest", "300000", "--ledger", ledger],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    site.wait_for(lambda: ledger.exists() and ledger.read_text().count("\n") > 100, 60)
    site.kill()
    told = running.communicate(timeout=60)[1]
    assert running.returncode == 1
    assert "Nobody could look what became of the letters" in told
    site.start(workers=2)
    again = traffic("check", "--ledger", ledger, "--site", site.folder, "--accounts", accounts, expect=0)
    assert "every letter once, whole, where it should be" in again.stderr
