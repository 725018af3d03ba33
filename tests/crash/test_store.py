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
from storage.spool_progress import Progress
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
    (tmp_path / "journal").mkdir()
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
    for entry_id in spool.list():
        spool.open_letter(entry_id)
    owned = {f"{entry_id}.msg" for entry_id in spool.list()}
    assert {n for n in os.listdir(spool.directory) if n[-4:] == ".msg"} <= owned
    assert os.listdir(f"{site}/mail/.incoming") == []
    quota = Quota(SystemClock())
    for number in range(MAILBOXES):
        left = os.listdir(f"{mailbox(site, number)}/tmp")
        assert [n for n in left if not n.startswith("maildirsize.")] == []  # those go with a later sum
        usage = quota.recalculate(mailbox(site, number))
        assert usage.letters == len(found[number])
        assert verify_mailbox(mailbox(site, number)) == []


@pytest.mark.parametrize("form", ["files", "journal"])
def test_killed_at_random_instants(site: str, form: str) -> None:
    acknowledged: list[str] = []
    for seed in range(8):
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.store_child", site, "storm", form], stdout=subprocess.PIPE,
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
        _, ((lock, _),) = commit._store([Delivery(Letter.from_octets([b"A: b\r\n\r\nend\r\n"]), targets)], ())
        assert commit.resume() == 0
        assert spool.list("expand") == [lock.id]
        lock.release()
        assert commit.resume() == 1
    _check(site, [])


def _step_and_die(site: str, count: int, targets: int) -> tuple[list[str], bool]:
    """What a delivery told until it was killed at call `count`; and whether it was killed."""
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
    return [line for line in lines if line != "done"], os.WIFSIGNALED(status)


def _copies(site: str, number: int, text: bytes) -> int:
    found = [path for path in Path(mailbox(site, number)).rglob("*") if path.is_file()]
    return sum(path.read_bytes().startswith(b"X-Id: " + text + b"\r\n") for path in found if "S=" in path.name)


@pytest.mark.parametrize("deed", ["move", "remove"])
def test_what_a_user_did_with_a_group_letter_before_the_restart_stays_done(site: str, deed: str) -> None:
    """Killed at every 23rd call; then every owner who has the letter moves it elsewhere, or removes it."""
    targets, deaths, again = 104, 0, 0
    for number in range(targets):
        for sub in ("cur", "new", "tmp"):
            (Path(mailbox(site, number)) / ".Kept" / sub).mkdir(parents=True)
    for count in range(1, 2000, 23):
        told, was_killed = _step_and_die(site, count, targets)
        had = set()
        for number in range(targets):
            for path in (Path(mailbox(site, number)) / "new").iterdir():
                had.add(number)
                kept = Path(mailbox(site, number)) / ".Kept" / "cur" / f"{count}.moved.mx,S=4096,W=4096:2,S"
                path.rename(kept) if deed == "move" else path.unlink()
        resume(site)
        resume(site)
        copies = [_copies(site, number, f"step-{count}".encode()) for number in range(targets)]
        if deed == "move":
            assert set(copies) <= ({1} if told else {0, 1}), count
        else:
            assert all(copies[number] == 1 for number in range(targets) if number not in had and told)
            again += sum(copies[number] for number in had)
            assert sum(copies[number] for number in had) <= 1, count  # who was being served when it was killed
        for number in range(targets):  # the next round begins with empty boxes
            for path in (Path(mailbox(site, number)) / "new").iterdir():
                path.unlink()
        if not was_killed:
            break
        deaths += 1
    assert deaths > 10
    assert again < deaths


def test_a_box_that_could_not_be_served_is_not_forgotten_over_a_kill(site: str) -> None:
    """Its failure was noted in the batch that was broken off; the next run serves the others, and it later."""
    import shutil
    from concurrent.futures import ThreadPoolExecutor

    from storage.commit import Delivery, Target
    from storage.letter import Letter

    with ThreadPoolExecutor(1) as executor:
        commit, spool = make(site, executor)
        shutil.rmtree(mailbox(site, 3))
        targets = tuple(Target(mailbox(site, n)) for n in range(MAILBOXES))
        _, ((lock, _),) = commit._store([Delivery(Letter.from_octets([b"X-Id: y\r\n\r\nend\r\n"]), targets)], ())
        Progress(spool, spool.load(lock.id)).note_failure(3)  # what a process did that was killed after it
        Progress(spool, spool.load(lock.id)).open_place().note(5)
        lock.release()
        for number in (0, 1, 2, 4):
            os.link(f"{spool.directory}/{lock.id}.msg", f"{mailbox(site, number)}/new/1.a.mx,S=16,W=16")
        commit.resume()
        assert [target.mailbox for target in spool.load(lock.id).targets] == [mailbox(site, 3)]
        for sub in ("cur", "new", "tmp"):
            (Path(mailbox(site, 3)) / sub).mkdir(parents=True)
        commit.resume()
        assert spool.list("expand") == []
    assert [_copies(site, number, b"y") for number in range(MAILBOXES)] == [1] * MAILBOXES
