"""A session killed while it appends, moves and flags: nothing it was told of is lost or doubled, and no lock stays."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from storage.maildir import SPECIAL_FOLDERS
from tests.unit.storage.box_support import World, to_store

FOLDERS = ("INBOX", "Sent", "Archive")


def client(root: str, number: int) -> None:
    """Append, move, flag and expunge until killed; write down each append that was answered."""
    world = World.__new__(World)
    world.path, world.index, world.processes = f"{root}/box", f"{root}/index/box.db", []
    mailbox = world.mailbox()
    views: dict[str, Any] = {name: mailbox.open_view(name) for name in FOLDERS}
    rng = random.Random(number)
    told = os.open(f"{root}/told", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    for step in range(100_000):
        view = views[rng.choice(FOLDERS)]
        view.box.refresh()
        view.poll()
        if rng.random() < 0.5 or not len(view.columns):
            mailbox.append(view.box.name, to_store(f"{number}.{step}"))
            os.write(told, b"%d.%d\n" % (number, step))
        elif rng.random() < 0.7:
            row = rng.randrange(len(view.columns))
            view.move(
                range(row, min(row + 4, len(view.columns))), rng.choice([f for f in FOLDERS if f != view.box.name])
            )
        else:
            view.store(range(len(view.columns)), rng.choice("+-"), 1)


@pytest.mark.crash
def test_killed_sessions_lose_nothing(tmp_path: Path) -> None:
    root = str(tmp_path)
    world = World(root)
    assert set(FOLDERS) - {"INBOX"} <= set(SPECIAL_FOLDERS)
    context = multiprocessing.get_context("fork")
    rng = random.Random(3)
    for number in range(12):
        process = context.Process(target=client, args=(root, number))
        process.start()
        time.sleep(0.1 + rng.random() * 0.15)
        assert process.pid is not None and process.is_alive()
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        began_at = time.monotonic()
        mailbox = world.mailbox()
        found: Counter[str] = Counter()
        for name in FOLDERS:
            view = mailbox.open_view(name)
            assert list(view.columns.uid) == sorted(set(view.columns.uid))
            for octets in view.box.octets_of(view.columns.uid):
                assert octets is not None
                found[bytes(octets).partition(b"\r\n")[0].decode().removeprefix("Subject: ")] += 1
        assert time.monotonic() - began_at < 30  # the dead process's lock does not wait for its 120 s
        told = Path(f"{root}/told").read_text().split() if Path(f"{root}/told").exists() else []
        assert not set(told) - set(found)
        assert max(found.values(), default=1) == 1
        mailbox.boxes.close()
    assert sum(found.values()) >= 12
    world.close()
