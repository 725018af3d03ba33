"""The kernel's word on folders, and what replaces it."""

from __future__ import annotations

import os
from pathlib import Path

from storage.inotify import Watcher


def folder(path: Path) -> Path:
    (path / "cur").mkdir(parents=True)
    (path / "new").mkdir()
    return path


def test_the_last_event_of_a_name_counts(tmp_path: Path) -> None:
    box = folder(tmp_path / "a")
    watcher = Watcher()
    heard: list[int] = []
    watch = watcher.add(str(box), lambda: heard.append(1))
    assert watch is not None and not watcher.has_events(watch)
    (box / "new" / "1").write_text("x")
    os.rename(box / "new" / "1", box / "cur" / "1:2,")
    os.rename(box / "cur" / "1:2,", box / "cur" / "1:2,S")
    watcher.drain()
    assert watcher.take(watch) == ({"1:2,": False, "1:2,S": True}, {"1": False}, False)
    assert heard == [1]
    assert not watcher.has_events(watch)
    watcher.close()


def test_too_many_events_mean_reading_the_folder(tmp_path: Path) -> None:
    box = folder(tmp_path / "a")
    watcher = Watcher()
    watch = watcher.add(str(box), lambda: None)
    assert watch is not None
    for number in range(2100):
        (box / "cur" / str(number)).touch()
    watcher.drain()
    assert watcher.take(watch) == ({}, {}, True)
    (box / "cur" / "one").touch()
    watcher.drain()
    assert watcher.take(watch) == ({"one": True}, {}, False)
    watcher.close()


def test_a_folder_that_goes_is_lost(tmp_path: Path) -> None:
    box = folder(tmp_path / "a")
    watcher = Watcher()
    watch = watcher.add(str(box), lambda: None)
    assert watch is not None
    os.rename(box / "cur", tmp_path / "elsewhere")
    watcher.drain()
    assert watcher.take(watch)[2]
    watcher.close()


def test_folders_do_not_hear_of_each_other_and_can_be_left(tmp_path: Path) -> None:
    one, two = folder(tmp_path / "a"), folder(tmp_path / "b")
    watcher = Watcher()
    first, second = watcher.add(str(one), lambda: None), watcher.add(str(two), lambda: None)
    assert first is not None and second is not None
    (one / "cur" / "x").touch()
    watcher.drain()
    assert watcher.has_events(first) and not watcher.has_events(second)
    watcher.remove(second)
    (two / "cur" / "y").touch()
    watcher.drain()
    assert not watcher.has_events(second)
    assert watcher.add(str(two), lambda: None) is not None
    watcher.close()


def test_no_folder_and_no_instance_give_no_watch(tmp_path: Path) -> None:
    watcher = Watcher()
    assert watcher.add(str(tmp_path / "missing"), lambda: None) is None
    watcher.close()
    assert not watcher.works
    assert watcher.add(str(folder(tmp_path / "a")), lambda: None) is None
    watcher.drain()
