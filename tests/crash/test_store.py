"""SIGKILL at random instants and at every call of a commit: what was acknowledged is there, once, whole."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage.clock import SystemClock
from storage.quota import Quota
from storage.spool import Spool
from storage.verify import verify_mailbox
from tests.crash.store_child import MAILBOXES, mailbox, make, resume, step

pytestmark = pytest.mark.crash


@pytest.fixture
def site(tmp_path: Path) -> str:
    for number in range(MAILBOXES):
        for sub in ("cur", "new", "tmp"):
            (Path(mailbox(str(tmp_path), number)) / sub).mkdir(parents=True)
    (tmp_path / "mail/.incoming").mkdir()
    (tmp_path / "queue").mkdir()
    return str(tmp_path)


def _check(site: str, acknowledged: list[str]) -> None:
    found = {n: os.listdir(f"{mailbox(site, n)}/new") for n in range(MAILBOXES)}
    for number, names in found.items():
        assert len(names) == len(set(names))
        for name in names:
            octets = Path(mailbox(site, number), "new", name).read_bytes()
            assert octets.endswith(b"end\r\n") and f",S={len(octets)}," in name, name
    spool = Spool(f"{site}/queue", SystemClock())
    for line in acknowledged:
        name, octets, targets, entry = line.split()
        for target in map(int, targets.split(",")):
            assert found[target].count(name) == 1, (name, target)
        inode = {os.stat(f"{mailbox(site, int(t))}/new/{name}").st_ino for t in targets.split(",")}
        assert len(inode) == 1
        if entry != "-":
            assert spool.load(entry).size_octets == int(octets)
            assert sum(map(len, spool.open_letter(entry).blocks())) == int(octets)
    assert spool.list("expand") == []
    assert {n.rpartition(".")[2] for n in os.listdir(spool.directory)} <= {"env", "msg"}
    envelopes = [n[:-4] for n in os.listdir(spool.directory) if n.endswith(".env")]
    assert sorted(f"{n}.msg" for n in envelopes) == sorted(n for n in os.listdir(spool.directory) if n[-4:] == ".msg")
    assert os.listdir(f"{site}/mail/.incoming") == []
    quota = Quota(SystemClock())
    for number in range(MAILBOXES):
        left = os.listdir(f"{mailbox(site, number)}/tmp")
        assert [n for n in left if not n.startswith("maildirsize.")] == []  # those go with a later sum
        usage = quota.recalculate(mailbox(site, number))
        assert usage.letters == len(found[number])
        assert verify_mailbox(mailbox(site, number)) == []


def test_killed_at_random_instants(site: str) -> None:
    acknowledged: list[str] = []
    for seed in range(8):
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.store_child", site, "storm"], stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert child.stdout is not None
        first = child.stdout.readline()
        timer = threading.Timer(random.Random(seed).uniform(0.01, 0.3), child.kill)
        timer.start()
        rest = child.stdout.read()
        child.wait()
        timer.join()
        child.stdout.close()
        lines = (first + rest).decode().splitlines(keepends=True)
        acknowledged += [line for line in lines if line.endswith("\n")]
        resume(site)
    assert len(acknowledged) > 50
    _check(site, acknowledged)


@pytest.mark.parametrize("targets", [3, 8, 104])
def test_killed_at_every_call(site: str, targets: int) -> None:
    acknowledged: list[str] = []
    deaths = 0
    every = 1 if targets < 100 else 5
    for count in range(1, 2000, every):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(writing, 1)
            step(site, count, targets)
            os._exit(1)
        os.close(writing)
        with open(reading) as pipe:
            lines = pipe.read().splitlines()
        _, status = os.waitpid(pid, 0)
        acknowledged += [line for line in lines if line != "done"]
        resume(site)
        if not os.WIFSIGNALED(status):
            assert lines[-1] == "done"
            break
        deaths += 1
    assert deaths > 10
    _check(site, acknowledged)


def test_a_process_that_works_on_a_large_delivery_is_left_alone(site: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from storage.commit import Delivery, Target
    from storage.letter import Letter

    with ThreadPoolExecutor(1) as executor:
        commit, spool = make(site, executor)
        targets = tuple(Target(mailbox(site, n)) for n in range(MAILBOXES))
        _, (lock,) = commit._store([Delivery(Letter.from_octets([b"A: b\r\n\r\nend\r\n"]), targets)], ())
        assert commit.resume() == 0
        assert spool.list("expand") == [lock.id]
        lock.release()
        assert commit.resume() == 1
    _check(site, [])
