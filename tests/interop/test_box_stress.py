"""Processes, deliveries and a foreign program on one mailbox, for real and for a while; then every letter is there."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from storage.errors import Conflict
from storage.maildir import folder_dir
from tests.unit.storage.box_support import World, to_store

SECONDS = float(os.environ.get("STRESS_S", "5"))
FOLDERS = ("INBOX", "Sent")


def session(root: str, number: int, until: float, out: str) -> None:
    """One process with a session in each folder; writes what it did and which letter it saw under which UID."""
    rng = random.Random(number)
    world = World.__new__(World)
    world.path, world.index, world.processes = f"{root}/box", f"{root}/index/box.db", []
    mailbox = world.mailbox(inotify=number % 2 == 0, executor=ThreadPoolExecutor(3))
    views = {name: mailbox.open_view(name) for name in FOLDERS}
    meaning: dict[str, str] = {}
    log: dict[str, Any] = {"appended": [], "copied": [], "expunged": [], "meaning": meaning, "steps": 0}
    known = {name: list(views[name].columns.uid) for name in FOLDERS}
    while time.time() < until:
        name = rng.choice(FOLDERS)
        view = views[name]
        if view.box.is_dirty():
            view.box.refresh()
        deltas = view.poll()
        for sequence, uid in zip(deltas.expunged, deltas.expunged_uids, strict=True):
            assert known[name][sequence - 1] == uid
            del known[name][sequence - 1]
        fresh = list(view.columns.uid[len(known[name]) :])
        assert not fresh or not known[name] or fresh[0] > known[name][-1]
        known[name] += fresh
        assert known[name] == list(view.columns.uid)
        for uid, octets in zip(fresh, view.box.octets_of(fresh), strict=True):
            if octets is not None:
                said = bytes(octets).partition(b"\r\n")[0].decode()
                assert meaning.setdefault(f"{name}/{view.box.uidvalidity}/{uid}", said) == said
        act(rng, mailbox, views, name, number, log)
        log["steps"] += 1
    Path(out).write_text(json.dumps(log))


def act(rng: random.Random, mailbox: Any, views: dict[str, Any], name: str, number: int, log: dict[str, Any]) -> None:
    view = views[name]
    count = len(view.columns)
    row = rng.randrange(count) if count else 0
    rows = range(row, min(count, row + rng.choice([1, 1, 5, 50])))
    other = "Sent" if name == "INBOX" else "INBOX"
    choice = rng.random()
    if choice < 0.2:
        text = f"a{number}.{log['steps']}"
        mailbox.append(name, to_store(text), 1)
        log["appended"].append(text)
    elif choice < 0.6 and rows:
        try:
            view.store(rows, rng.choice("+-="), rng.choice([1, 2, 4, 16]), rng.choice([(), ("$K",)]))
        except Conflict:
            pass
    elif choice < 0.7 and rows:
        view.move(rows, other)
    elif choice < 0.75 and rows:
        texts = [
            bytes(one).partition(b"\r\n")[0].decode()
            for one in view.box.octets_of(view.uids_of(rows))
            if one is not None
        ]
        placed = view.copy(rows, other)
        if len(placed.uids) == len(texts):
            log["copied"] += texts
        else:
            log["copied_unsure"] = log.get("copied_unsure", 0) + 1
    elif choice < 0.8 and rows and len(rows) <= 5:
        view.box.fields(view.columns, "subject")
    elif rows:
        view.box.rendered(view.uids_of(rows), "envelope")


def deliver(root: str, until: float, out: str) -> None:
    world = World.__new__(World)
    world.path, world.count = f"{root}/box", 0
    rng = random.Random(99)
    while time.time() < until:
        world.deliver(sub=rng.choice(["new", "new", "cur"]))
        time.sleep(rng.random() * 0.004)
    Path(out).write_text(json.dumps({"delivered": world.count}))


def meddle(root: str, until: float) -> None:
    """A foreign program that renames letters without asking."""
    rng = random.Random(7)
    directory = f"{root}/box/cur"
    while time.time() < until:
        names = os.listdir(directory)
        for name in rng.sample(names, min(5, len(names))):
            try:
                os.rename(
                    f"{directory}/{name}",
                    f"{directory}/{name.partition(':')[0]}:2,{rng.choice(['', 'S', 'F', 'FS', 'RS'])}",
                )
            except FileNotFoundError:
                continue
        time.sleep(0.002)


@pytest.mark.slow
def test_nothing_is_lost_and_no_uid_means_two_letters(tmp_path: Path) -> None:
    root = str(tmp_path)
    world = World(root)
    until = time.time() + SECONDS
    context = multiprocessing.get_context("fork")
    running = [context.Process(target=session, args=(root, n, until, f"{root}/out{n}")) for n in range(3)]
    running.append(context.Process(target=deliver, args=(root, until, f"{root}/delivered")))
    running.append(context.Process(target=meddle, args=(root, until)))
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0] * 5
    logs = [json.loads(Path(f"{root}/out{n}").read_text()) for n in range(3)]
    count = json.loads(Path(f"{root}/delivered").read_text())["delivered"]
    expected = Counter([f"Subject: letter {n}" for n in range(1, count + 1)])
    meaning: dict[str, str] = {}
    for log in logs:
        expected.update(f"Subject: {text}" for text in log["appended"])
        expected.update(log["copied"])
        for uid, said in log["meaning"].items():
            assert meaning.setdefault(uid, said) == said
    found = Counter[str]()
    mailbox = world.mailbox()
    for name in FOLDERS:
        view = mailbox.open_view(name)
        found.update(
            bytes(octets).partition(b"\r\n")[0].decode()
            for octets in view.box.octets_of(view.columns.uid)
            if octets is not None
        )
        assert len(os.listdir(f"{folder_dir(world.path, name)}/cur")) == len(view.columns)
        again = world.mailbox().open_view(name)
        assert (again.columns.uid, again.columns.flags) == (view.columns.uid, view.columns.flags)
    missing = expected - found
    assert not missing
    if not any("copied_unsure" in log for log in logs):
        assert found == expected
    print({n: log["steps"] for n, log in enumerate(logs)}, "delivered", count, "letters", sum(found.values()))
    world.close()
