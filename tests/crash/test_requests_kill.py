"""Killed at each step of carrying a request out: the next start completes it, once, and no letter is lost or doubled."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from bdmta.requests import doing
from bdmta.testing.clock import FakeClock
from tests.unit.bdmta.requests_support import D, ask, found_province, here, letters, open_service, told

CHANGE = ("change", here("minhnv"), {"mailbox": here("minhnv"), "new_address": here("minhnv.cv")}, "minhnv.cv")
CANCEL = ("cancel", here("sonv"), {"mailbox": here("longtq")}, "longtq")
CREATE = ("create", here("sotttt"), {"name": "Lê Thị Hồng Gấm", "agency": "sotttt"}, "gamlth")
MERGE = ("merge", here("sonv"), {"old_agency": "ubnddian", "into_agency": "sotttt"}, "sotttt")


def carry(root: Path, number: str, die_after: int) -> None:
    """Carry the request out; at the nth act upon disk (commit, rename, link), die by SIGKILL."""
    service = open_service(root, FakeClock())
    left = [die_after]

    def watch(event: str, arguments: object) -> None:
        if event in ("os.rename", "os.link", "os.mkdir", "os.rmdir", "sqlite3.connect"):
            step()

    def step() -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if die_after >= 0:
        import sys

        sys.addaudithook(watch)
        service.directory._database.conn.set_trace_callback(  # noqa: SLF001 - each commit, before and after it
            lambda sql: step() if sql.startswith(("COMMIT", "BEGIN")) else None
        )
    go_on(service, root, number)
    service.close()


def go_on(service, root: Path, number: str) -> None:
    site = SimpleNamespace(mail_root=str(root / "mail"), backup_dir=str(root / "backup"), data_dir=str(root))
    asker = lambda name, **arguments: ask(service, name, **arguments)  # noqa: E731
    doing.take_backup = lambda site, clock: (SimpleNamespace(id="b"), [])  # the backup's own crashes are its own tests'
    if ask(service, "request_show", number=number)["state"] in ("approved", "working"):
        doing.carry_out(site, service.clock, asker, number)
    doing.resume(site, service.clock, asker)


@pytest.mark.crash
@pytest.mark.parametrize("steps", [19, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("kind", "requester", "details", "local"), [CREATE, CHANGE, CANCEL, MERGE])
def test_killed_anywhere_it_is_done_once(tmp_path, kind, requester, details, local, steps):
    context = multiprocessing.get_context("fork")
    killed = 0
    number = prepare(tmp_path / "before", kind, requester, details)
    for die_after in range(steps // 2, 400, steps):
        root = tmp_path / str(die_after)
        shutil.copytree(tmp_path / "before", root)
        process = context.Process(target=carry, args=(root, number, die_after))
        process.start()
        process.join()
        was_killed = process.exitcode == -signal.SIGKILL
        assert was_killed or process.exitcode == 0
        killed += was_killed
        clock = FakeClock()
        clock.advance(3600)
        again = open_service(root, clock)
        go_on(again, root, number)
        clock.advance(3600)
        go_on(again, root, number)
        assert_done_once(again, root, kind, number, local)
        again.close()
        if not was_killed:
            break
    assert killed >= 2


def prepare(root: Path, kind: str, requester: str, details: dict[str, str]) -> str:
    """A province with letters and an approved request; its number."""
    root.mkdir()
    service = open_service(root)
    found_province(service)
    for to in ("minhnv", "longtq", "ubnddian"):
        for number in range(3):
            name = f"{number}.M1P1Q{number}.host,S=3,W=3"
            (root / "mail" / D / to / ("new" if number else "cur") / name).write_bytes(f"{to}{number}".encode())
    entered = str(ask(service, "request_new", kind=kind, requester=requester, details=details)["number"])
    ask(service, "request_approve", number=entered)
    service.close()
    return entered


def assert_done_once(service, root: Path, kind: str, number: str, local: str) -> None:
    shown = ask(service, "request_show", number=number)
    assert shown["state"] == "done"
    assert [e["what"] for e in shown["history"]].count("done") == 1
    mailed = Counter(n["recipient"] for n in shown["notices"] if n["channel"] == "mail")
    assert all(n["sent_at"] for n in shown["notices"] if n["channel"] == "mail")
    for recipient, count in mailed.items():
        place = recipient.partition("@")[0]
        place = local if kind == "change" and place == "minhnv" else place
        assert sum(f"[{number}]".encode() in one for one in letters(service, place)) == count
    assert len(set(told(shown))) == len(told(shown)) > 0
    assert ask(service, "request_work") == []
    bodies = Counter(
        path.read_bytes()
        for path in (root / "mail").rglob("*")
        if path.is_file() and path.parent.name in ("cur", "new")
    )
    for to in ("minhnv", "longtq", "ubnddian"):
        for one in range(3):
            assert bodies[f"{to}{one}".encode()] == 1
    mailbox = ask(service, "mailbox_show", address=here(local))
    assert mailbox["status"] == ("closed" if kind == "cancel" else "active")
    assert (root / "mail" / D / local / "new").is_dir()
